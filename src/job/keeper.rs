//! The rules of a job's life, without threads: each call is one step, so that tests take them in any order.
//!
//! Two locks. `writer` is held over a whole change, the write to the store included; `table` only for a moment, so that
//! whoever asks for a job never waits for a disk. `table` is never held while `writer` is waited for.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::JobId;
use super::config::{Event, JobsConfig, SubmitError};
use super::engine::Made;
use super::failure::told;
use super::files::{Directories, Lease, OpenError, OpenFile};
use super::record::{Failed, Job, NewJob, State, Submitted};
use super::store::{JobStore, StoreError};
use super::table::{Entry, Numbers, Pending, Run, Stop, Table};
use crate::bulk::Progress;
use crate::clock::Clock;
use crate::export::{Counting, ExportError};

/// A run to be begun.
#[derive(Debug)]
pub(super) struct Start {
    pub(super) job: Arc<Job>,
    pub(super) directory: PathBuf,
    pub(super) progress: Arc<Counting>,
    pub(super) cancel: CancellationToken,
}

/// All jobs and what may be done with them.
pub(super) struct Keeper {
    pub(super) config: JobsConfig,
    pub(super) store: Arc<dyn JobStore>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) directories: Directories,
    writer: Mutex<()>,
    table: Mutex<Table>,
    /// How many exports run, for whoever waits until none does.
    pub(super) busy: watch::Sender<usize>,
    store_works: AtomicBool,
}

impl Keeper {
    pub(super) fn new(
        config: JobsConfig,
        store: Arc<dyn JobStore>,
        clock: Arc<dyn Clock>,
        directories: Directories,
        table: Table,
    ) -> Self {
        let (writer, table, busy) = (Mutex::new(()), Mutex::new(table), watch::Sender::new(0));
        Self { config, store, clock, directories, writer, table, busy, store_works: AtomicBool::new(true) }
    }

