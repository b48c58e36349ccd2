//! A job's life: one step at a time, in any order with crashes between, and with threads.

mod machine;
mod pages;
mod recovery;
mod service;
mod steps;

use std::io::Read as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::config::{Event, JobsConfig};
use super::engine::Made;
use super::keeper::{Keeper, Start};
use super::record::{Job, NewJob, State};
use super::store::JobStore;
use super::testing::{FaultyStore, MemoryStore, mark, new_job, still, write_export};
use super::{JobId, OpenError};
use crate::clock::{Clock as _, SetClock};
use crate::export::ExportError;
use crate::fhir::outcome::IssueType;
use crate::sink::{LocalSink, SinkError};
use crate::source::SourceError;

const HOUR: Duration = Duration::from_hours(1);

/// A keeper over a directory and a store that outlive it.
struct World {
    _home: tempfile::TempDir,
    records: Arc<dyn JobStore>,
    store: Arc<FaultyStore>,
    clock: Arc<SetClock>,
    events: Arc<Mutex<Vec<(JobId, Event)>>>,
    config: JobsConfig,
    keeper: Keeper,
}

impl World {
    fn new() -> Self {
        Self::with(|_| {})
    }

    fn with(set: impl FnOnce(&mut JobsConfig)) -> Self {
        Self::over(Arc::new(MemoryStore::default()), set)
    }

    fn over(records: Arc<dyn JobStore>, set: impl FnOnce(&mut JobsConfig)) -> Self {
        let home = tempfile::tempdir().unwrap();
        let (clock, events) = (Arc::new(still()), Arc::new(Mutex::new(Vec::new())));
        let told = Arc::clone(&events);
        let mut config = JobsConfig::new(home.path().join("jobs"));
        config.listener = Some(Arc::new(move |event, job: &Job| told.lock().unwrap().push((job.id, event))));
        set(&mut config);
        let store = Arc::new(FaultyStore::new(Arc::clone(&records)));
        let keeper = open(&config, &store, &clock);
        Self { _home: home, records, store, clock, events, config, keeper }
    }

    /// The process dies, and another begins.
    fn crash(&mut self) {
        self.store = Arc::new(FaultyStore::new(Arc::clone(&self.records)));
        self.keeper = open(&self.config, &self.store, &self.clock);
    }

    fn submit(&self, client: &str) -> Arc<Job> {
        self.keeper.submit(client, new_job()).unwrap().job
    }

    fn job(&self, id: JobId) -> Arc<Job> {
        self.keeper.get(id).unwrap()
    }

    fn later(&self, time: Duration) {
        self.clock.set(self.clock.now_micros() + time.as_micros() as i64);
    }

    fn pass(&self, time: Duration) {
        self.later(time);
        self.keeper.tick();
    }

    /// Begins the next run.
    fn begin(&self) -> Start {
        self.keeper.next().expect("a job that may run")
    }

    fn complete(&self, start: &Start) {
        self.keeper.run_ended(start.job.id, Ok(export(start)));
    }

    fn fail(&self, start: &Start, error: ExportError) {
        // What a run that failed left behind.
        drop(LocalSink::open(&start.directory).unwrap());
        self.keeper.run_ended(start.job.id, Err(error));
    }

    fn completed(&self, client: &str) -> JobId {
        let id = self.submit(client).id;
        self.complete(&self.begin());
        id
    }

    fn directories(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.config.directory).unwrap();
        let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn events(&self, id: JobId) -> Vec<Event> {
        self.events.lock().unwrap().iter().filter(|(of, _)| *of == id).map(|(_, event)| *event).collect()
    }

    fn text(&self, id: JobId, name: &str) -> Result<String, OpenError> {
        let mut text = String::new();
        self.keeper.open_file(id, name)?.file.read_to_string(&mut text).map_err(OpenError::Io)?;
        Ok(text)
    }
}

fn open(config: &JobsConfig, store: &Arc<FaultyStore>, clock: &Arc<SetClock>) -> Keeper {
    Keeper::open(config.clone(), Arc::clone(store) as Arc<dyn JobStore>, Arc::clone(clock) as _).unwrap()
}

/// Writes what a run makes.
fn export(start: &Start) -> Made {
    let sink = LocalSink::open(&start.directory).unwrap();
    Made { manifest: write_export(&sink, &mark(&start.job)), rejected: 0 }
}

fn lost() -> ExportError {
    ExportError::Source(SourceError::Lost("closed".to_owned()))
}

fn full() -> ExportError {
    let source = std::io::Error::from(std::io::ErrorKind::StorageFull);
    ExportError::Sink(SinkError::Full { path: PathBuf::from("Patient.0001.ndjson"), source })
}

fn limited(max_unfinished: usize) -> NewJob {
    NewJob { max_unfinished: Some(max_unfinished), ..new_job() }
}

/// How a job failed.
fn failed(world: &World, id: JobId) -> (IssueType, bool) {
    match &world.job(id).state {
        State::Failed(failed) => (failed.code, failed.transient),
        state => panic!("{state:?}"),
    }
}
