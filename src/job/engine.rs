//! What runs an export: the live database in service, something that obeys in tests.

use std::path::Path;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::record::Job;
use crate::bulk::{ExportRequest, Manifest, Roster, TypeFilter};
use crate::cohort::Cohorts;
use crate::export::{self, Counting, ExportError, ExportOptions, Prepared, Publish, export};
use crate::sink::LocalSink;
use crate::source::Source;

/// Runs exports. Its calls block; each is made on a thread of its own.
pub trait Engine: Send + Sync + 'static {
    /// Runs a job's export into `directory`, which is made, or emptied of what a run that died left there.
    ///
    /// `publish` hears of pages, where the request allows them; then the manifest that is made is the last page.
    ///
    /// It ends within two seconds after `cancel` (D-04). When it fails, what it wrote may be removed.
    ///
    /// # Errors
    ///
    /// [`ExportError::Cancelled`] when it was stopped, else the first thing that went wrong.
    fn export(
        &self,
        job: &Job,
        directory: &Path,
        progress: &Counting,
        cancel: &CancellationToken,
        publish: &Publish,
    ) -> Result<Made, ExportError>;

    /// The first of these patients that do not exist, at most `told` of them, and how many there are (K-50).
    ///
    /// # Errors
    ///
    /// Why they cannot be looked for.
    fn unknown_patients(&self, roster: &Roster, told: usize) -> Result<(Vec<String>, usize), CheckError>;

    /// What only the database knows about a request, before it is accepted (K-22): that the group and the patients
    /// exist. It counts nothing.
    ///
    /// # Errors
    ///
    /// Why the request cannot be accepted.
    fn check(&self, request: &ExportRequest) -> Result<(), CheckError>;

    /// Group resources as JSON (G-01, G-02): the one with this id and its members, none when there is no such group;
    /// or all, without their members. One that is withheld is not found; of all, those are shown too.
    ///
    /// # Errors
    ///
    /// Why they cannot be read.
    fn groups(&self, id: Option<&str>, withheld: &[TypeFilter]) -> Result<Vec<Vec<u8>>, CheckError>;
}

/// What an export made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    /// Files by names relative to the directory, but for those that were published early.
    pub manifest: Manifest,
    /// Rows that could not become resources.
    pub rejected: u64,
}

/// Why a request cannot be accepted, or groups not be read. No variant repeats a word of the database.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CheckError {
    /// No such group.
    #[error("no such group")]
    UnknownGroup,
    /// No such patients, or none in the group; by the ids that were given.
    #[error("{} of the patients asked for do not exist", .0.len())]
    UnknownPatients(Vec<String>),
    /// The mapping cannot restrict a type as it is asked for.
    #[error("{0}")]
    NotApplicable(String),
    /// The database cannot be asked now.
    #[error("the source database cannot be reached now")]
    Unavailable,
    /// The database could be asked and did not answer.
    #[error("the request could not be checked against the source database")]
    Failed,
}

impl From<ExportError> for CheckError {
    fn from(error: ExportError) -> Self {
        match error {
            ExportError::UnknownPatients(ids) => Self::UnknownPatients(ids),
            ExportError::UnknownGroup => Self::UnknownGroup,
            ExportError::PatientsNotApplicable { .. }
            | ExportError::NotOrganizable { .. }
            | ExportError::NoMembers { .. }
            | ExportError::Search(_)
            | ExportError::Reduce(_) => Self::NotApplicable(error.to_string()),
            error if error.transient() => {
                tracing::warn!(error = &error as &dyn std::error::Error, "the source database could not be asked");
                Self::Unavailable
            }
            error => {
                tracing::error!(error = &error as &dyn std::error::Error, "the source database could not be asked");
                Self::Failed
            }
        }
    }
}

/// The database and the pack in service.
pub struct LiveEngine {
    source: Source,
    prepared: Arc<Prepared>,
    options: ExportOptions,
    cohorts: Arc<Cohorts>,
}

impl LiveEngine {
    /// Exports from `source` by `prepared`. Of `options`, what belongs to one request is set anew for each job.
    pub fn new(source: Source, prepared: Arc<Prepared>, options: ExportOptions, cohorts: Arc<Cohorts>) -> Self {
        Self { source, prepared, options, cohorts }
    }

    /// The listed members of the Group that a request is about, where a client has made it. A list that is gone is not
    /// an empty one.
    fn roster(&self, request: &ExportRequest) -> Result<Option<Roster>, ExportError> {
        let number = request.cohort.as_ref().and_then(|cohort| cohort.roster);
        let read = |number| match self.cohorts.roster(number) {
            Ok(Some(roster)) => Ok(roster),
            Ok(None) => Err(ExportError::UnknownGroup),
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "the members of a Group cannot be read");
                Err(ExportError::UnknownGroup)
            }
        };
        number.map(read).transpose()
    }
}

impl Engine for LiveEngine {
    fn export(
        &self,
        job: &Job,
        directory: &Path,
        progress: &Counting,
        cancel: &CancellationToken,
        publish: &Publish,
    ) -> Result<Made, ExportError> {
        let runtime = runtime()?;
        let options = ExportOptions {
            // File names stay relative: whoever answers knows under which address they are found.
            base_url: String::new(),
            request_url: job.request_url.clone(),
            notices: job.ignored.clone(),
            roster: self.roster(&job.request)?.map(Arc::new),
            early: job.request.files.early.then(|| publish.clone()),
            ..self.options.clone()
        };
        let sink = LocalSink::open(directory)?;
        let done = export(&runtime, &self.source, &self.prepared, &job.request, &options, &sink, progress, cancel)?;
        Ok(Made { rejected: done.report.rejected(), manifest: done.manifest })
    }

    fn check(&self, request: &ExportRequest) -> Result<(), CheckError> {
        // Without names nobody is looked for among the members.
        let roster = if request.patients.is_empty() { Some(Roster::default()) } else { self.roster(request)? };
        let roster = roster.filter(|_| request.cohort.as_ref().is_some_and(|cohort| cohort.roster.is_some()));
        Ok(runtime()?.block_on(export::check(&self.source, &self.prepared, request, roster.as_ref()))?)
    }

    fn unknown_patients(&self, roster: &Roster, told: usize) -> Result<(Vec<String>, usize), CheckError> {
        Ok(runtime()?.block_on(export::unknown(&self.source, &self.prepared, roster, told))?)
    }

    fn groups(&self, id: Option<&str>, withheld: &[TypeFilter]) -> Result<Vec<Vec<u8>>, CheckError> {
        Ok(runtime()?.block_on(export::groups(&self.source, &self.prepared, id, withheld))?)
    }
}

fn runtime() -> Result<tokio::runtime::Runtime, ExportError> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(ExportError::Runtime)
}
