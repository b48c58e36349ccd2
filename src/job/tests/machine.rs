//! Any steps in any order, with crashes at any write and a drain now and then: what a client may rely on always holds.
//!
//! * An accepted job is there until it is deleted or its time is over; a deleted one never comes back (D-02, S-20).
//! * A job ends once, and its end does not change (S-14, S-17); its files are those of the run its manifest names.
//! * A page that was published stays as it is, and all of a job's files come from one run (S-14, S-16).
//! * What is shown is what the store holds.
//! * A job is run by one run at a time, and not more often than is allowed.
//! * No directory belongs to nobody.
//! * After the last crash every job comes to its end.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::super::record::{State, Submitted};
use super::super::testing::{Break, line, manifest};
use super::super::{RedbStore, open_state};
use super::*;
use crate::bulk::Manifest;

const MAX_RUNNING: usize = 2;
const MAX_ATTEMPTS: u32 = 3;
const MAX_UNFINISHED: usize = 3;
const KEPT_FOR: Duration = Duration::from_secs(1000);

#[derive(Debug, Clone)]
enum Op {
    Submit(u8),
    Begin,
    Publish(usize),
    Complete(usize),
    Lose(usize),
    Fail(usize),
    Delete(usize),
    Pass(u16),
    /// A file of this job is opened, or, every other time, closed.
    Read(usize),
    /// The store breaks at a later write, and the process dies with it.
    BreakBefore(u32),
    BreakAfter(u32),
    /// The process dies; a run may have been whole already.
    Crash(Option<usize>),
    /// The process ends in good order.
    Restart,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        8 => (0..3_u8).prop_map(Op::Submit),
        8 => Just(Op::Begin),
        3 => any::<usize>().prop_map(Op::Publish),
        6 => any::<usize>().prop_map(Op::Complete),
        3 => any::<usize>().prop_map(Op::Lose),
        2 => any::<usize>().prop_map(Op::Fail),
        4 => any::<usize>().prop_map(Op::Delete),
        4 => (0..800_u16).prop_map(Op::Pass),
        2 => any::<usize>().prop_map(Op::Read),
        1 => (0..4_u32).prop_map(Op::BreakBefore),
        1 => (0..4_u32).prop_map(Op::BreakAfter),
        2 => prop::option::of(any::<usize>()).prop_map(Op::Crash),
        1 => Just(Op::Restart),
    ]
}

/// What a client knows about a job it was given.
#[derive(Debug, Default)]
struct Known {
    client: String,
    /// How it ended, when that has been seen.
    end: Option<Arc<Job>>,
    /// Pages that have been seen.
    pages: Vec<Manifest>,
    deleted: bool,
    /// Its deletion met an error: it may have happened.
    perhaps_deleted: bool,
}

const HALF: &str = ".Half.0001.ndjson.part";

/// Writes what a run makes, without waiting for the disk.
fn write(start: &Start) -> Made {
    std::fs::remove_file(start.directory.join(HALF)).unwrap();
    let mark = mark(&start.job);
    for name in ["Patient.0001.ndjson", "deleted.0001.ndjson", "OperationOutcome.0001.ndjson", "manifest.json"] {
        std::fs::write(start.directory.join(name), line(&mark)).unwrap();
    }
    Made { manifest: manifest(&mark), rejected: 0 }
}

struct Machine {
    world: World,
    runs: Vec<Start>,
    known: BTreeMap<JobId, Known>,
    reading: Vec<super::super::OpenFile>,
}

impl Machine {
    fn new(records: Arc<dyn JobStore>) -> Self {
        let world = World::over(records, |config| {
            config.max_running = MAX_RUNNING;
            config.max_attempts = MAX_ATTEMPTS;
            config.max_unfinished_per_client = MAX_UNFINISHED;
            config.max_queued = 4;
            config.kept_for = KEPT_FOR;
        });
        Self { world, runs: Vec::new(), known: BTreeMap::new(), reading: Vec::new() }
    }

