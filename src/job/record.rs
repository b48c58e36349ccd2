//! What is kept about a job, and what must hold of it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::JobId;
use crate::bulk::{ExportRequest, Manifest, ManifestFile};
use crate::fhir::outcome::{IssueType, OperationOutcome};

/// Version of the form in which records are kept.
pub const FORMAT: u32 = 1;

/// An export over its life: accepted, run, kept, expired. Times are microseconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// Version of this form: [`FORMAT`].
    pub format: u32,
    /// Its name.
    pub id: JobId,
    /// Whose it is: nobody else may see it (X-03, S-12).
    pub client: String,
    /// What was asked for.
    pub request: ExportRequest,
    /// The kick-off URL that the manifest repeats, without what a body held (M-03).
    pub request_url: String,
    /// The dialect of the answers, in the words of whoever gives them.
    pub dialect: String,
    /// `Prefer: separate-export-status` was applied (S-10).
    pub separate_status: bool,
    /// Warnings about the kick-off, for the file of messages (K-09).
    pub ignored: Vec<OperationOutcome>,
    /// When it was accepted.
    pub created_at: i64,
    /// When the present or last run of it began.
    pub started_at: Option<i64>,
    /// When it was completed or had failed.
    pub ended_at: Option<i64>,
    /// When it and its files go away: counted from its end (X-05, S-09).
    pub expires_at: Option<i64>,
    /// Runs begun so far.
    pub attempts: u32,
    /// Pages of the manifest that were published while it ran; none of them changes (S-14).
    #[serde(default)]
    pub pages: Vec<Manifest>,
    /// Where it stands.
    pub state: State,
}

/// Where a job stands. The last two are its end; there is one end, and it does not change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// It waits for its turn: for the first time, or to be tried again.
    Accepted,
    /// It runs.
    InProgress,
    /// Its files are whole.
    Completed {
        /// The files, by names relative to the job; those of its pages are not in it.
        manifest: Manifest,
        /// Rows that could not become resources; the file of messages tells which (S-07).
        rejected: u64,
    },
    /// It failed, and none of its files is left but what was published early.
    Failed(Failed),
}

/// Why a job failed, for the client: never a value, nor the words of the database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failed {
    /// Never of the transient kind: that would tell the client to go on asking (S-05, S-06).
    pub code: IssueType,
    /// What happened.
    pub text: String,
    /// The same kick-off may succeed later.
    pub transient: bool,
}

/// What a kick-off gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewJob {
    /// What is asked for.
    pub request: ExportRequest,
    /// See [`Job::request_url`].
    pub request_url: String,
    /// See [`Job::dialect`].
    pub dialect: String,
    /// See [`Job::separate_status`].
    pub separate_status: bool,
    /// See [`Job::ignored`].
    pub ignored: Vec<OperationOutcome>,
    /// How many jobs of this client may be unfinished at a time, where it is not what the configuration says.
    pub max_unfinished: Option<usize>,
}

/// What a kick-off was given.
#[derive(Debug, Clone)]
pub struct Submitted {
    /// The job.
    pub job: Arc<Job>,
    /// It was there already, and somebody else may wait for it.
    pub attached: bool,
}

impl Job {
    /// A job that is accepted now.
    pub fn new(id: JobId, client: &str, new: NewJob, now: i64) -> Self {
        let NewJob { request, request_url, dialect, separate_status, ignored, max_unfinished: _ } = new;
        Self {
            format: FORMAT,
            id,
            client: client.to_owned(),
            request,
            request_url,
            dialect,
            separate_status,
            ignored,
            created_at: now,
            started_at: None,
            ended_at: None,
            expires_at: None,
            attempts: 0,
            pages: Vec::new(),
            state: State::Accepted,
        }
    }

    /// Whether it has ended.
    pub fn ended(&self) -> bool {
        matches!(self.state, State::Completed { .. } | State::Failed(_))
    }

    /// Its files: those of published pages, and all others when it is completed.
    pub fn files(&self) -> impl Iterator<Item = &ManifestFile> {
        self.manifests().flat_map(Manifest::files)
    }

    /// Its files of resources.
    pub fn output(&self) -> impl Iterator<Item = &ManifestFile> {
        self.manifests().flat_map(|manifest| &manifest.output)
    }

    /// All pages of its manifest that there are.
    fn manifests(&self) -> impl Iterator<Item = &Manifest> {
        let last = match &self.state {
            State::Completed { manifest, .. } => Some(manifest),
            _ => None,
        };
        self.pages.iter().chain(last)
    }

    /// A time that does not change while a file is there: microseconds since 1970.
    pub(super) fn whole_at(&self, url: &str) -> i64 {
        let published = self.pages.iter().flat_map(Manifest::files).any(|file| file.url == url);
        let at = if published { self.started_at } else { self.ended_at };
        at.unwrap_or(self.created_at)
    }

    /// Whether a kick-off asks for exactly this, so that it can share it.
    pub(super) fn serves(&self, client: &str, new: &NewJob) -> bool {
        self.client == client
            && self.request == new.request
            && self.request_url == new.request_url
            && self.dialect == new.dialect
            && self.separate_status == new.separate_status
            && self.ignored == new.ignored
    }

    /// A run begins.
    pub(super) fn begun(&self, now: i64) -> Self {
        Self { state: State::InProgress, started_at: Some(now), attempts: self.attempts + 1, ..self.clone() }
    }

    /// It goes back into the queue; `counted` when its run counts as an attempt.
    pub(super) fn put_back(&self, counted: bool) -> Self {
        let attempts = if counted { self.attempts } else { self.attempts.saturating_sub(1) };
        Self { state: State::Accepted, attempts, ..self.clone() }
    }

    /// It ends.
    pub(super) fn end(&self, state: State, now: i64, kept_for: i64) -> Self {
        Self { state, ended_at: Some(now), expires_at: Some(now.saturating_add(kept_for)), ..self.clone() }
    }
}
