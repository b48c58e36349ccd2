//! Why an export has failed.

use std::io;

use super::ledger::LedgerError;
use crate::encode::EncodeError;
use crate::plan::reduce::NotReducible;
use crate::plan::search::SearchError;
use crate::sink::SinkError;
use crate::source::SourceError;

/// Why an export failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExportError {
    /// The database.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The place files go to.
    #[error(transparent)]
    Sink(#[from] SinkError),
    /// A program that cannot run.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// A temporary file: of an oversized resource, or of what is to be added.
    #[error("failed to keep what does not fit into memory in a temporary file")]
    Spill(#[from] io::Error),
    /// A thread's runtime.
    #[error("failed to start a worker")]
    Runtime(#[source] io::Error),
    /// A worker died of a broken invariant.
    #[error("a worker stopped unexpectedly; this is a bug in smelt")]
    WorkerDied,
    /// Asked to stop.
    #[error("the export was stopped")]
    Cancelled,
    /// Patients that are not in the database, or not in the group.
    #[error("no such patient: {}", .0.join(", "))]
    UnknownPatients(Vec<String>),
    /// A group that is not in the database.
    #[error("no such group")]
    UnknownGroup,
    /// Groups whose members cannot be found.
    #[error("groups of mapping `{mapping}` cannot be exported: {why}")]
    NoMembers {
        /// The mapping.
        mapping: String,
        /// Why.
        why: &'static str,
    },
    /// A filter that cannot be asked.
    #[error(transparent)]
    Search(#[from] SearchError),
    /// Resources that cannot be reduced to some elements.
    #[error(transparent)]
    Reduce(#[from] NotReducible),
    /// A restriction to patients that cannot be applied.
    #[error("mapping `{mapping}` cannot be restricted to patients: {why}")]
    PatientsNotApplicable {
        /// The mapping.
        mapping: String,
        /// Why.
        why: &'static str,
    },
    /// A mapping whose resources cannot be put into blocks of patients.
    #[error("mapping `{mapping}` cannot be organized by patient: {why}")]
    NotOrganizable {
        /// The mapping.
        mapping: String,
        /// Why.
        why: &'static str,
    },
    /// The key ledger.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// Files are smaller than there is room for.
    #[error("the export needs more than {0} files; ask for larger ones")]
    TooManyFiles(usize),
    /// Two resources of one type would have the same id.
    #[error("{0}")]
    Ids(String),
    /// The manifest cannot be written.
    #[error("failed to write the manifest")]
    Manifest(#[source] serde_json::Error),
}

impl ExportError {
    /// True when the same export may succeed if it is tried again, under a new snapshot: the database was lost or was
    /// short of something, or the system of threads. A full disk stays full until somebody does something about it.
    pub fn transient(&self) -> bool {
        match self {
            Self::Source(error) => error.transient(),
            Self::Runtime(_) => true,
            _ => false,
        }
    }
}
