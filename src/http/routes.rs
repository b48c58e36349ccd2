//! The table of endpoints: what a path means, and which methods it has.
//!
//! Paths are read here and nowhere else. Each segment is decoded after the split, so an encoded slash never makes a new
//! segment, `%24export` is `$export`, and one slash at the end changes nothing (K-20).

use crate::bulk::Level;
use crate::bulk::kickoff::Dialect;

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Endpoint {
    /// The page for people.
    Page,
    /// `/healthz`
    Health,
    /// `/readyz`
    Ready,
    /// `/metrics`
    Metrics,
    /// The token endpoint.
    Token,
    /// `/.well-known/smart-configuration`
    Discovery,
    /// The CapabilityStatement.
    Metadata,
    /// An OperationDefinition.
    Definition(String),
    /// A kick-off.
    Export(Level, Dialect),
    /// Search of groups.
    Groups,
    /// A group.
    Group(String),
    /// The status of a job, and its end.
    Status(String),
    /// A page of a job's manifest, from the second on.
    StatusPage(String, usize),
    /// A file of a job.
    File {
        /// The signature that opens it.
        capability: Option<String>,
        /// The job.
        job: String,
        /// The file.
        name: String,
    },
}

impl Endpoint {
    /// What is served at a path; `prefix` is the path of the base URL.
    pub(super) fn find(path: &str, prefix: &str) -> Option<Self> {
        let inner = path.strip_prefix(prefix).filter(|rest| rest.is_empty() || rest.starts_with('/'));
        inner.and_then(|path| Self::below_base(&segments(path)?)).or_else(|| Self::at_root(&segments(path)?))
    }

    fn at_root(steps: &[String]) -> Option<Self> {
        let steps: Vec<&str> = steps.iter().map(String::as_str).collect();
        Some(match steps[..] {
            [] => Self::Page,
            ["healthz"] => Self::Health,
            ["readyz"] => Self::Ready,
            ["metrics"] => Self::Metrics,
            ["auth", "token"] => Self::Token,
            [".well-known", "smart-configuration"] => Self::Discovery,
            _ => return None,
        })
    }

    fn below_base(steps: &[String]) -> Option<Self> {
        let steps: Vec<&str> = steps.iter().map(String::as_str).collect();
        let own = |text: &str| text.to_owned();
        Some(match steps[..] {
            ["metadata"] => Self::Metadata,
            [".well-known", "smart-configuration"] => Self::Discovery,
            ["OperationDefinition", id] => Self::Definition(own(id)),
            ["Group"] => Self::Groups,
            ["Group", id] => Self::Group(own(id)),
            ["bulk-status", job] => Self::Status(own(job)),
            ["bulk-status", job, "page", number] => Self::StatusPage(own(job), page(number)?),
            ["bulk-files", job, name] => Self::File { capability: None, job: own(job), name: own(name) },
            ["bulk-files", capability, job, name] => {
                Self::File { capability: Some(own(capability)), job: own(job), name: own(name) }
            }
            [operation] => Self::Export(Level::System, dialect(operation)?),
            ["Patient", operation] => Self::Export(Level::Patient, dialect(operation)?),
            ["Group", id, operation] => Self::Export(Level::Group(own(id)), dialect(operation)?),
            _ => return None,
        })
    }

    /// The methods it has, `OPTIONS` aside, as `Allow` lists them.
    pub(super) fn methods(&self) -> &'static str {
        match self {
            Self::Export(_, Dialect::Compatible) => "GET, POST",
            Self::Export(_, Dialect::V4) | Self::Token => "POST",
            Self::Status(_) => "GET, HEAD, DELETE",
            _ => "GET, HEAD",
        }
    }

    /// Its name in metrics and logs.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Page => "page",
            Self::Health => "health",
            Self::Ready => "ready",
            Self::Metrics => "metrics",
            Self::Token => "token",
            Self::Discovery => "discovery",
            Self::Metadata => "metadata",
            Self::Definition(_) => "definition",
            Self::Export(..) => "kick-off",
            Self::Groups => "group-search",
            Self::Group(_) => "group-read",
            Self::Status(_) | Self::StatusPage(..) => "status",
            Self::File { .. } => "file",
        }
    }

    /// Whether every web origin may read it.
    pub(super) fn is_public(&self) -> bool {
        matches!(self, Self::Metadata | Self::Discovery | Self::Definition(_))
    }
}

/// The number of a page; each has one name.
fn page(text: &str) -> Option<usize> {
    text.parse().ok().filter(|number: &usize| *number > 1 && number.to_string() == text)
}

fn dialect(operation: &str) -> Option<Dialect> {
    match operation {
        "$export" => Some(Dialect::Compatible),
        "$export-v4" => Some(Dialect::V4),
        _ => None,
    }
}

/// The decoded segments of a path; none if one of them is empty or is no plain text.
fn segments(path: &str) -> Option<Vec<String>> {
    let path = path.strip_prefix('/').unwrap_or(path);
    let path = path.strip_suffix('/').unwrap_or(path);
    if path.is_empty() {
        return Some(Vec::new());
    }
    path.split('/').map(|step| decoded(step).filter(|step| !step.is_empty())).collect()
}

