//! What is shown about jobs: every record as it stands in the store, with what only the running process knows.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::JobId;
use super::queue::Queue;
use super::record::{Job, State};
use crate::export::Counting;

/// Why a run is being stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    /// The server goes down: the job is put back.
    Drain,
    /// Its files take too much space: the job fails.
    TooLarge,
}

/// A run under way.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) cancel: CancellationToken,
    pub(super) progress: Arc<Counting>,
    pub(super) stop: Option<Stop>,
}

/// A record that could not be written yet, and when its job may run again.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) job: Job,
    pub(super) not_before: i64,
}

/// One job.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) job: Arc<Job>,
    /// Cancelled when the job has ended or is gone, or has a new page: whoever waits looks again.
    pub(super) news: CancellationToken,
    pub(super) run: Option<Run>,
    /// How its last run ended, while the store does not take it: nothing has ended before its record says so.
    pub(super) pending: Option<Pending>,
    /// Shared with everybody who reads one of its files.
    pub(super) lease: Arc<()>,
}

impl Entry {
    pub(super) fn new(job: Job) -> Self {
        let news = CancellationToken::new();
        if job.ended() {
            news.cancel();
        }
        Self { job: Arc::new(job), news, run: None, pending: None, lease: Arc::new(()) }
    }

    /// Lets those look again who wait now.
    pub(super) fn tell(&mut self) {
        std::mem::take(&mut self.news).cancel();
    }

    pub(super) fn is_read(&self) -> bool {
        Arc::strong_count(&self.lease) > 1
    }
}

/// What has happened since the process began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Jobs accepted.
    pub accepted: u64,
    /// Kick-offs that were given a job that was there.
    pub attached: u64,
    /// Runs begun.
    pub started: u64,
    /// Runs that ended early; their jobs run again.
    pub retried: u64,
    /// Jobs completed.
    pub completed: u64,
    /// Jobs failed.
    pub failed: u64,
    /// Jobs deleted on request.
    pub deleted: u64,
    /// Jobs removed because their time was over.
    pub expired: u64,
    /// Resources in the files of completed jobs.
    pub resources: u64,
    /// Rows that could not become resources, of completed jobs.
    pub rejected: u64,
    /// Bytes in the files of completed jobs, before compression.
    pub bytes: u64,
}

/// How things stand (for metrics).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Numbers {
    /// Jobs that wait for their turn.
    pub queued: usize,
    /// Exports that run, those that are being stopped included.
    pub running: usize,
    /// Jobs that are known, ended ones included.
    pub jobs: usize,
    /// Bytes that the files of completed jobs take, as stored.
    pub stored_bytes: u64,
    /// Jobs whose end the store does not take at the moment.
    pub unrecorded: usize,
    /// What has happened since the process began.
    pub totals: Totals,
}

/// All jobs.
#[derive(Debug, Default)]
pub(super) struct Table {
    pub(super) entries: BTreeMap<JobId, Entry>,
    pub(super) queue: Queue,
    /// Whose exports occupy a place, deleted ones until they have stopped.
    pub(super) running: HashMap<JobId, String>,
    /// Expired jobs whose record is still to be removed.
    pub(super) leftover: Vec<JobId>,
    pub(super) draining: bool,
    pub(super) totals: Totals,
}

impl Table {
    /// How many jobs of a client have not ended (K-14).
    pub(super) fn unfinished_of(&self, client: &str) -> usize {
        self.entries.values().filter(|entry| entry.job.client == client && !entry.job.ended()).count()
    }

    /// Takes the next job that may run.
    pub(super) fn take(&mut self, now: i64, max_running: usize) -> Option<Arc<Job>> {
        if self.draining || self.running.len() >= max_running {
            return None;
        }
        let Self { queue, running, entries, .. } = self;
        let id = queue.take(now, |client| running.values().filter(|known| *known == client).count())?;
        entries.get(&id).map(|entry| Arc::clone(&entry.job))
    }

    /// Bytes that the files of jobs take that do not run.
    pub(super) fn stored_bytes(&self) -> u64 {
        let resting = self.entries.iter().filter(|(id, _)| !self.running.contains_key(id)).map(|(_, entry)| entry);
        resting.flat_map(|entry| entry.job.files()).map(|file| file.stored.stored_size).sum()
    }

    /// Shows what the store has taken.
    pub(super) fn settle(&mut self, job: Job, not_before: i64) {
        let Self { entries, queue, totals, .. } = self;
        let Some(entry) = entries.get_mut(&job.id) else { return };
        match &job.state {
            State::Accepted => queue.push_again(&job.client, job.id, not_before),
            State::InProgress => {}
            State::Completed { rejected, .. } => {
                totals.completed += 1;
                totals.rejected += rejected;
                totals.resources += job.output().map(|file| file.count).sum::<u64>();
                totals.bytes += job.output().map(|file| file.file_size).sum::<u64>();
            }
            State::Failed(_) => totals.failed += 1,
        }
        entry.pending = None;
        let ended = job.ended();
        entry.job = Arc::new(job);
        if ended {
            entry.news.cancel();
        }
    }

    pub(super) fn numbers(&self) -> Numbers {
        Numbers {
            queued: self.queue.len(),
            running: self.running.len(),
            jobs: self.entries.len(),
            stored_bytes: self.stored_bytes(),
            unrecorded: self.entries.values().filter(|entry| entry.pending.is_some()).count(),
            totals: self.totals,
        }
    }
}
