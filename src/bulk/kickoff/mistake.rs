//! What may be wrong with a kick-off, in words for the client.

use super::filter::FilterError;
use crate::bulk::request::{ParameterError, clip};
use crate::fhir::outcome::{Issue, IssueType, Severity};

/// One thing wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Mistake {
    #[error("`$export-v4` is called by POST")]
    Method,
    #[error("the query of the URL is not UTF-8")]
    QueryNotUtf8,
    #[error("the body is not JSON (line {line}, column {column})")]
    NotJson { line: usize, column: usize },
    #[error("the body is not a FHIR Parameters resource")]
    NotParameters,
    #[error("parameter `{0}` is not known")]
    Unknown(String),
    #[error("`{0}` has no value of a kind it can be read from")]
    NoValue(&'static str),
    #[error("`{0}` is given twice with different values")]
    Contradiction(&'static str),
    #[error("`{0}` has a comma")]
    CommaList(&'static str),
    #[error("`{0}` is neither `true` nor `false`")]
    NotABoolean(&'static str),
    #[error("`{0}` is not a positive whole number")]
    NotASize(&'static str),
    #[error("`_minimumFileSize` is not below `_maximumFileSize`")]
    FileSizes,
    #[error("the `_outputFormat` is not supported")]
    OutputFormat,
    #[error("`patient` does not apply to an export of the whole system")]
    PatientAtSystem,
    #[error("`patient` is accepted by POST only")]
    PatientByGet,
    #[error("no type in `_type` belongs to patients")]
    OutsideCompartment,
    #[error("`_typeFilter` has more than {0} searches")]
    TooManyFilters(usize),
    #[error(transparent)]
    Parameter(#[from] ParameterError),
    #[error(transparent)]
    Filter(#[from] FilterError),
}

impl Mistake {
    /// A parameter that nobody here knows.
    pub(super) fn unknown(name: &str) -> Self {
        Self::Unknown(clip(name))
    }

    /// Whether a filter is at fault.
    pub(super) fn is_filter(&self) -> bool {
        self.parameter() == Some("_typeFilter")
    }

    /// The kick-off parameter at fault.
    fn parameter(&self) -> Option<&str> {
        match self {
            Self::Method | Self::QueryNotUtf8 | Self::NotJson { .. } | Self::NotParameters => None,
            Self::Unknown(name) => Some(name),
            Self::NoValue(name)
            | Self::Contradiction(name)
            | Self::CommaList(name)
            | Self::NotABoolean(name)
            | Self::NotASize(name) => Some(name),
            Self::FileSizes => Some("_minimumFileSize"),
            Self::OutputFormat => Some("_outputFormat"),
            Self::PatientAtSystem | Self::PatientByGet => Some("patient"),
            Self::OutsideCompartment => Some("_type"),
            Self::Parameter(error) => Some(error.parameter()),
            Self::Filter(_) | Self::TooManyFilters(_) => Some("_typeFilter"),
        }
    }

    /// FHIR's kind of it (O-03).
    fn code(&self) -> IssueType {
        match self {
            Self::Method | Self::Unknown(_) | Self::OutputFormat => IssueType::NotSupported,
            Self::PatientByGet | Self::PatientAtSystem => IssueType::NotSupported,
            Self::NotJson { .. } | Self::NotParameters => IssueType::Structure,
            Self::QueryNotUtf8 | Self::CommaList(_) | Self::Contradiction(_) | Self::OutsideCompartment => {
                IssueType::Invalid
            }
            Self::TooManyFilters(_) => IssueType::TooCostly,
            Self::NoValue(_) => IssueType::Required,
            Self::NotABoolean(_) | Self::NotASize(_) | Self::FileSizes => IssueType::Value,
            Self::Parameter(
                ParameterError::UnknownTypes { .. }
                | ParameterError::NothingMapped
                | ParameterError::UnknownAssociated { .. }
                | ParameterError::NotOrganizable
                | ParameterError::ProvenanceByPatient,
            ) => IssueType::NotSupported,
            Self::Parameter(ParameterError::Empty { .. }) => IssueType::Required,
            Self::Parameter(_) => IssueType::Value,
            Self::Filter(error) => error.code(),
        }
    }

    /// What would be right.
    fn help(&self) -> String {
        match self {
            Self::Method => "Send its parameters as a FHIR Parameters resource, or call `$export`.".to_owned(),
            Self::QueryNotUtf8 => "Percent-encode the bytes of UTF-8 text.".to_owned(),
            Self::NotJson { .. } | Self::NotParameters => {
                "Send {\"resourceType\":\"Parameters\",\"parameter\":[…]}, or no body at all.".to_owned()
            }
            Self::Unknown(name) => format!("Send the request again without `{name}`."),
            Self::NoValue(name) => format!("Give `{name}` one value, such as a `valueString`."),
            Self::Contradiction(name) => format!("Give `{name}` once."),
            Self::CommaList(name) => format!("Repeat `{name}` for every value."),
            Self::NotABoolean(name) => format!("Give `{name}` as `true` or `false`, or leave it out."),
            Self::NotASize(name) => format!("Give `{name}` as a number of bytes, such as 104857600."),
            Self::FileSizes => "Leave one of the two out, or give the larger one as `_maximumFileSize`.".to_owned(),
            Self::OutputFormat => {
                "Supported: application/fhir+ndjson, application/ndjson, ndjson; it may be left out.".to_owned()
            }
            Self::PatientAtSystem => "Call `Patient/$export` or `Group/[id]/$export`.".to_owned(),
            Self::PatientByGet => {
                "Send it in the body, where it is not written to logs: POST a FHIR Parameters resource.".to_owned()
            }
            Self::OutsideCompartment => {
                "Add a type of the Patient compartment, or export such types from the whole system.".to_owned()
            }
            Self::TooManyFilters(_) => {
                "Write values of one search parameter with commas between, or export the type whole.".to_owned()
            }
            Self::Parameter(error) => error.help(),
            Self::Filter(error) => error.help(),
        }
    }

    /// An error that refuses the request, or a warning about what was left out of it. `diagnostics` is whole by itself:
    /// some clients show nothing else (O-02, T-14).
    pub(super) fn issue(&self, severity: Severity) -> Issue {
        let what = if severity == Severity::Warning { format!("Ignored: {self}") } else { capital(&self.to_string()) };
        let issue = Issue::new(severity, self.code()).diagnostics(format!("{what}. {}", self.help())).details(what);
        self.parameter().map_or(issue.clone(), |name| issue.expression(name))
    }
}

/// Stands for the mistakes beyond those that are told.
pub(super) fn more(severity: Severity) -> Issue {
    Issue::new(severity, IssueType::TooLong)
        .details("There is more of it")
        .diagnostics("There is more of it than is told here.")
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}