    fn step(&mut self, op: &Op) {
        match op {
            Op::Submit(client) => self.submit(&format!("client {client}")),
            Op::Begin => self.begin(),
            Op::Publish(which) => self.publish(*which),
            Op::Complete(which) => {
                if let Some(start) = self.pick(*which) {
                    self.complete(&start);
                }
            }
            Op::Lose(which) => self.fail(*which, lost()),
            Op::Fail(which) => self.fail(*which, ExportError::WorkerDied),
            Op::Delete(which) => self.delete(*which),
            Op::Pass(seconds) => self.world.pass(Duration::from_secs(u64::from(*seconds))),
            Op::Read(which) => self.read(*which),
            Op::BreakBefore(writes) => self.world.store.plan(Break::Before(*writes)),
            Op::BreakAfter(writes) => self.world.store.plan(Break::After(*writes)),
            Op::Crash(whole) => self.crash(*whole),
            Op::Restart => self.restart(),
        }
    }

    fn submit(&mut self, client: &str) {
        let unfinished = |known: &&Known| known.client == client && known.end.is_none() && !known.deleted;
        if let Ok(Submitted { job, .. }) = self.world.keeper.submit(client, new_job()) {
            assert!(self.known.values().filter(unfinished).count() < MAX_UNFINISHED + 1, "K-14");
            let known = Known { client: client.to_owned(), ..Known::default() };
            assert!(self.known.insert(job.id, known).is_none(), "an id is given once");
        }
    }

    fn begin(&mut self) {
        if let Some(start) = self.world.keeper.next() {
            assert!(!self.runs.iter().any(|run| run.job.id == start.job.id), "one run at a time");
            assert!(!start.directory.exists(), "it begins with nothing");
            // What a run has written when it is interrupted.
            std::fs::create_dir(&start.directory).unwrap();
            std::fs::write(start.directory.join(HALF), "{").unwrap();
            self.runs.push(start);
        }
    }

    fn pick(&mut self, which: usize) -> Option<Start> {
        (!self.runs.is_empty()).then(|| self.runs.swap_remove(which % self.runs.len()))
    }

    fn publish(&mut self, which: usize) {
        let place = which % self.runs.len().max(1);
        let Some(start) = self.runs.get(place) else { return };
        let number = self.world.keeper.get(start.job.id).map_or(0, |job| job.pages.len()) + 1;
        let mark = mark(&start.job);
        let mut page = Manifest { deleted: None, outcome: Vec::new(), ..manifest(&mark) };
        page.output[0].url = format!("Early.{number:04}.ndjson");
        std::fs::write(start.directory.join(&page.output[0].url), line(&mark)).unwrap();
        self.world.keeper.publish(start.job.id, page);
    }

    fn complete(&self, start: &Start) {
        self.world.keeper.run_ended(start.job.id, Ok(write(start)));
    }

    fn fail(&mut self, which: usize, error: ExportError) {
        if let Some(start) = self.pick(which) {
            let error = if start.cancel.is_cancelled() { ExportError::Cancelled } else { error };
            self.world.keeper.run_ended(start.job.id, Err(error));
        }
    }

    fn delete(&mut self, which: usize) {
        let place = which % self.known.len().max(1);
        let Some((id, known)) = self.known.iter_mut().nth(place) else { return };
        let there = self.world.keeper.get(*id).is_some();
        match self.world.keeper.delete(*id) {
            Ok(removed) => {
                assert_eq!(removed.is_some(), there);
                if let Some(removed) = removed {
                    known.deleted = true;
                    removed.remove_files();
                }
            }
            Err(_) => known.perhaps_deleted = true,
        }
    }

    fn read(&mut self, which: usize) {
        if which.is_multiple_of(2) {
            self.reading.clear();
        } else if let Some(id) = self.known.keys().nth(which % self.known.len().max(1)) {
            self.reading.extend(self.world.keeper.open_file(*id, "Patient.0001.ndjson").ok());
        }
    }

    fn crash(&mut self, whole: Option<usize>) {
        if let Some(start) = whole.and_then(|which| self.pick(which)) {
            write(&start);
        }
        // Threads, locks and leases die with the process.
        self.runs.clear();
        self.reading.clear();
        self.world.crash();
        for (id, known) in &mut self.known {
            if std::mem::take(&mut known.perhaps_deleted) {
                known.deleted |= self.world.keeper.get(*id).is_none();
            }
        }
    }

    fn restart(&mut self) {
        self.world.keeper.begin_drain();
        self.world.keeper.stop_runs();
        for start in std::mem::take(&mut self.runs) {
            self.world.keeper.run_ended(start.job.id, Err(ExportError::Cancelled));
        }
        self.check();
        self.crash(None);
    }

