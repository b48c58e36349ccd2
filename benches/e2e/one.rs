//! One export in a process of its own, which says at its end what it knows of itself.

use std::path::Path;
use std::process::Command;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use smelt::bulk::{ExportRequest, Level, Parameters};
use smelt::config::read_pack;
use smelt::export::{Counting, ExportOptions, Exported, export, prepare};
use smelt::fhir::alias;
use smelt::mapping::check::{Checked, check};
use smelt::mapping::pack::load;
use smelt::sink::{Codec, LocalSink, NullFile, NullSink, Scratch, Sink, SinkError, SinkFile, StoredFile};
use smelt::source::{Source, SourceOptions, Target};
use tokio_util::sync::CancellationToken;

use super::{Result, machine};

/// The command that runs [`run`]. `part` is what of the types is asked for: nothing for all of them,
/// `since=INSTANT`, `patient=ID` or `group=ID`.
pub(crate) fn command(
    url: &str,
    schema: &str,
    types: &[&str],
    part: &str,
    sink: &str,
    workers: usize,
    out: &Path,
) -> Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["one", url, schema, &types.join(","), part, sink, &workers.to_string()]).arg(out);
    Ok(command)
}

/// Exports; the arguments are those of [`command`].
pub(crate) fn run(args: &[String]) -> Result<()> {
    let [url, schema, types, part, sink, workers, out] = args else { return Err("seven arguments".into()) };
    let pack = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/e2e/pack");
    let Checked { pack, sources, .. } = check(load(&read_pack(&pack)?, alias::builtins()));
    let mut pack = pack.ok_or("the pack has errors")?;
    pack.project.schema = vec![schema.to_owned()];
    let options = ExportOptions {
        workers: workers.parse()?,
        codec: match sink.as_str() {
            "gzip" => Codec::Gzip,
            "zstd" => Codec::Zstd,
            _ => Codec::None,
        },
        ..ExportOptions::default()
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (source, prepared) = runtime.block_on(async {
        let target = Target::resolve(Some(url), &|_| None)?;
        let source_options =
            SourceOptions { search_path: pack.project.schema.clone(), max_connections: 40, ..SourceOptions::default() };
        let source = Source::connect(target, source_options).await?;
        let session = source.session().await?;
        let (prepared, _) = prepare(&session, pack, sources).await?;
        drop(session);
        Ok::<_, Box<dyn std::error::Error>>((source, prepared.ok().ok_or("the pack does not fit the store")?))
    })?;
    let mut given = Parameters { types: vec![types.to_owned()], ..Parameters::default() };
    let group = match part.split_once('=') {
        None => None,
        Some(("since", instant)) => {
            given.since = Some(instant.to_owned());
            None
        }
        Some(("patient", id)) => {
            given.patients = vec![id.to_owned()];
            None
        }
        Some(("group", id)) => Some(id.to_owned()),
        Some(_) => return Err("no such part".into()),
    };
    let mapped: Vec<&str> = prepared.pack.mappings.iter().map(|mapping| mapping.resource_type.as_str()).collect();
    let mut request = ExportRequest::new(&given, &mapped)?;
    if let Some(id) = group {
        request.level = Level::Group(id);
    }
    let (progress, cancel) = (Counting::default(), CancellationToken::new());
    let exported: Exported = if sink == "null" {
        let sink = Timed { sink: NullSink::default(), began: Instant::now(), first: Arc::default() };
        let exported = export(&runtime, &source, &prepared, &request, &options, &sink, &progress, &cancel)?;
        say("first", sink.first.get().copied().unwrap_or_default() * 1e3);
        exported
    } else {
        let sink = LocalSink::open(Path::new(out))?;
        export(&runtime, &source, &prepared, &request, &options, &sink, &progress, &cancel)?
    };
    say("resources", exported.manifest.output.iter().map(|file| file.count as f64).sum());
    say("bytes", exported.manifest.output.iter().map(|file| file.file_size as f64).sum());
    say("rss", machine::peak_rss()?);
    Ok(())
}

#[expect(clippy::print_stderr, reason = "the parent reads it there")]
fn say(name: &str, value: f64) {
    eprintln!("{name} {value}");
}

/// A sink that stores nothing and knows when the first bytes came.
struct Timed {
    sink: NullSink,
    began: Instant,
    first: Arc<OnceLock<f64>>,
}

struct TimedFile {
    file: NullFile,
    began: Instant,
    first: Arc<OnceLock<f64>>,
}

impl Sink for Timed {
    type File = TimedFile;

    fn create(&self, name: &str, codec: Codec) -> std::result::Result<TimedFile, SinkError> {
        Ok(TimedFile { file: self.sink.create(name, codec)?, began: self.began, first: Arc::clone(&self.first) })
    }

    fn scratch(&self) -> std::result::Result<Scratch, SinkError> {
        self.sink.scratch()
    }

    fn finish(&self) -> std::result::Result<(), SinkError> {
        self.sink.finish()
    }
}

impl SinkFile for TimedFile {
    fn write(&mut self, bytes: &[u8]) -> std::result::Result<(), SinkError> {
        self.first.get_or_init(|| self.began.elapsed().as_secs_f64());
        self.file.write(bytes)
    }

    fn raw_bytes(&self) -> u64 {
        self.file.raw_bytes()
    }

    fn end(&mut self) -> std::result::Result<(), SinkError> {
        self.file.end()
    }

    fn seal(&mut self) -> std::result::Result<(), SinkError> {
        self.file.seal()
    }

    fn commit(self) -> std::result::Result<StoredFile, SinkError> {
        self.file.commit()
    }
}