/// A segment without its percent signs; none if they are wrong, or hide a sign that no name of ours has.
fn decoded(step: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(step.len());
    let mut rest = step.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let (digits, after) = rest.split_at_checked(2)?;
        let text = std::str::from_utf8(digits).ok().filter(|text| text.bytes().all(|b| b.is_ascii_hexdigit()))?;
        bytes.push(u8::from_str_radix(text, 16).ok()?);
        rest = after;
    }
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~$".contains(byte);
    if bytes.iter().all(plain) { String::from_utf8(bytes).ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(path: &str) -> Option<Endpoint> {
        Endpoint::find(path, "/fhir")
    }

    // K-01 K-20 T-05
    #[test]
    fn paths() {
        let group = || Level::Group("g-1".to_owned());
        for (path, endpoint) in [
            ("/", Endpoint::Page),
            ("/healthz", Endpoint::Health),
            ("/readyz", Endpoint::Ready),
            ("/metrics", Endpoint::Metrics),
            ("/auth/token", Endpoint::Token),
            ("/.well-known/smart-configuration", Endpoint::Discovery),
            ("/fhir/.well-known/smart-configuration", Endpoint::Discovery),
            ("/fhir/metadata", Endpoint::Metadata),
            ("/fhir/metadata/", Endpoint::Metadata),
            ("/fhir/OperationDefinition/export", Endpoint::Definition("export".to_owned())),
            ("/fhir/$export", Endpoint::Export(Level::System, Dialect::Compatible)),
            ("/fhir/%24export", Endpoint::Export(Level::System, Dialect::Compatible)),
            ("/fhir/$export-v4/", Endpoint::Export(Level::System, Dialect::V4)),
            ("/fhir/Patient/$export", Endpoint::Export(Level::Patient, Dialect::Compatible)),
            ("/fhir/Patient/%24export-v4", Endpoint::Export(Level::Patient, Dialect::V4)),
            ("/fhir/Group/g-1/$export", Endpoint::Export(group(), Dialect::Compatible)),
            ("/fhir/Group/g%2D1/%24export", Endpoint::Export(group(), Dialect::Compatible)),
            ("/fhir/Group", Endpoint::Groups),
            ("/fhir/Group/g-1", Endpoint::Group("g-1".to_owned())),
            ("/fhir/bulk-status/abc", Endpoint::Status("abc".to_owned())),
            ("/fhir/bulk-status/abc/page/2", Endpoint::StatusPage("abc".to_owned(), 2)),
            ("/fhir/bulk-status/abc/page/10/", Endpoint::StatusPage("abc".to_owned(), 10)),
            (
                "/fhir/bulk-files/abc/Patient.001.ndjson",
                Endpoint::File { capability: None, job: "abc".to_owned(), name: "Patient.001.ndjson".to_owned() },
            ),
            (
                "/fhir/bulk-files/sig/abc/x.gz",
                Endpoint::File { capability: Some("sig".to_owned()), job: "abc".to_owned(), name: "x.gz".to_owned() },
            ),
        ] {
            assert_eq!(find(path), Some(endpoint), "{path}");
        }
        assert_eq!(Endpoint::find("/metadata", ""), Some(Endpoint::Metadata));
        assert_eq!(Endpoint::find("/", ""), Some(Endpoint::Page));
        assert_eq!(Endpoint::find("/healthz", ""), Some(Endpoint::Health));
    }

    //
    #[test]
    fn paths_that_lead_nowhere() {
        for path in [
            "/fhir",
            "/fhir/",
            "/fhirx/metadata",
            "/metadata",
            "/fhir/Observation",
            "/fhir/Patient",
            "/fhir/Observation/$export",
            "/fhir/$Export",
            "/fhir/Group//$export",
            "/fhir/bulk-status/abc/page",
            "/fhir/bulk-status/abc/page/0",
            "/fhir/bulk-status/abc/page/1",
            "/fhir/bulk-status/abc/page/02",
            "/fhir/bulk-status/abc/page/-2",
            "/fhir/bulk-status/abc/page/99999999999999999999",
            "/fhir/bulk-files/abc/..",
            "/fhir/bulk-files/abc/%2e%2e%2fstate.redb/x/y",
            "/fhir/bulk-files/abc/a%2Fb",
            "/fhir/bulk-files/abc/a%00b",
            "/fhir/bulk-files/abc/a%0d%0ab",
            "/fhir/bulk-files/abc/%c3%a4",
            "/fhir/bulk-files/abc/a%2",
            "/fhir/bulk-files/abc/a%zz",
            "/fhir/bulk-files/abc/a%+1",
            "/fhir/metadata//",
            "//fhir/metadata",
        ] {
            let found = find(path);
            let dots = Some(Endpoint::File { capability: None, job: "abc".to_owned(), name: "..".to_owned() });
            // Dots are a name like others: the files of a job are looked up in its record, not on the disk.
            assert!(found.is_none() || found == dots, "{path}: {found:?}");
        }
    }
}
