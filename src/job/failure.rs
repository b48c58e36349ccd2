//! What is told about an export that failed: the client hears what it means, the log what happened.

use std::io::ErrorKind;

use super::record::Failed;
use crate::export::ExportError;
use crate::fhir::outcome::IssueType;
use crate::sink::SinkError;

impl Failed {
    /// For the client. The code is never of the transient kind: that would say that the job may still end well (S-06).
    pub(super) fn of(error: &ExportError) -> Self {
        let (code, text) = match error {
            ExportError::UnknownPatients(ids) => (
                IssueType::NotFound,
                format!("{} of the patients asked for no longer exist, or not in the group", ids.len()),
            ),
            ExportError::UnknownGroup => (IssueType::NotFound, "the group no longer exists".to_owned()),
            ExportError::PatientsNotApplicable { .. } | ExportError::NoMembers { .. } | ExportError::Search(_) => {
                (IssueType::NotSupported, error.to_string())
            }
            ExportError::Source(error) if error.transient() => (
                IssueType::Processing,
                "the source database was lost while the export ran, and again when it was tried anew; start it later"
                    .to_owned(),
            ),
            ExportError::Source(_) => {
                (IssueType::Processing, "the source database refused or ended a query of the export".to_owned())
            }
            error if no_space(error) => (
                IssueType::Processing,
                "the server has no space left for the files; its operator must free some before it is started again"
                    .to_owned(),
            ),
            ExportError::Sink(_) | ExportError::Spill(_) | ExportError::Ledger(_) => {
                (IssueType::Processing, "the server could not store the files of the export".to_owned())
            }
            ExportError::TooManyFiles(_) => (IssueType::TooCostly, error.to_string()),
            ExportError::Ids(_) => (
                IssueType::Processing,
                "two resources would have the same id; the mapping must be mended by the server's operator".to_owned(),
            ),
            _ => (IssueType::Processing, "the export failed inside the server".to_owned()),
        };
        Self { code, text, transient: error.transient() || no_space(error) }
    }

    /// The files outgrew the space they may take.
    pub(super) fn too_large() -> Self {
        let text = "the export outgrew the space that this server gives to exports; ask for less at a time";
        Self { code: IssueType::TooCostly, text: text.to_owned(), transient: false }
    }

    /// It ended early, after pages of its manifest had been published.
    pub(super) fn cut_short() -> Self {
        let text = "the export was cut short after a part of its manifest had been published, and cannot go on from there; \
                    start it again";
        Self { code: IssueType::Processing, text: text.to_owned(), transient: true }
    }

    /// The process ended under it, again and again.
    pub(super) fn interrupted(attempts: u32) -> Self {
        let text = format!("the server stopped {attempts} times while the export ran, so it was given up");
        Self { code: IssueType::Processing, text, transient: true }
    }
}

/// The disk that files, or large resources on their way to them, are written to is full.
fn no_space(error: &ExportError) -> bool {
    match error {
        ExportError::Sink(SinkError::Full { .. }) => true,
        ExportError::Ledger(error) => error.no_space(),
        ExportError::Spill(error) => matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded),
        _ => false,
    }
}

/// For the log: the error with its causes, without the ids of patients.
pub(super) fn told(error: &ExportError) -> String {
    if let ExportError::UnknownPatients(ids) = error {
        return format!("{} patients do not exist", ids.len());
    }
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(next) = cause {
        text = format!("{text}: {next}");
        cause = next.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::path::PathBuf;

    use super::*;
    use crate::source::SourceError;

    fn errors() -> Vec<ExportError> {
        let full = || io::Error::from(io::ErrorKind::StorageFull);
        vec![
            ExportError::UnknownPatients(vec!["secret".to_owned()]),
            ExportError::UnknownGroup,
            ExportError::PatientsNotApplicable { mapping: "labs".to_owned(), why: "no column" },
            ExportError::Source(SourceError::Lost("closed".to_owned())),
            ExportError::Source(SourceError::Busy),
            ExportError::Sink(SinkError::Full { path: PathBuf::from("/state/jobs/x"), source: full() }),
            ExportError::Sink(SinkError::Broken { path: PathBuf::from("/state/jobs/x") }),
            ExportError::Spill(full()),
            ExportError::TooManyFiles(10_000),
            ExportError::Ids("mapping `labs`".to_owned()),
            ExportError::WorkerDied,
            ExportError::Cancelled,
            ExportError::Runtime(full()),
        ]
    }

    // S-05, S-06, O-03
    #[test]
    fn a_failed_job_never_says_that_it_may_still_end_well() {
        let transient = [
            IssueType::Transient,
            IssueType::LockError,
            IssueType::NoStore,
            IssueType::Exception,
            IssueType::Timeout,
            IssueType::Incomplete,
            IssueType::Throttled,
        ];
        let told = errors()
            .iter()
            .map(Failed::of)
            .chain([Failed::too_large(), Failed::cut_short(), Failed::interrupted(3)])
            .collect::<Vec<_>>();
        for failed in told {
            assert!(!transient.contains(&failed.code), "{failed:?}");
            assert!(!failed.text.contains("secret") && !failed.text.contains("/state"), "{failed:?}");
        }
    }

    #[test]
    fn the_log_hears_the_cause_and_no_patient() {
        for error in errors() {
            assert!(!told(&error).contains("secret"), "{error:?}");
        }
        let lost = ExportError::Source(SourceError::Lost("closed".to_owned()));
        assert_eq!(told(&lost), "the connection to the database was lost: closed");
    }
}
