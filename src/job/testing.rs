//! What tests of this room and of those above it hold jobs with: a clock that stands still, stores that forget or
//! break, an engine that obeys. Nothing here sleeps.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::JobId;
use super::engine::{CheckError, Engine, Made};
use super::record::{Job, NewJob};
use super::store::{JobStore, StoreError};
use crate::bulk::manifest::{ManifestExtension, Stored};
use crate::bulk::{ExportRequest, Manifest, ManifestFile, Roster, TypeFilter};
use crate::clock::SetClock;
use crate::export::{Counting, ExportError, Publish};
use crate::sink::{Codec, LocalSink, Sink as _, SinkFile as _};

/// A clock that stands still until it is moved.
pub(crate) fn still() -> SetClock {
    SetClock::at(1_700_000_000_000_000)
}

/// Keeps records for as long as it lives.
#[derive(Debug, Default)]
pub(crate) struct MemoryStore(Mutex<BTreeMap<JobId, Job>>);

impl JobStore for MemoryStore {
    fn put(&self, job: &Job) -> Result<(), StoreError> {
        self.0.lock().unwrap().insert(job.id, job.clone());
        Ok(())
    }

    fn get(&self, id: JobId) -> Result<Option<Job>, StoreError> {
        Ok(self.0.lock().unwrap().get(&id).cloned())
    }

    fn remove(&self, id: JobId) -> Result<bool, StoreError> {
        Ok(self.0.lock().unwrap().remove(&id).is_some())
    }

    fn all(&self) -> Result<Vec<Job>, StoreError> {
        Ok(self.0.lock().unwrap().values().cloned().collect())
    }
}

/// When a store breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Break {
    /// Before the write after this many more has happened.
    Before(u32),
    /// After it has happened, before anybody hears of it.
    After(u32),
}

/// A store that breaks, and stays broken until it is mended: the disk is full, or the process is about to die.
pub(crate) struct FaultyStore {
    inner: Arc<dyn JobStore>,
    plan: Mutex<Option<Break>>,
    broken: AtomicBool,
}

impl FaultyStore {
    pub(crate) fn new(inner: Arc<dyn JobStore>) -> Self {
        Self { inner, plan: Mutex::new(None), broken: AtomicBool::new(false) }
    }

    pub(crate) fn plan(&self, plan: Break) {
        *self.plan.lock().unwrap() = Some(plan);
    }

    pub(crate) fn set_broken(&self, broken: bool) {
        self.broken.store(broken, SeqCst);
    }

    pub(crate) fn is_broken(&self) -> bool {
        self.broken.load(SeqCst)
    }

    fn write<T>(&self, write: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
        let broken = Err(StoreError::Other("broken for a test"));
        if self.is_broken() {
            return broken;
        }
        let mut plan = self.plan.lock().unwrap();
        match *plan {
            Some(Break::Before(0)) => {
                self.set_broken(true);
                return broken;
            }
            Some(Break::After(0)) => {
                self.set_broken(true);
                write()?;
                return broken;
            }
            Some(Break::Before(left)) => *plan = Some(Break::Before(left - 1)),
            Some(Break::After(left)) => *plan = Some(Break::After(left - 1)),
            None => {}
        }
        write()
    }
}

impl JobStore for FaultyStore {
    fn put(&self, job: &Job) -> Result<(), StoreError> {
        self.write(|| self.inner.put(job))
    }

    fn get(&self, id: JobId) -> Result<Option<Job>, StoreError> {
        self.inner.get(id)
    }

    fn remove(&self, id: JobId) -> Result<bool, StoreError> {
        self.write(|| self.inner.remove(id))
    }

    fn all(&self) -> Result<Vec<Job>, StoreError> {
        self.inner.all()
    }
}

type Orders = HashMap<JobId, oneshot::Sender<Result<(), ExportError>>>;

/// An engine whose exports end when they are told to, or are stopped; a prompt one ends them at once.
#[derive(Default)]
pub(crate) struct FakeEngine {
    prompt: bool,
    orders: Mutex<Orders>,
    begun: tokio::sync::Notify,
}

impl FakeEngine {
    pub(crate) fn prompt() -> Self {
        Self { prompt: true, ..Self::default() }
    }

    /// Waits until a run has begun.
    pub(crate) async fn began(&self, id: JobId) {
        loop {
            let begun = self.begun.notified();
            if self.orders.lock().unwrap().contains_key(&id) {
                return;
            }
            begun.await;
        }
    }

