//! `smelt export`.

use std::fmt::Write as _;
use std::io::{self, IsTerminal as _, Write as _};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use indicatif::MultiProgress;
use tokio_util::sync::CancellationToken;

use super::args::{ExportArgs, RequestArgs};
use super::engine::{Engine, interruption, open};
use super::exit::Exit;
use super::failure::Failure;
use super::progress::Display;
use super::table;
use crate::bulk::kickoff::{add_filter, filter_parameter};
use crate::bulk::{ExportRequest, Known, Level, Parameters};
use crate::config::{Settings, size};
use crate::export::{Counting, ExportOptions, Exported, Prepared, dry_run, export, preflight};
use crate::plan::search::searchable;
use crate::sink::LocalSink;

/// Where the export would come from if a server made it.
const BASE_URL: &str = "https://localhost";

/// Runs the export and shows how it goes.
pub(super) fn run(args: &ExportArgs, settings: &Settings, bars: &MultiProgress) -> Result<Exit, Failure> {
    let mut options = ExportOptions {
        file_bytes: settings.file_size,
        snapshot_wait: settings.snapshot_wait,
        codec: settings.codec.unwrap_or_default(),
        ..Default::default()
    };
    options.check_references = args.check_references;
    options.since_new_members = settings.since_new_members;
    if let Some(workers) = settings.workers {
        options.workers = workers.get() as usize;
    }
    let out = match (&settings.out, args.dry_run) {
        (None, false) => {
            return Err(Failure::usage("no output directory is named", "Name one with `--out`; it is created."));
        }
        (out, _) => out.as_deref(),
    };
    let engine = open(settings, options.workers, options.sessions_per_worker)?;
    let mut request = request(&args.parameters(), &args.request, &engine.prepared)?;
    request.files.minimum = minimum_file_size(args, settings)?;
    options.request_url = kick_off_url(&request, &args.request.type_filters);
    if args.dry_run {
        let text = engine.runtime.block_on(dry_run(&engine.source, &engine.prepared, &request, &options))?;
        return super::print(&text);
    }
    options.ledger.clone_from(&args.ledger_dir);
    let preflight = engine.runtime.block_on(preflight(&engine.source, &engine.prepared))?;
    // Nobody can be told that standard error is closed.
    let _ = writeln!(io::stderr(), "{preflight}");
    let cancel = interruption()?;
    let began = Instant::now();
    // Without a directory the command ended above.
    let out = out.unwrap_or_else(|| Path::new("."));
    let done = into_directory(out, |sink| shown(&engine, &request, &options, sink, bars, &cancel))?;
    closing(&done, out, began.elapsed());
    Ok(if done.report.rejected() > 0 { Exit::RowFailures } else { Exit::Ok })
}

/// Reads what is asked of a pack.
pub(super) fn request(
    parameters: &Parameters,
    asked: &RequestArgs,
    prepared: &Prepared,
) -> Result<ExportRequest, Failure> {
    let pack = &prepared.pack;
    let mapped: Vec<&str> = pack.mappings.iter().map(|m| m.resource_type.as_str()).collect();
    let mut request = ExportRequest::new(parameters, &mapped)?;
    if let Some(group) = &asked.group {
        request.level = Level::Group(group.clone());
    }
    let known = Known {
        mapped: &mapped,
        base_url: BASE_URL,
        compartment: &|_| true,
        searchable: &|resource_type, code| searchable(pack, resource_type, code),
        strict_filters: true,
    };
    for query in &asked.type_filters {
        add_filter(&mut request, query, &known)
            .map_err(|error| Failure::usage(format!("--type-filter: {error}"), &error.help))?;
    }
    Ok(request)
}

/// `--minimum-file-size` in bytes.
fn minimum_file_size(args: &ExportArgs, settings: &Settings) -> Result<Option<u64>, Failure> {
    let Some(text) = &args.minimum_file_size else { return Ok(None) };
    match size(text) {
        Some(bytes) if bytes < settings.file_size => Ok(Some(bytes)),
        Some(_) => Err(Failure::usage("--minimum-file-size is not below --file-size", "Give a larger `--file-size`.")),
        None => Err(Failure::usage(
            "--minimum-file-size is not a size",
            "Write a number of bytes from 64KiB, as in 256MiB or 1GiB.",
        )),
    }
}

/// The kick-off that would have asked a server for the same.
fn kick_off_url(request: &ExportRequest, filters: &[String]) -> String {
    let mut url = request.kick_off_url(BASE_URL);
    for query in filters {
        let mark = if url.contains('?') { '&' } else { '?' };
        // Writing to a String cannot fail.
        let _ = write!(url, "{mark}{}", filter_parameter(query));
    }
    url
}

/// Lets `work` fill a directory. When it fails nothing of it stays there.
pub(super) fn into_directory<T>(out: &Path, work: impl FnOnce(&LocalSink) -> Result<T, Failure>) -> Result<T, Failure> {
    let sink = LocalSink::open(out)?;
    work(&sink).inspect_err(|_failure| {
        if let Err(left) = sink.discard() {
            tracing::warn!(error = %left, "what the failed export had written could not be removed");
        }
    })
}

/// Exports, and shows how it goes.
pub(super) fn shown(
    engine: &Engine,
    request: &ExportRequest,
    options: &ExportOptions,
    sink: &LocalSink,
    bars: &MultiProgress,
    cancel: &CancellationToken,
) -> Result<Exported, Failure> {
    let counting = Arc::new(Counting::default());
    let look = Arc::clone(&counting);
    let display = Display::start(bars, move || look.look());
    let done = export(&engine.runtime, &engine.source, &engine.prepared, request, options, sink, &counting, cancel);
    drop(display);
    Ok(done?)
}

/// Says what was made, on standard error, so that standard output stays free for other things.
pub(super) fn closing(done: &Exported, out: &Path, elapsed: Duration) {
    let mut text = table::closing(&done.report.by_type(), elapsed);
    if io::stderr().is_terminal() {
        text.insert(0, '\n');
    }
    // Writing to a String cannot fail.
    let _ = writeln!(
        text,
        "transactionTime {}, {} files, manifest: {}",
        done.manifest.transaction_time,
        done.report.files.len(),
        out.join("manifest.json").display()
    );
    // Nobody can be told that standard error is closed.
    let _ = io::stderr().write_all(text.as_bytes());
}
