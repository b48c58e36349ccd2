//! Every refusal becomes an answer here: a status, an OperationOutcome, and the headers that belong to it (K-13, O-01
//! to O-03, R-01). No other part of this room makes an error.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderName, HeaderValue};

use crate::auth;
use crate::bulk::kickoff::Refusal;
use crate::fhir::outcome::{Issue, IssueType, OperationOutcome, Severity};
use crate::job::Failed;

/// Media type of FHIR in JSON.
pub(super) const FHIR_JSON: &str = "application/fhir+json";

/// Why a request is not answered as it wishes.
#[derive(Debug, Clone)]
pub(super) enum Problem {
    /// Nothing is served at this path.
    NoPath,
    /// Unknown, deleted, expired, or somebody else's: nobody learns which (S-12, S-18).
    NoJob,
    /// The same of a file.
    NoFile,
    /// The same of a group (K-19).
    NoGroup,
    /// Another method than these.
    Method(&'static str),
    /// No form of JSON is acceptable (K-06).
    NotAcceptable,
    /// The body is of another type than this (K-04).
    MediaType(&'static str),
    /// The body is packed.
    Packed,
    /// The body does not arrive.
    Slow,
    /// The body is larger than so many bytes (K-21).
    TooLarge(u64),
    /// The path and query are longer than so many bytes (K-21).
    UriTooLong(usize),
    /// Not a request that can be read.
    Malformed(&'static str),
    /// `Prefer: respond-async` is wanted (K-07).
    NotAsync,
    /// No access.
    Access(auth::Refused),
    /// The token lacks a scope: for these types (K-16).
    Scope(Vec<String>),
    /// The token lacks a letter for Group (G-16).
    GroupScope,
    /// The id is that of a mapped Group.
    Mapped,
    /// The client has access to some groups only.
    OnlyGroups,
    /// The kick-off cannot be honoured.
    KickOff(Refusal),
    /// The kick-off asks for what the data do not allow.
    Request(IssueType, String),
    /// Too many status requests; the next one after so many seconds (S-04).
    Polls(u64),
    /// The client has too many unfinished exports (K-14).
    TooManyExports,
    /// Everybody together has.
    QueueFull,
    /// The server is going away.
    Draining,
    /// The database, the job store or the audit trail does not answer: `what`.
    Unavailable(&'static str),
    /// The export has failed (S-05).
    Export(Failed),
    /// A range outside a file of so many bytes.
    Range(u64),
    /// `If-Match` or `If-Unmodified-Since` does not hold.
    Precondition,
    /// A bug of ours, or of the machine.
    Internal,
}

/// What a problem looks like from outside.
struct Parts {
    status: StatusCode,
    outcome: OperationOutcome,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Problem {
    /// The answer. `request` names it in the log.
    pub(super) fn answer(self, request: &str) -> HttpResponse {
        let Parts { status, outcome, headers } = self.parts(request);
        let mut response = HttpResponse::build(status);
        for pair in headers {
            response.insert_header(pair);
        }
        response.insert_header((header::CONTENT_TYPE, FHIR_JSON)).body(outcome.to_json())
    }

    /// Its OperationOutcome and status, for an answer that carries the status elsewhere (S-10).
    pub(super) fn outcome(self, request: &str) -> (StatusCode, OperationOutcome) {
        let Parts { status, outcome, .. } = self.parts(request);
        (status, outcome)
    }

    fn parts(self, request: &str) -> Parts {
        use IssueType as T;
        let make = |status: StatusCode, code: T, text: &str, hint: &str| {
            let mut issue = Issue::new(Severity::Error, code).details(text);
            // Some clients show only this, so it is a sentence of its own or nothing (T-14).
            if !hint.is_empty() {
                issue = issue.diagnostics(format!("{text}. {hint} (request {request})"));
            }
            Parts { status, outcome: OperationOutcome::new(issue), headers: Vec::new() }
        };
        let busy = |seconds: u64, status, code, text: &str, hint: &str| {
            let mut parts = make(status, code, text, hint);
            parts.headers.push((header::RETRY_AFTER, HeaderValue::from(seconds.max(1))));
            parts
        };
        match self {
            Self::NoPath => make(
                StatusCode::NOT_FOUND,
                T::NotFound,
                "Nothing is served at this path",
                "What is served stands in the CapabilityStatement at `metadata` below the base URL.",
            ),
            Self::NoJob => make(StatusCode::NOT_FOUND, T::NotFound, "No such export job", ""),
            Self::NoFile => make(StatusCode::NOT_FOUND, T::NotFound, "No such file", ""),
            Self::NoGroup => make(StatusCode::NOT_FOUND, T::NotFound, "No such Group", ""),
            Self::Method(allowed) => {
                let hint = format!("Allowed here: {allowed}.");
                let mut parts =
                    make(StatusCode::METHOD_NOT_ALLOWED, T::NotSupported, "The method is not allowed here", &hint);
                parts.headers.push((header::ALLOW, HeaderValue::from_static(allowed)));
                parts
            }
            Self::NotAcceptable => make(
                StatusCode::NOT_ACCEPTABLE,
                T::NotSupported,
                "`Accept` excludes every form of JSON",
                "Send `Accept: application/fhir+json`, or no `Accept`.",
            ),
            Self::MediaType(wanted) => {
                let hint = format!("Send the body as {wanted}.");
                make(
                    StatusCode::UNSUPPORTED_MEDIA_TYPE,
                    T::NotSupported,
                    "The type of the body is not supported",
                    &hint,
                )
            }
            Self::Packed => make(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                T::NotSupported,
                "The body is compressed",
                "Send it without `Content-Encoding`.",
            ),
            Self::Slow => {
                make(StatusCode::REQUEST_TIMEOUT, T::Timeout, "The body of the request did not arrive in time", "")
            }
            Self::TooLarge(most) => {
                let hint = format!("At most {most} bytes are read.");
                make(StatusCode::PAYLOAD_TOO_LARGE, T::TooLong, "The body of the request is too large", &hint)
            }
            Self::UriTooLong(most) => {
                let hint = format!("At most {most} bytes are read; send the parameters by POST.");
                make(StatusCode::URI_TOO_LONG, T::TooLong, "The URL is too long", &hint)
            }
            Self::Malformed(text) => make(StatusCode::BAD_REQUEST, T::Invalid, text, ""),
            Self::NotAsync => make(
                StatusCode::BAD_REQUEST,
                T::Required,
                "`Prefer: respond-async` is required",
                "An export is answered later; say that you expect it.",
            ),
            Self::Access(refused) => access(refused),
            Self::Scope(types) => {
                let text = if types.is_empty() {
                    "The access token allows none of what is asked for".to_owned()
                } else {
                    format!("The access token does not allow reading {}", types.join(", "))
                };
                let hint = "Ask for a token with a scope like `system/TYPE.rs`, or leave these types out.";
                let mut parts = make(StatusCode::FORBIDDEN, T::Forbidden, &text, hint);
                let value = HeaderValue::from_static(auth::INSUFFICIENT_SCOPE);
                parts.headers.push((header::WWW_AUTHENTICATE, value));
                parts
            }
            Self::GroupScope => {
                let hint = "Ask for a token with a scope like `system/Group.cruds`.";
                let text = "The access token does not allow to do this with a Group";
                let mut parts = make(StatusCode::FORBIDDEN, T::Forbidden, text, hint);
                let value = HeaderValue::from_static(auth::INSUFFICIENT_SCOPE);
                parts.headers.push((header::WWW_AUTHENTICATE, value));
                parts
            }
            Self::Mapped => make(
                StatusCode::CONFLICT,
                T::Conflict,
                "A Group of this id comes from the mapping, and cannot be changed here",
                "Choose another id, or let one be chosen by POST.",
            ),
            Self::OnlyGroups => make(
                StatusCode::FORBIDDEN,
                T::Forbidden,
                "This client has access to some Groups only",
                "Export one of its Groups: `Group/ID/$export`; `Group` lists them.",
            ),
            Self::KickOff(refusal) => {
                let status = StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::BAD_REQUEST);
                let allow = (status == StatusCode::METHOD_NOT_ALLOWED)
                    .then(|| (header::ALLOW, HeaderValue::from_static("POST")));
                Parts { status, outcome: refusal.outcome, headers: allow.into_iter().collect() }
            }
            Self::Request(code, text) => make(StatusCode::BAD_REQUEST, code, &text, ""),
            Self::Polls(seconds) => busy(
                seconds,
                StatusCode::TOO_MANY_REQUESTS,
                T::Throttled,
                "Too many status requests for this export",
                "It goes on; ask again after `Retry-After` seconds.",
            ),
            Self::TooManyExports => busy(
                30,
                StatusCode::TOO_MANY_REQUESTS,
                T::Throttled,
                "This client has as many unfinished exports as it may have",
                "Wait for one to end, or delete one.",
            ),
            Self::QueueFull => busy(
                60,
                StatusCode::SERVICE_UNAVAILABLE,
                T::Transient,
                "As many exports are waiting as this server lets wait",
                "Try again later.",
            ),
            Self::Draining => busy(
                30,
                StatusCode::SERVICE_UNAVAILABLE,
                T::Transient,
                "The server is shutting down",
                "Try again later.",
            ),
            Self::Unavailable(what) => {
                let text = format!("{what} is temporarily unavailable");
                busy(5, StatusCode::SERVICE_UNAVAILABLE, T::Transient, &text, "Try again.")
            }
            Self::Export(Failed { code, text, .. }) => make(StatusCode::INTERNAL_SERVER_ERROR, code, &text, ""),
            Self::Range(size) => {
                let mut parts = make(
                    StatusCode::RANGE_NOT_SATISFIABLE,
                    T::Invalid,
                    "The range lies outside the file",
                    &format!("It has {size} bytes."),
                );
                let value = HeaderValue::from_str(&format!("bytes */{size}"));
                parts.headers.extend(value.ok().map(|value| (header::CONTENT_RANGE, value)));
                parts
            }
            Self::Precondition => {
                make(StatusCode::PRECONDITION_FAILED, T::Conflict, "What is there is not what was expected", "")
            }
            Self::Internal => make(
                StatusCode::INTERNAL_SERVER_ERROR,
                T::Exception,
                "Something went wrong in the server",
                "Its log says more.",
            ),
        }
    }
}

/// `auth` says itself what its refusals are.
fn access(refused: auth::Refused) -> Parts {
    let status = StatusCode::from_u16(refused.status()).unwrap_or(StatusCode::UNAUTHORIZED);
    let code = match refused {
        auth::Refused::Expired => IssueType::Expired,
        auth::Refused::Unavailable => IssueType::Transient,
        auth::Refused::Missing | auth::Refused::Invalid => IssueType::Login,
    };
    let mut headers = Vec::new();
    if let Some(value) = refused.www_authenticate() {
        headers.push((header::WWW_AUTHENTICATE, HeaderValue::from_static(value)));
    }
    if status == StatusCode::SERVICE_UNAVAILABLE {
        headers.push((header::RETRY_AFTER, HeaderValue::from_static("5")));
    }
    let outcome = OperationOutcome::new(Issue::new(Severity::Error, code).details(refused.to_string()));
    Parts { status, outcome, headers }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::Refused;

    fn all() -> Vec<Problem> {
        let failed = Failed { code: IssueType::Exception, text: "The disk is full".to_owned(), transient: false };
        let outcome = OperationOutcome::new(Issue::new(Severity::Error, IssueType::Invalid).details("x"));
        let mut all = vec![
            Problem::NoPath,
            Problem::NoJob,
            Problem::NoFile,
            Problem::NoGroup,
            Problem::Method("GET, HEAD"),
            Problem::NotAcceptable,
            Problem::MediaType("application/fhir+json"),
            Problem::Packed,
            Problem::Slow,
            Problem::TooLarge(1),
            Problem::UriTooLong(1),
            Problem::Malformed("No"),
            Problem::NotAsync,
            Problem::Scope(vec!["Patient".to_owned()]),
            Problem::Scope(Vec::new()),
            Problem::OnlyGroups,
            Problem::GroupScope,
            Problem::Mapped,
            Problem::KickOff(Refusal { status: 405, outcome }),
            Problem::Request(IssueType::Value, "No".to_owned()),
            Problem::Polls(0),
            Problem::TooManyExports,
            Problem::QueueFull,
            Problem::Draining,
            Problem::Unavailable("The job store"),
            Problem::Export(failed),
            Problem::Range(7),
            Problem::Precondition,
            Problem::Internal,
        ];
        let refused = [Refused::Missing, Refused::Invalid, Refused::Expired, Refused::Unavailable];
        all.extend(refused.map(Problem::Access));
        all
    }

    // K-13 O-01 O-02 T-14
    #[test]
    fn every_problem_is_an_outcome_that_reads_alone() {
        for problem in all() {
            let shown = format!("{problem:?}");
            let (status, outcome) = problem.outcome("r1");
            assert!(status.is_client_error() || status.is_server_error(), "{shown}");
            let json: serde_json::Value = serde_json::from_str(&outcome.to_json()).unwrap();
            assert_eq!(json["resourceType"], "OperationOutcome");
            let issue = &json["issue"][0];
            let text = issue["details"]["text"].as_str().unwrap();
            assert!(!text.is_empty() && !text.ends_with('.'), "{text}");
            if let Some(more) = issue["diagnostics"].as_str() {
                assert!(more.starts_with(text) && more.ends_with("(request r1)"), "{more}");
            }
        }
    }

    // R-01 S-03 A-26 K-20
    #[test]
    fn headers_that_belong_to_a_status() {
        for problem in all() {
            let shown = format!("{problem:?}");
            let response = problem.answer("r1");
            let header = |name| response.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
            let retry = header(header::RETRY_AFTER);
            match response.status().as_u16() {
                429 | 503 => {
                    assert!(retry.is_some_and(|text| text.parse::<u32>().is_ok_and(|seconds| seconds > 0)), "{shown}");
                }
                _ => assert_eq!(retry, None, "{shown}"),
            }
            assert_eq!(response.status() == 405, header(header::ALLOW).is_some(), "{shown}");
            let wants = matches!(response.status().as_u16(), 401)
                || ["Scope", "GroupScope"].iter().any(|name| shown.starts_with(name));
            assert_eq!(wants, header(header::WWW_AUTHENTICATE).is_some(), "{shown}");
            assert_eq!(header(header::CONTENT_TYPE).as_deref(), Some(FHIR_JSON), "{shown}");
        }
    }
}
