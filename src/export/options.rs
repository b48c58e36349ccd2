//! How an export is run, and what it gives.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::bulk::manifest::Manifest;
use crate::bulk::report::Report;
use crate::fhir::outcome::OperationOutcome;
use crate::sink::Codec;

/// How an export is run.
#[derive(Debug, Clone)]
pub struct ExportOptions {
    /// Parallel workers, each with a thread and at least one session.
    pub workers: usize,
    /// Sessions one worker may hold for the streams of one mapping; more streams share the last one.
    pub sessions_per_worker: usize,
    /// The most bytes a file holds, not compressed, unless it is one resource; a request may ask for less.
    pub file_bytes: u64,
    /// How files are stored.
    pub codec: Codec,
    /// Bytes a worker encodes before it writes.
    pub chunk_bytes: usize,
    /// How long to wait for writers that are open when the export begins (M-02).
    pub snapshot_wait: Duration,
    /// Count the references that point to nothing.
    pub check_references: bool,
    /// What stands before file names in the manifest; nothing makes them relative to it.
    pub base_url: String,
    /// The kick-off URL the manifest repeats.
    pub request_url: String,
    /// Where the ids of mappings without `deleted` are kept, so that deletions are found by comparing.
    pub ledger: Option<PathBuf>,
    /// What is to be told beside what the export itself finds: parameters that were ignored (K-09).
    pub notices: Vec<OperationOutcome>,
    /// Who is told of files while the export goes on; without, they become visible together at its end.
    pub early: Option<Publish>,
    /// Least time between two pages of what is told early.
    pub page_interval: Duration,
}

/// Takes pages of a manifest while the export goes on.
#[derive(Clone)]
pub struct Publish(Arc<dyn Fn(Manifest) -> bool + Send + Sync>);

impl Publish {
    /// `publish` makes a page known, for good; false when it cannot, then its files come on a later page. It is called
    /// by one thread at a time.
    pub fn new(publish: impl Fn(Manifest) -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(publish))
    }

    pub(super) fn publish(&self, page: Manifest) -> bool {
        self.0(page)
    }
}

impl fmt::Debug for Publish {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Publish")
    }
}

impl Default for ExportOptions {
    fn default() -> Self {
        Self {
            workers: std::thread::available_parallelism().map_or(1, |cores| cores.get() / 2 + 1),
            sessions_per_worker: 8,
            file_bytes: 256 * 1024 * 1024,
            codec: Codec::None,
            chunk_bytes: 256 * 1024,
            snapshot_wait: Duration::from_secs(5),
            check_references: false,
            base_url: String::new(),
            request_url: String::new(),
            ledger: None,
            notices: Vec::new(),
            early: None,
            page_interval: Duration::from_secs(10),
        }
    }
}

/// A finished export.
#[derive(Debug)]
pub struct Exported {
    /// As written to `manifest.json`, but for what was published early.
    pub manifest: Manifest,
    /// As written to `report.json`.
    pub report: Report,
}
