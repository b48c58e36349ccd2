//! Runs an export of a pack through the library, and the real binary over a pack on disk.

use std::{
    fs,
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use smelt::{
    bulk::{ExportRequest, Parameters},
    export::{Counting, ExportError, ExportOptions, Exported, export, prepare},
    fhir::alias,
    mapping::{
        check::check,
        pack::{Layer, PackFiles, load},
        render,
    },
    sink::LocalSink,
    source::{Source, SourceOptions},
};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

use super::database::target;

/// A runtime of the calling thread; an export drives its own connections with it.
pub fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

/// A pack of texts by path: `mappings/patient.yaml`, `sql/patients.sql`. Without a `project.yaml` it gets a plain one.
pub fn pack(files: &[(&str, &str)]) -> PackFiles {
    let mut files: Vec<(String, String)> =
        files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect();
    if !files.iter().any(|(path, _)| path == "mappings/project.yaml") {
        files.push(("mappings/project.yaml".to_owned(), "format: 1\ntimezone: UTC\n".to_owned()));
    }
    files.sort();
    PackFiles { layers: vec![Layer { name: "mappings".to_owned(), files }] }
}

/// What an export left.
pub struct Ran {
    /// The output directory.
    pub out: TempDir,
    /// Manifest and report.
    pub exported: Exported,
    /// Rendered warnings of the pack.
    pub warnings: String,
}

impl Ran {
    /// Every line of every file: resources, then deletions, then outcomes, each in the order of the manifest.
    pub fn ndjson(&self) -> String {
        let manifest = &self.exported.manifest;
        let files = manifest.output.iter().chain(manifest.deleted.iter().flatten()).chain(&manifest.outcome);
        files.map(|file| self.text(&file.url)).collect()
    }

    /// The resources of a type as JSON values.
    pub fn resources(&self, kind: &str) -> Vec<serde_json::Value> {
        let files = self.exported.manifest.output.iter().chain(&self.exported.manifest.outcome);
        let files = files.filter(|file| file.resource_type == kind);
        let text: String = files.map(|file| self.text(&file.url)).collect();
        text.split_terminator('\n').map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }

    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.out.path().join(name)).expect("a file of the manifest is there, and is UTF-8")
    }
}

/// Why there is no export.
#[derive(Debug)]
pub enum Refused {
    /// Rendered diagnostics of the pack.
    Diagnostics(String),
    /// The export failed.
    Failed(ExportError),
}

/// Checks, prepares and exports with one worker, so that the order of rows is the database's.
pub fn run(runtime: &Runtime, dsn: &str, files: &PackFiles, asked: &Parameters) -> Result<Ran, Refused> {
    let options = ExportOptions { workers: 1, ..ExportOptions::default() };
    run_with(runtime, dsn, files, asked, &options)
}

/// The same with other options.
pub fn run_with(
    runtime: &Runtime,
    dsn: &str,
    files: &PackFiles,
    asked: &Parameters,
    options: &ExportOptions,
) -> Result<Ran, Refused> {
    let checked = check(load(files, alias::builtins()));
    let Some(pack) = checked.pack else {
        return Err(Refused::Diagnostics(render::text(&checked.diagnostics, &checked.sources, false)));
    };
    let (source, prepared) = runtime.block_on(async {
        let options = SourceOptions { search_path: pack.project.schema.clone(), ..SourceOptions::default() };
        let source = Source::connect(target(dsn), options).await.expect("the source connects");
        let session = source.session().await.expect("a session");
        let (prepared, mut diagnostics) = prepare(&session, pack, checked.sources).await.expect("the session lives");
        let mut all = checked.diagnostics;
        all.append(&mut diagnostics);
        let prepared = match prepared {
            Ok(prepared) => Ok((render::text(&all, &prepared.sources, false), prepared)),
            Err(sources) => Err(Refused::Diagnostics(render::text(&all, &sources, false))),
        };
        (source, prepared)
    });
    let (warnings, prepared) = prepared?;
    let mapped: Vec<&str> = prepared.pack.mappings.iter().map(|mapping| mapping.resource_type.as_str()).collect();
    let request = ExportRequest::new(asked, &mapped).expect("a good request");
    let out = tempfile::tempdir().expect("a directory");
    let sink = LocalSink::open(out.path()).expect("a sink");
    let counting = Arc::new(Counting::default());
    let cancel = CancellationToken::new();
    match export(runtime, &source, &prepared, &request, options, &sink, &counting, &cancel) {
        Ok(exported) => Ok(Ran { out, exported, warnings }),
        Err(error) => Err(Refused::Failed(error)),
    }
}

/// Writes a pack below `home`, as [`pack`] takes it.
pub fn write(home: &Path, files: &[(&str, &str)]) {
    for (path, text) in &pack(files).layers[0].files {
        let path = home.join(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        fs::write(path, text).expect("a file");
    }
}

/// `smelt export` of the pack below `home` into `out`.
pub fn export_command(home: &Path, dsn: &str, out: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_smelt"));
    command.current_dir(home).env_clear().args(["export", "--mappings", "mappings", "--database", dsn, "--out"]);
    command.arg(out).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Waits for the process and gives its exit code, what it said on standard error, and the most memory it held, in
/// KiB (`VmHWM`, read until it is gone; the kernel's number never falls, so only the last instant can be missed).
pub fn watch(child: Child) -> (Option<i32>, String, u64) {
    let status = format!("/proc/{}/status", child.id());
    let waiting = std::thread::spawn(move || child.wait_with_output().expect("the process ends"));
    let mut peak = 0;
    while !waiting.is_finished() {
        let text = fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        peak = peak.max(line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0));
        std::thread::sleep(Duration::from_millis(1));
    }
    let output = waiting.join().expect("nobody failed");
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned(), peak)
}
