//! Snapshot → patients → proofs → splits → workers → files → manifest.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

use super::added::Added;
use super::failures::Tally;
use super::ledger::Deletions;
use super::listing::{Listed, Listing, OUTCOMES};
use super::organize::{self, Made, Spool, Target};
use super::phase::phase;
use super::plan::{Part, Planned, deletions_unknown, notice, plan, text_of};
use super::prepare::Prepared;
use super::progress::Counting;
use super::shelf::{Filled, Shelf, Store};
use super::worker::{Done, Pages, Shared, Task};
use super::{ExportError, ExportOptions, Exported};
use crate::bulk::manifest::{Manifest, ManifestExtension};
use crate::bulk::report::{BLOCKS, Report, Request, Timings, Versions, Watermark};
use crate::bulk::request::ExportRequest;
use crate::fhir::instant::Instant as FhirInstant;
use crate::fhir::outcome::{IssueType, OperationOutcome};
use crate::sink::{Codec, Sink, SinkFile as _};
use crate::source::Source;

/// How many files an export may have whose client chose their size: each costs time, memory and a line of the manifest.
const MOST_FILES: usize = 10_000;

/// Runs an export into `sink`. Blocks; `runtime` is the caller's own and drives the snapshot's connection meanwhile.
///
/// Files become visible together, the manifest last. When it fails nothing of it is visible under its name.
///
/// # Errors
///
/// The first failure of any worker, or [`ExportError::Cancelled`].
#[expect(clippy::too_many_arguments, reason = "each is a part of its own: where from, what, how, where to, who looks")]
pub fn export<S: Sink>(
    runtime: &Runtime,
    source: &Source,
    prepared: &Prepared,
    request: &ExportRequest,
    options: &ExportOptions,
    sink: &S,
    progress: &Counting,
    cancel: &CancellationToken,
) -> Result<Exported, ExportError> {
    let began = Instant::now();
    let stop = cancel.child_token();
    let _stop_at_end = stop.clone().drop_guard();
    let planned = runtime.block_on(async {
        tokio::select! {
            biased;
            () = stop.cancelled() => Err(ExportError::Cancelled),
            planned = plan(source, prepared, request, options) => planned,
        }
    })?;
    let plan_seconds = began.elapsed().as_secs_f64();
    let Planned { snapshot, parts, added, deletes, undeclared, mut notices, mut proofs, mut ledgers } = planned;

    let spool = Spool::of(&parts);
    expect(progress, &parts, &added, spool.is_some());
    let declared = !deletes.is_empty();
    let mut tasks = tasks(&parts);
    tasks.extend(deletes);

    let files = request.files;
    let largest = options.file_bytes.min(files.maximum.unwrap_or(u64::MAX));
    if files.minimum.is_some_and(|minimum| minimum >= largest) {
        notices.push(notice(
            IssueType::Informational,
            &format!(
                "files do not have the size of `_minimumFileSize`: this server makes none larger than {largest} bytes"
            ),
        ));
    }
    let known_at = request.cohort.as_ref().map_or(i64::MAX, |cohort| cohort.asked_at);
    let transaction_time = instant(snapshot.transaction_time().min(known_at));
    let page = page(prepared, request, options, &transaction_time);
    let listing = Mutex::new(Listing::new(options, page, stop.clone()));
    let mut store = Store::new(sink, options.codec, largest, files.maximum.map_or(usize::MAX, |_| MOST_FILES));
    if options.early.is_some() {
        store = store.early(&listing);
    }
    let shelf = Shelf::new(&store);
    let mut shared = Shared {
        store: &store,
        shelf: files.minimum.map(|_| &shelf),
        snapshot: snapshot.clone(),
        queue: Mutex::default(),
        progress,
        pages: options.early.is_some().then_some(Pages { listing: &listing, every: options.page_interval }),
        cancel: stop.clone(),
        chunk_bytes: options.chunk_bytes,
        sessions: options.sessions_per_worker.max(1),
        spool,
        gather: added.gather(&parts, prepared.pack.mappings.iter().map(|mapping| mapping.resource_type.as_str())),
    };
    let workers = options.workers.max(1);
    let checks = async {
        proofs.run(&snapshot).await?;
        match &mut ledgers {
            Some(ledgers) => ledgers.read(&snapshot, options.chunk_bytes).await,
            None => Ok(()),
        }
    };
    let mut done = phase(runtime, &shared, workers, tasks, checks)?;
    done.extend(added.run(&parts, &shared, |tasks| {
        let workers = workers.min(tasks.len());
        phase(runtime, &shared, workers, tasks, std::future::ready(Ok(())))
    })?);
    runtime.block_on(snapshot.release());
    for addition in added.all() {
        progress.finish(&parts[addition.part].compiled.program.resource_type);
    }

    let (mut whole, mut tallies) = collect(done, parts.len());
    if let Some(spool) = shared.spool.take() {
        let target = Target { store: &store, progress, cancel: &stop };
        // One of them leaves one small file.
        let workers = files.minimum.map_or(options.workers, |_| 1);
        let Made { files, context, told } = organize::write(&target, spool, workers)?;
        whole.extend(files);
        notices.extend(told);
        for (tally, (unused, copies)) in tallies.iter_mut().zip(context) {
            tally.filtered += unused;
            tally.repeated = copies.saturating_sub(tally.counts.emitted - tally.filtered);
        }
    }
    let at = snapshot.transaction_time().div_euclid(1_000) * 1_000;
    let (mut known, mut ledger) = (declared, None);
    if let Some(ledgers) = ledgers {
        let mut deletions = Deletions::new(&shelf);
        let merged =
            ledgers.merge(&prepared.pack.project.name, at, request.since, &stop, |kind, id| deletions.add(kind, id))?;
        for told in &merged.told {
            match told.unknown_before {
                Some(before) => notices.push(deletions_unknown(told.mapping, Some(before))),
                None if request.since.is_some() => {
                    known = true;
                    if let Some(tally) = tallies.get_mut(told.part) {
                        tally.deleted = Some(told.deleted);
                    }
                }
                None => {}
            }
        }
        ledger = Some(merged);
    }
    if known {
        notices.extend(undeclared.into_iter().map(|mapping| deletions_unknown(mapping, None)));
    }
    whole.extend(shelf.end()?);
    outcomes(&shelf, &parts, &tallies, &notices)?;
    whole.extend(shelf.end()?);
    let mut listing = listing.into_inner().unwrap_or_else(PoisonError::into_inner);
    whole.into_iter().try_for_each(|file| listing.add(file))?;
    let Listed { page: manifest, whole, told } = listing.end(known);
    let report = Report {
        format: 1,
        versions: versions(source, prepared),
        request: asked(request, options),
        watermark: Watermark { transaction_time, quality: snapshot.watermark().to_string() },
        timings: Timings { plan_seconds, export_seconds: began.elapsed().as_secs_f64() - plan_seconds },
        mappings: parts
            .iter()
            .zip(&tallies)
            .map(|(part, tally)| {
                let names: Vec<&str> = part.mapping.header.updated.iter().map(|name| name.text.as_str()).collect();
                let updated = (!names.is_empty()).then(|| names.join(", "));
                let mut report = tally.report(&part.compiled, proofs.of(&part.mapping.name), updated);
                report.dangling_by_path = proofs.dangling(&part.mapping.name);
                report
            })
            .collect(),
        files: told,
    };
    let write = |name: &str, bytes: Vec<u8>| -> Result<(), ExportError> {
        let mut file = sink.create(name, Codec::None)?;
        file.write(&bytes)?;
        file.commit()?;
        Ok(())
    };
    // Before the manifest: a consumer must not hold what no ledger knows.
    if let Some(ledger) = ledger {
        ledger.install()?;
    }
    write("report.json", report.to_json().map_err(ExportError::Manifest)?)?;
    // Last: where it is, the export is whole.
    write("manifest.json", whole.to_file_json().map_err(ExportError::Manifest)?)?;
    sink.finish()?;
    Ok(Exported { manifest, report })
}

