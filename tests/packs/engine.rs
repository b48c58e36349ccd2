//! The engine on a store, as a server has it.

use std::collections::BTreeMap;
use std::fs;

use serde_json::Value;
use smelt::bulk::{ExportRequest, Report};
use smelt::config::read_pack;
use smelt::export::{Counting, ExportError, ExportOptions, Prepared, check, export, prepare};
use smelt::fhir::alias;
use smelt::mapping::check::check as check_pack;
use smelt::mapping::pack::{PackFiles, load};
use smelt::plan::select::Statement;
use smelt::sink::LocalSink;
use smelt::source::{Source, SourceOptions, Target};
use tokio::runtime::Runtime;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use super::store::demo;
use crate::rust_text::root;
use crate::support::database::Database;

/// A pack on a store.
pub(super) struct Engine {
    pub(super) runtime: Runtime,
    pub(super) source: Source,
    pub(super) prepared: Prepared,
}

/// What an export made.
#[derive(Debug)]
pub(super) struct Made {
    pub(super) resources: BTreeMap<String, Vec<Value>>,
    pub(super) outcomes: Vec<String>,
    pub(super) report: Report,
}

impl Engine {
    /// On the demo store, or another with its tables.
    pub(super) fn open(database: &Database) -> Self {
        let files = read_pack(&root().join("mappings/synthea")).expect("a pack");
        Self::with_pack(database, &files).expect("a pack that fits")
    }

    /// `None` when the pack has errors.
    pub(super) fn with_pack(database: &Database, files: &PackFiles) -> Option<Self> {
        let checked = check_pack(load(files, alias::builtins()));
        let (pack, sources) = (checked.pack?, checked.sources);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let (source, prepared) = runtime.block_on(async {
            let target = Target::resolve(Some(database.dsn()), &|_| None).expect("a target");
            let search_path = pack.project.schema.clone();
            let options = SourceOptions { search_path, max_connections: 20, ..SourceOptions::default() };
            let source = Source::connect(target, options).await.expect("a server");
            let session = source.session().await.expect("a session");
            let (prepared, _) = prepare(&session, pack, sources).await.expect("an answer");
            drop(session);
            (source, prepared)
        });
        Some(Self { runtime, source, prepared: prepared.ok()? })
    }

    pub(super) fn export(&self, request: &ExportRequest) -> Result<Made, ExportError> {
        let out = tempfile::tempdir().expect("a directory");
        let sink = LocalSink::open(&out.path().join("out")).expect("a sink");
        let (progress, cancel) = (Counting::default(), CancellationToken::new());
        // Small chunks, so that resources of some size are spilled.
        let options = ExportOptions { chunk_bytes: 4096, ..ExportOptions::default() };
        let made = export(&self.runtime, &self.source, &self.prepared, request, &options, &sink, &progress, &cancel)?;
        let lines = |name: &str| fs::read_to_string(out.path().join("out").join(name)).expect("a file");
        let mut resources: BTreeMap<String, Vec<Value>> = BTreeMap::new();
        for file in &made.manifest.output {
            let text = lines(&file.url);
            assert_eq!(text.lines().count() as u64, file.count, "M-09");
            let found = text.lines().map(|line| serde_json::from_str(line).expect("JSON"));
            resources.entry(file.resource_type.clone()).or_default().extend(found);
        }
        let outcomes = made
            .manifest
            .outcome
            .iter()
            .flat_map(|file| lines(&file.url).lines().map(str::to_owned).collect::<Vec<_>>());
        Ok(Made { resources, outcomes: outcomes.collect(), report: made.report })
    }

    /// The first column of a query.
    pub(super) fn texts(&self, sql: &str) -> Vec<String> {
        let statement = Statement { text: sql.to_owned(), params: Vec::new() };
        let rows = self.runtime.block_on(async {
            self.source.session().await.expect("a session").query_text(&statement).await.expect("rows")
        });
        rows.into_iter().map(|row| row.into_iter().next().flatten().expect("a text")).collect()
    }

    pub(super) fn check(&self, request: &ExportRequest) -> Result<(), ExportError> {
        self.runtime.block_on(check(&self.source, &self.prepared, request, None))
    }
}

/// Runs `test` off the runtime of the test: an export blocks. One at a time: the demo's resources take gigabytes as trees.
pub(super) async fn with_engine(test: impl FnOnce(&Engine) + Send + 'static) {
    static ONE: Mutex<()> = Mutex::const_new(());
    let _one = ONE.lock().await;
    let database = demo().await;
    tokio::task::spawn_blocking(move || test(&Engine::open(database))).await.expect("the test holds");
}