    pub(super) fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn writer(&self) -> MutexGuard<'_, ()> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn tell(&self, event: Event, job: &Job) {
        if let Some(listener) = &self.config.listener
            && catch_unwind(AssertUnwindSafe(|| listener(event, job))).is_err()
        {
            // Jobs go on, whoever listens.
            tracing::error!(job = %job.id, ?event, "a step of a job could not be told");
        }
    }

    /// Notes whether the store works.
    pub(super) fn stored<T>(&self, result: Result<T, StoreError>) -> Result<T, StoreError> {
        self.store_works.store(result.is_ok(), Relaxed);
        result.inspect_err(|error| tracing::error!(error = error as &dyn std::error::Error, "the job store failed"))
    }

    /// Whether the store took what it was last given.
    pub(super) fn store_works(&self) -> bool {
        self.store_works.load(Relaxed)
    }

    /// Accepts a job (K-14), or gives one that serves as well.
    pub(super) fn submit(&self, client: &str, new: NewJob) -> Result<Submitted, SubmitError> {
        let writer = self.writer();
        {
            let mut table = self.table();
            if table.draining {
                return Err(SubmitError::Draining);
            }
            let same = |entry: &&Entry| !entry.job.ended() && entry.job.serves(client, &new);
            if self.config.attach
                && let Some(job) = table.entries.values().find(same).map(|entry| Arc::clone(&entry.job))
            {
                table.totals.attached += 1;
                return Ok(Submitted { job, attached: true });
            }
            let limit = new.max_unfinished.unwrap_or(self.config.max_unfinished_per_client);
            if table.unfinished_of(client) >= limit {
                return Err(SubmitError::TooManyRunning { limit });
            }
            let places = self.config.max_running + self.config.max_queued;
            if table.queue.len() + table.running.len() >= places {
                return Err(SubmitError::QueueFull);
            }
            if self.config.max_bytes.is_some_and(|max| table.stored_bytes() >= max) {
                return Err(SubmitError::NoSpace);
            }
        }
        let id = JobId::random().map_err(SubmitError::Random)?;
        let job = Job::new(id, client, new, self.clock.now_micros());
        self.stored(self.store.put(&job))?;
        let entry = Entry::new(job);
        let job = Arc::clone(&entry.job);
        let mut table = self.table();
        table.totals.accepted += 1;
        table.queue.push(client, id);
        table.entries.insert(id, entry);
        drop((table, writer));
        self.tell(Event::Accepted, &job);
        Ok(Submitted { job, attached: false })
    }

    pub(super) fn get(&self, id: JobId) -> Option<Arc<Job>> {
        self.table().entries.get(&id).map(|entry| Arc::clone(&entry.job))
    }

    /// How far a job's run is; nothing yet for one that waits.
    pub(super) fn progress(&self, id: JobId) -> Option<Progress> {
        let counting = self.table().entries.get(&id)?.run.as_ref().map(|run| Arc::clone(&run.progress));
        Some(counting.map(|counting| counting.look()).unwrap_or_default())
    }

    /// A token that is cancelled when the job has ended or is gone, or a page of it is published.
    pub(super) fn news(&self, id: JobId) -> Option<CancellationToken> {
        self.table().entries.get(&id).map(|entry| entry.news.clone())
    }

    /// Opens a file that the manifest lists; the name is compared, never used as a path of its own.
    pub(super) fn open_file(&self, id: JobId, name: &str) -> Result<OpenFile, OpenError> {
        let (job, lease) = {
            let table = self.table();
            let entry = table.entries.get(&id).ok_or(OpenError::NotFound)?;
            (Arc::clone(&entry.job), Lease(Arc::clone(&entry.lease)))
        };
        let meta = job.files().find(|file| file.url == name).ok_or(OpenError::NotFound)?.clone();
        let whole_at = job.whole_at(&meta.url);
        match std::fs::File::open(self.directories.of(id).join(&meta.url)) {
            Ok(file) => Ok(OpenFile { file, meta, whole_at, lease }),
            // Deleted or expired between the two looks.
            Err(error) if error.kind() == io::ErrorKind::NotFound && self.get(id).is_none() => Err(OpenError::NotFound),
            Err(error) => Err(OpenError::Io(error)),
        }
    }

    /// Removes a job from sight and from the store (D-01, D-02); `None` when there is none. Its files go with
    /// [`Removed::files`], or with the end of its run, which is stopped.
    pub(super) fn delete(&self, id: JobId) -> Result<Option<Removed>, StoreError> {
        let writer = self.writer();
        if self.get(id).is_none() {
            return Ok(None);
        }
        self.stored(self.store.remove(id))?;
        let mut table = self.table();
        let Some(entry) = table.entries.remove(&id) else { return Ok(None) };
        table.queue.remove(id);
        table.totals.deleted += 1;
        let running = table.running.contains_key(&id);
        drop((table, writer));
        if let Some(run) = &entry.run {
            run.cancel.cancel();
        }
        entry.news.cancel();
        self.tell(Event::Deleted, &entry.job);
        Ok(Some(Removed { id, files: (!running).then(|| self.directories.clone()) }))
    }

    /// The next run to begin, if one may. Its record says so first, so that no crash makes it begin for ever.
    pub(super) fn next(&self) -> Option<Start> {
        let writer = self.writer();
        let now = self.clock.now_micros();
        let job = self.table().take(now, self.config.max_running)?;
        let begun = job.begun(now);
        if self.stored(self.store.put(&begun)).is_err() {
            self.table().queue.push_again(&job.client, job.id, self.after(1));
            return None;
        }
        let (cancel, progress) = (CancellationToken::new(), Arc::new(Counting::default()));
        let mut table = self.table();
        let entry = table.entries.get_mut(&begun.id)?;
        entry.job = Arc::new(begun);
        entry.run = Some(Run { cancel: cancel.clone(), progress: Arc::clone(&progress), stop: None });
        let job = Arc::clone(&entry.job);
        table.running.insert(job.id, job.client.clone());
        table.totals.started += 1;
        self.busy.send_replace(table.running.len());
        drop((table, writer));
        self.tell(Event::Started, &job);
        Some(Start { directory: self.directories.of(job.id), job, progress, cancel })
    }

    /// When a job may run again that has run so often.
    fn after(&self, attempts: u32) -> i64 {
        let pause = self.config.retry_pause.as_micros() as i64;
        self.clock
            .now_micros()
            .saturating_add(pause.saturating_mul(6_i64.saturating_pow(attempts.saturating_sub(1).min(8))))
    }

    /// A run has ended. Called once for every [`Start`].
    pub(super) fn run_ended(&self, id: JobId, result: Result<Made, ExportError>) {
        let found = {
            let table = self.table();
            table.entries.get(&id).map(|entry| {
                let stop = entry.run.as_ref().and_then(|run| run.stop);
                (Arc::clone(&entry.job), stop, table.draining)
            })
        };
        let recorded = found.and_then(|(job, stop, draining)| {
            let next = self.after_run(&job, result, stop, draining);
            if !matches!(next.job.state, State::Completed { .. }) {
                self.directories.keep_published(&next.job);
            }
            self.record(next)
        });
        if self.get(id).is_none() {
            // Before its place is free: until then its files are in somebody's way.
            self.directories.remove(id);
        }
        let mut table = self.table();
        table.running.remove(&id);
        self.busy.send_replace(table.running.len());
        let gone = match table.entries.get_mut(&id) {
            Some(entry) => {
                entry.run = None;
                false
            }
            None => true,
        };
        drop(table);
        if gone {
            self.directories.remove(id);
        }
        if let Some((event, job)) = recorded {
            self.tell(event, &job);
        }
    }

    /// What becomes of a job after a run.
    fn after_run(&self, job: &Job, result: Result<Made, ExportError>, stop: Option<Stop>, draining: bool) -> Pending {
        let (now, kept_for) = (self.clock.now_micros(), self.config.kept_for.as_micros() as i64);
        let seconds = (now - job.started_at.unwrap_or(now)) as f64 / 1e6;
        let (id, attempt) = (job.id, job.attempts);
        // A directory that could still be lost is no result.
        let result = result.and_then(|made| match self.directories.sync() {
            Ok(()) => Ok(made),
            Err(error) => Err(ExportError::Spill(error)),
        });
        let ends = |state| Pending { job: job.end(state, now, kept_for), not_before: now };
        match (result, stop) {
            (Ok(Made { manifest, rejected }), _) => {
                tracing::info!(job = %id, attempt, seconds, rejected, "export completed");
                ends(State::Completed { manifest, rejected })
            }
            (Err(_), Some(Stop::TooLarge)) => {
                tracing::error!(job = %id, attempt, seconds, "export failed: it outgrew its space");
                let mut end = ends(State::Failed(Failed::too_large()));
                // Its files are what must go.
                end.job.pages.clear();
                end
            }
            // Another run would have another snapshot than the pages that were seen.
            (Err(error), _) if !job.pages.is_empty() && (stop.is_some() || error.transient()) => {
                tracing::error!(job = %id, attempt, seconds, error = told(&error), "export cut short, with pages published");
                ends(State::Failed(Failed::cut_short()))
            }
            // Whatever it says: it was told to stop.
            (Err(_), Some(Stop::Drain)) => {
                tracing::info!(job = %id, attempt, "export interrupted; it runs again at the next start");
                Pending { job: job.put_back(false), not_before: now }
            }
            (Err(error), _) if error.transient() && (attempt < self.config.max_attempts || draining) => {
                tracing::warn!(job = %id, attempt, seconds, error = told(&error), "export failed; it is tried again");
                Pending { job: job.put_back(true), not_before: self.after(attempt) }
            }
            (Err(error), _) => {
                tracing::error!(job = %id, attempt, seconds, error = told(&error), "export failed");
                ends(State::Failed(Failed::of(&error)))
            }
        }
    }

    /// Writes what became of a job, and shows it; kept for later when the store does not take it.
    pub(super) fn record(&self, next: Pending) -> Option<(Event, Arc<Job>)> {
        let _writer = self.writer();
        let id = next.job.id;
        // Deleted meanwhile.
        self.get(id)?;
        let result = self.stored(self.store.put(&next.job));
        let mut table = self.table();
        if result.is_err() {
            table.entries.get_mut(&id)?.pending = Some(next);
            return None;
        }
        let event = match next.job.state {
            State::Completed { .. } => Event::Completed,
            State::Failed(_) => Event::Failed,
            State::Accepted | State::InProgress => {
                table.totals.retried += 1;
                Event::PutBack
            }
        };
        table.settle(next.job, next.not_before);
        Some((event, Arc::clone(&table.entries.get(&id)?.job)))
    }

    /// Nothing is accepted and nothing begins from now on: it waits for what is just being written.
    pub(super) fn begin_drain(&self) {
        let _writer = self.writer();
        self.table().draining = true;
    }

    /// Stops every run; its job is put back.
    pub(super) fn stop_runs(&self) {
        for run in self.table().entries.values_mut().filter_map(|entry| entry.run.as_mut()) {
            run.stop.get_or_insert(Stop::Drain);
            run.cancel.cancel();
        }
    }

    pub(super) fn numbers(&self) -> Numbers {
        self.table().numbers()
    }
}

/// A job that was deleted.
pub(super) struct Removed {
    id: JobId,
    files: Option<Directories>,
}

impl Removed {
    /// Removes its files, unless its run does that when it has stopped.
    pub(super) fn remove_files(self) {
        if let Some(directories) = self.files {
            directories.remove(self.id);
        }
    }
}