    /// Ends a run that has begun.
    pub(crate) fn end(&self, id: JobId, result: Result<(), ExportError>) {
        let order = self.orders.lock().unwrap().remove(&id).expect("a run that has begun");
        // A run that was stopped meanwhile hears no more.
        let _ = order.send(result);
    }

    /// Makes a run panic.
    pub(crate) fn panic(&self, id: JobId) {
        self.orders.lock().unwrap().remove(&id).expect("a run that has begun");
    }
}

impl Engine for FakeEngine {
    fn export(
        &self,
        job: &Job,
        directory: &Path,
        _progress: &Counting,
        cancel: &CancellationToken,
        _publish: &Publish,
    ) -> Result<Made, ExportError> {
        let sink = LocalSink::open(directory)?;
        if !self.prompt {
            let (order, ordered) = oneshot::channel();
            self.orders.lock().unwrap().insert(job.id, order);
            self.begun.notify_waiters();
            let runtime = tokio::runtime::Builder::new_current_thread().build().map_err(ExportError::Runtime)?;
            runtime.block_on(async {
                tokio::select! {
                    biased;
                    () = cancel.cancelled() => Err(ExportError::Cancelled),
                    result = ordered => result.expect("an order, or a panic that was asked for"),
                }
            })?;
        }
        Ok(Made { manifest: write_export(&sink, &mark(job)), rejected: 1 })
    }

    fn check(&self, request: &ExportRequest) -> Result<(), CheckError> {
        if request.patients.iter().any(|id| id == "nobody") {
            return Err(CheckError::UnknownPatients(vec!["nobody".to_owned()]));
        }
        Ok(())
    }

    fn unknown_patients(&self, roster: &Roster, _told: usize) -> Result<(Vec<String>, usize), CheckError> {
        Ok(if roster.contains("nobody") { (vec!["nobody".to_owned()], 1) } else { (Vec::new(), 0) })
    }

    fn groups(&self, _id: Option<&str>, _withheld: &[TypeFilter]) -> Result<Vec<Vec<u8>>, CheckError> {
        Ok(vec![br#"{"resourceType":"Group","id":"g-1"}"#.to_vec()])
    }
}

/// A kick-off for everything.
pub(crate) fn new_job() -> NewJob {
    let types = vec!["Observation".to_owned(), "Patient".to_owned()];
    NewJob {
        request: ExportRequest { types, ..ExportRequest::default() },
        request_url: "https://smelt.example/fhir/$export".to_owned(),
        dialect: "compatible".to_owned(),
        separate_status: false,
        ignored: Vec::new(),
        max_unfinished: None,
    }
}

/// The mark of a job's present run.
pub(crate) fn mark(job: &Job) -> String {
    format!("{}-{}", job.id, job.attempts)
}

/// The line in the file of an export that bears a mark.
pub(crate) fn line(mark: &str) -> String {
    format!("{{\"resourceType\":\"Patient\",\"id\":\"{mark}\"}}\n")
}

/// The manifest of an export that bears a mark.
pub(crate) fn manifest(mark: &str) -> Manifest {
    let file = |resource_type: &str, url: &str| {
        let size = line(mark).len() as u64;
        let stored = Stored { stored_size: size, sha256: Some("ab".to_owned()), content_encoding: None };
        ManifestFile {
            resource_type: resource_type.to_owned(),
            url: url.to_owned(),
            continues_in_file: None,
            count: 1,
            file_size: size,
            stored,
        }
    };
    Manifest {
        transaction_time: mark.to_owned(),
        request: "https://smelt.example/fhir/$export".to_owned(),
        requires_access_token: false,
        output_organized_by: None,
        output: vec![file("Patient", "Patient.0001.ndjson")],
        deleted: Some(vec![file("Bundle", "deleted.0001.ndjson")]),
        outcome: vec![file("OperationOutcome", "OperationOutcome.0001.ndjson")],
        extension: ManifestExtension {
            software: "smelt".to_owned(),
            pack: "test".to_owned(),
            pack_digest: "cd".to_owned(),
        },
    }
}

/// Writes a whole export, as the real one does: files, then the manifest, then the journal is closed.
pub(crate) fn write_export(sink: &LocalSink, mark: &str) -> Manifest {
    let manifest = manifest(mark);
    let write = |name: &str, bytes: &[u8]| {
        let mut file = sink.create(name, Codec::None).unwrap();
        file.write(bytes).unwrap();
        file.commit().unwrap();
    };
    for file in manifest.output.iter().chain(manifest.deleted.iter().flatten()).chain(&manifest.outcome) {
        write(&file.url, line(mark).as_bytes());
    }
    write("manifest.json", &serde_json::to_vec(&manifest).unwrap());
    sink.finish().unwrap();
    manifest
}
