//! What an operator decides about jobs, what is told about them, and why one is not accepted.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::record::Job;
use super::store::StoreError;

/// Told about every step of every job.
pub type Listener = Arc<dyn Fn(Event, &Job) + Send + Sync>;

/// A step in a job's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// It was accepted.
    Accepted,
    /// A run of it began.
    Started,
    /// Its run failed or was interrupted; it will run again.
    PutBack,
    /// Its files are whole.
    Completed,
    /// It failed for good.
    Failed,
    /// It was deleted on request.
    Deleted,
    /// Its time was over.
    Expired,
}

/// What an operator decides about jobs.
#[derive(Clone)]
pub struct JobsConfig {
    /// Where the directories of jobs are; nothing else belongs there.
    pub directory: PathBuf,
    /// Exports that run at a time.
    pub max_running: usize,
    /// Jobs of one client that have not ended, running or waiting (K-14).
    pub max_unfinished_per_client: usize,
    /// Jobs of all clients that wait, beyond those that run (K-14).
    pub max_queued: usize,
    /// How long a job and its files are kept after its end.
    pub kept_for: Duration,
    /// Runs of one job, when the database is lost or the process ends under it.
    pub max_attempts: u32,
    /// Pause before the second run; six times longer before each further one.
    pub retry_pause: Duration,
    /// Whether a kick-off that repeats an unfinished one of the same client is given that job. Off by default: who
    /// deletes one of the two deletes both.
    pub attach: bool,
    /// Bytes that the files of all jobs may take.
    pub max_bytes: Option<u64>,
    /// Bytes that the files of one job may take.
    pub max_job_bytes: Option<u64>,
    /// Told about every step; it must not block for long.
    pub listener: Option<Listener>,
}

impl JobsConfig {
    /// The defaults, with jobs under `directory`.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self {
            directory: directory.into(),
            max_running: 2,
            max_unfinished_per_client: 4,
            max_queued: 64,
            kept_for: Duration::from_hours(24),
            max_attempts: 3,
            retry_pause: Duration::from_secs(10),
            attach: false,
            max_bytes: None,
            max_job_bytes: None,
            listener: None,
        }
    }
}

/// Why a kick-off is not accepted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SubmitError {
    /// The client has enough unfinished jobs (429, K-14).
    #[error("{limit} exports of this client have not ended; wait for one to end, or delete one")]
    TooManyRunning {
        /// How many it may have.
        limit: usize,
    },
    /// Too many jobs wait (503, R-01).
    #[error("too many exports are waiting")]
    QueueFull,
    /// The space for files is used up (503, R-02).
    #[error("the space for files of exports is used up until some of them expire")]
    NoSpace,
    /// The server goes down (503).
    #[error("the server is shutting down")]
    Draining,
    /// The job could not be kept, so it was not accepted (5xx).
    #[error("the job could not be recorded")]
    Store(#[from] StoreError),
    /// The system has no random numbers (5xx).
    #[error("the job could not be given an id")]
    Random(#[source] io::Error),
    /// The process is ending (5xx).
    #[error("the server could not do it now")]
    Stopped,
}

/// Why jobs cannot be kept at all.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The records.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The directory of the files.
    #[error("failed to use {} for the files of jobs", path.display())]
    Directory {
        /// It.
        path: PathBuf,
        /// The system's word.
        source: io::Error,
    },
    /// A thread.
    #[error("failed to start the thread that starts jobs")]
    Thread(#[source] io::Error),
}