/// Says how much is expected of each type.
fn expect(progress: &Counting, parts: &[Part<'_>], added: &Added, by_patient: bool) {
    let mut estimates: Vec<(String, u64)> = Vec::new();
    for (at, part) in parts.iter().enumerate() {
        let name = &part.compiled.program.resource_type;
        // How many rows of what is pointed to are read, nobody knows.
        let unknown = part.ranges.is_empty() && added.context.iter().any(|addition| addition.part == at);
        let rows = if unknown { 0 } else { part.estimate };
        match estimates.iter_mut().find(|(known, _)| known == name) {
            Some((_, estimate)) => *estimate += rows,
            None => estimates.push((name.clone(), rows)),
        }
    }
    if by_patient {
        estimates.push((BLOCKS.to_owned(), estimates.iter().map(|(_, estimate)| estimate).sum()));
    }
    progress.begin(estimates);
    progress.expect(BLOCKS, 1);
    for part in parts {
        progress.expect(&part.compiled.program.resource_type, part.ranges.len() as u64);
    }
    for addition in added.all() {
        // Its type is not done before everything is.
        progress.expect(&parts[addition.part].compiled.program.resource_type, 1);
    }
}

/// A task for every range of every part.
fn tasks(parts: &[Part<'_>]) -> Vec<Task> {
    let tasks = parts.iter().enumerate().flat_map(|(tally, part)| {
        part.ranges.iter().map(move |range| Task {
            compiled: Arc::clone(&part.compiled),
            tally,
            filter: Arc::clone(&part.filter),
            range: range.clone(),
            estimate: part.estimate / part.ranges.len() as u64,
            only: part.only.clone(),
            keep: None,
            again: false,
            deletes: false,
        })
    });
    tasks.collect()
}

/// A page of the manifest that lists nothing yet.
fn page(prepared: &Prepared, request: &ExportRequest, options: &ExportOptions, transaction_time: &str) -> Manifest {
    Manifest {
        transaction_time: transaction_time.to_owned(),
        request: options.request_url.clone(),
        requires_access_token: false,
        output_organized_by: request.by_patient.then(|| "Patient".to_owned()),
        output: Vec::new(),
        deleted: None,
        outcome: Vec::new(),
        extension: ManifestExtension {
            software: concat!("smelt ", env!("CARGO_PKG_VERSION")).to_owned(),
            pack: prepared.pack.project.name.clone(),
            pack_digest: prepared.pack.digest.clone(),
        },
    }
}

/// The files of all workers, and what they counted for each part.
fn collect<F>(done: Vec<Done<F>>, parts: usize) -> (Vec<Filled<F>>, Vec<Tally>) {
    let (mut files, mut tallies) = (Vec::new(), Vec::new());
    tallies.resize_with(parts, Tally::default);
    for one in done {
        files.extend(one.files);
        for (tally, counted) in one.tallies {
            if let Some(tally) = tallies.get_mut(tally) {
                tally.merge(counted);
            }
        }
    }
    (files, tallies)
}

fn versions(source: &Source, prepared: &Prepared) -> Versions {
    let postgresql = source.version();
    Versions {
        smelt: env!("CARGO_PKG_VERSION").to_owned(),
        fhir: "4.0.1".to_owned(),
        postgresql: format!("{}.{}", postgresql / 10_000, postgresql % 10_000),
        pack: prepared.pack.project.name.clone(),
        pack_digest: prepared.pack.digest.clone(),
    }
}

/// What was asked for, without the ids of patients.
fn asked(request: &ExportRequest, options: &ExportOptions) -> Request {
    Request {
        types: request.types.clone(),
        since: request.since.map(text_of),
        until: request.until.map(text_of),
        organized_by: request.by_patient.then(|| "Patient".to_owned()),
        patient_count: (!request.patients.is_empty()).then_some(request.patients.len() as u64),
        associated: request.associated.values().into_iter().map(str::to_owned).collect(),
        workers: options.workers as u32,
    }
}

/// A FHIR instant; microseconds are rounded down to milliseconds, so that nothing is lost between two exports.
pub(super) fn instant(micros: i64) -> String {
    FhirInstant::from_unix_micros(micros).map(|instant| instant.to_string()).unwrap_or_default()
}

/// Writes what is to be told about the export.
fn outcomes<S: Sink>(
    shelf: &Shelf<'_, S>,
    parts: &[Part<'_>],
    tallies: &[Tally],
    notices: &[OperationOutcome],
) -> Result<(), ExportError> {
    let mut lines = Vec::new();
    let mut count = notices.len() as u64;
    for notice in notices {
        lines.extend_from_slice(notice.to_json_line().as_bytes());
    }
    for (part, tally) in parts.iter().zip(tallies) {
        count += tally.outcomes(&part.compiled.program, &mut lines);
    }
    shelf.put(OUTCOMES, &lines, count)
}
