//! OperationOutcome as data. Whoever fills one keeps cell values out of it.

use serde::{Deserialize, Serialize};

/// An OperationOutcome: at least one issue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "resourceType")]
pub struct OperationOutcome {
    issue: Vec<Issue>,
}

/// One issue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Issue {
    severity: Severity,
    code: IssueType,
    #[serde(skip_serializing_if = "Option::is_none")]
    details: Option<Details>,
    #[serde(skip_serializing_if = "Option::is_none")]
    diagnostics: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    expression: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Details {
    text: String,
}

/// `issue-severity`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// The action failed and could not go on.
    Fatal,
    /// The action failed.
    Error,
    /// Something may be wrong; the action went on.
    Warning,
    /// Nothing is wrong.
    Information,
}

/// `issue-type`, whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum IssueType {
    /// Content is invalid.
    Invalid,
    /// Its structure is.
    Structure,
    /// A required element is missing.
    Required,
    /// An element's value is invalid.
    Value,
    /// A rule fails.
    Invariant,
    /// A security problem.
    Security,
    /// The client must authenticate.
    Login,
    /// The user or system is unknown.
    Unknown,
    /// The session has expired.
    Expired,
    /// The client may not do this.
    Forbidden,
    /// Some information was left out for privacy.
    Suppressed,
    /// The content was sound and could not be processed.
    Processing,
    /// Not supported.
    NotSupported,
    /// A duplicate.
    Duplicate,
    /// More than one match where one is expected.
    MultipleMatches,
    /// Not found.
    NotFound,
    /// It was there and is deleted.
    Deleted,
    /// Too much content.
    TooLong,
    /// The code or system is not understood.
    CodeInvalid,
    /// An extension is not acceptable.
    Extension,
    /// It would cost too much.
    TooCostly,
    /// A rule of the business fails.
    BusinessRule,
    /// An edit conflict.
    Conflict,
    /// It may pass; try again.
    Transient,
    /// A lock could not be had.
    LockError,
    /// The store is not available.
    NoStore,
    /// An unexpected internal error.
    Exception,
    /// A time limit passed.
    Timeout,
    /// Not all sources answered.
    Incomplete,
    /// Too many requests.
    Throttled,
    /// For information.
    Informational,
}

impl OperationOutcome {
    /// An outcome with one issue.
    pub fn new(issue: Issue) -> Self {
        Self { issue: vec![issue] }
    }

    /// Adds an issue.
    #[must_use]
    pub fn and(mut self, issue: Issue) -> Self {
        self.issue.push(issue);
        self
    }

    /// The JSON text, without line breaks.
    pub fn to_json(&self) -> String {
        // Strings and lists alone: serde_json has no reason to fail.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// The JSON text as a line of NDJSON, its newline included.
    pub fn to_json_line(&self) -> String {
        self.to_json() + "\n"
    }
}

impl Issue {
    /// An issue of a kind.
    pub fn new(severity: Severity, code: IssueType) -> Self {
        Self { severity, code, details: None, diagnostics: None, expression: Vec::new() }
    }

    /// What happened, for people (`details.text`).
    #[must_use]
    pub fn details(mut self, text: impl Into<String>) -> Self {
        self.details = Some(Details { text: text.into() });
        self
    }

    /// More about it, for whoever has to mend it.
    #[must_use]
    pub fn diagnostics(mut self, text: impl Into<String>) -> Self {
        self.diagnostics = Some(text.into());
        self
    }

    /// Adds the FHIRPath of an element concerned: `Patient.birthDate`.
    #[must_use]
    pub fn expression(mut self, path: impl Into<String>) -> Self {
        self.expression.push(path.into());
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fhir::elements::codes;

    #[test]
    fn lines() {
        let bare = OperationOutcome::new(Issue::new(Severity::Error, IssueType::NotFound));
        assert_eq!(
            bare.to_json_line(),
            "{\"resourceType\":\"OperationOutcome\",\"issue\":[{\"severity\":\"error\",\"code\":\"not-found\"}]}\n"
        );
        let full = Issue::new(Severity::Warning, IssueType::Value)
            .details("a \"bad\" value\nhere")
            .diagnostics("mappings/patient.yaml:3")
            .expression("Patient.birthDate");
        let line = bare.and(full).to_json_line();
        assert_eq!(line.matches('\n').count(), 1);
        let json: serde_json::Value = serde_json::from_str(&line).expect("JSON");
        assert_eq!(
            json["issue"][1],
            serde_json::json!({
                "severity": "warning", "code": "value", "details": {"text": "a \"bad\" value\nhere"},
                "diagnostics": "mappings/patient.yaml:3", "expression": ["Patient.birthDate"]
            })
        );
    }

    #[test]
    fn words_are_fhirs() {
        let word = |value: serde_json::Value| value.as_str().unwrap_or_default().to_owned();
        let known = |set: &str| codes(set).expect(set);
        let severities = known("http://hl7.org/fhir/ValueSet/issue-severity");
        for severity in [Severity::Fatal, Severity::Error, Severity::Warning, Severity::Information] {
            assert!(severities.contains(&word(serde_json::json!(severity))), "{severity:?}");
        }
        let first = IssueType::Invalid as u8;
        let types = known("http://hl7.org/fhir/ValueSet/issue-type");
        assert_eq!(IssueType::Informational as usize - first as usize + 1, types.iter().count());
        for ty in [IssueType::Invalid, IssueType::LockError, IssueType::MultipleMatches, IssueType::NoStore] {
            assert!(types.contains(&word(serde_json::json!(ty))), "{ty:?}");
        }
    }
}