    fn check(&mut self) {
        let world = &self.world;
        let now = world.clock.now_micros();
        let dead = world.store.is_broken();
        let numbers = world.keeper.numbers();
        assert!(numbers.running <= MAX_RUNNING && numbers.running == self.runs.len());
        let mut may_be_there: BTreeSet<JobId> = self.runs.iter().map(|run| run.job.id).collect();
        for (id, known) in &mut self.known {
            let Some(job) = world.keeper.get(*id) else {
                let expired = known.end.as_ref().and_then(|job| job.expires_at).is_some_and(|at| at <= now);
                assert!(known.deleted || expired, "{id} has vanished");
                continue;
            };
            assert!(!known.deleted, "{id} is back");
            assert!(job.attempts <= MAX_ATTEMPTS);
            let stored = world.records.get(*id).unwrap();
            assert!(dead || numbers.unrecorded > 0 || stored.as_ref() == Some(&*job), "{id} is shown as it is not");
            if let Some(end) = &known.end {
                assert_eq!(*end, job, "an end does not change");
            } else if job.ended() {
                known.end = Some(Arc::clone(&job));
            }
            assert!(job.pages.starts_with(&known.pages), "a page does not change");
            known.pages.clone_from(&job.pages);
            for page in &job.pages {
                may_be_there.insert(*id);
                assert_eq!(page.transaction_time, job.pages[0].transaction_time);
                assert_eq!(world.text(*id, &page.output[0].url).unwrap(), line(&page.transaction_time));
            }
            match &job.state {
                State::Completed { manifest, .. } => {
                    may_be_there.insert(*id);
                    for file in job.files() {
                        assert_eq!(world.text(*id, &file.url).unwrap(), line(&manifest.transaction_time));
                    }
                }
                State::InProgress if numbers.unrecorded > 0 => {
                    may_be_there.insert(*id);
                }
                _ => assert!(matches!(world.text(*id, "Patient.0001.ndjson"), Err(OpenError::NotFound))),
            }
        }
        // A submission that met an error may have left a job that nobody knows; it has files only while it runs.
        for name in world.directories() {
            let id: JobId = name.parse().unwrap();
            let unknown = !self.known.contains_key(&id) && world.keeper.get(id).is_some();
            assert!(may_be_there.contains(&id) || unknown || dead, "files of {id} belong to nobody");
        }
    }

    fn run(mut self, ops: &[Op]) {
        for op in ops {
            self.step(op);
            self.check();
            if self.world.store.is_broken() && !matches!(op, Op::Crash(_)) {
                self.crash(None);
                self.check();
            }
        }
        self.crash(None);
        self.check();
        let unfinished = |world: &World| world.keeper.numbers().queued + world.keeper.numbers().running;
        while unfinished(&self.world) > 0 {
            self.begin();
            while let Some(start) = self.pick(0) {
                self.complete(&start);
                self.check();
            }
        }
        for (id, known) in &self.known {
            assert!(known.deleted || known.end.is_some(), "{id} never ended");
        }
        let told: BTreeSet<JobId> = self.world.events.lock().unwrap().iter().map(|(id, _)| *id).collect();
        for id in told {
            let events = self.world.events(id);
            let ends = |event: &&Event| matches!(event, Event::Completed | Event::Failed);
            assert!(events.iter().filter(ends).count() <= 1, "{events:?}");
        }
        self.world.pass(KEPT_FOR);
        assert_eq!(self.world.keeper.numbers().jobs, 0);
        assert_eq!(self.world.directories(), [""; 0]);
        assert_eq!(self.world.records.all().unwrap(), []);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    // S-14, S-16, S-17, S-20, D-02, X-05
    #[test]
    fn what_a_client_may_rely_on_holds(ops in prop::collection::vec(op(), 1..60)) {
        Machine::new(Arc::new(MemoryStore::default())).run(&ops);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, max_shrink_iters: 50, ..ProptestConfig::default() })]

    // S-14, S-17, S-20, D-02, X-05
    #[test]
    fn it_holds_on_a_disk(ops in prop::collection::vec(op(), 1..40)) {
        let home = tempfile::tempdir().unwrap();
        let database = open_state(&home.path().join("state.redb")).unwrap();
        Machine::new(Arc::new(RedbStore::new(database))).run(&ops);
    }
}
