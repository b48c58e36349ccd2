//! Output files (F-01 to F-13): as they are stored where the client can unpack them, unpacked on the way elsewhere.

use std::time::{Duration, SystemTime};

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderMap, HeaderValue, HttpDate};

use super::body::{FileBody, NoBody, Slice};
use super::range::{Conditions, Verdict, Wanted, range};
use super::reply::Problem;
use crate::bulk::accept::{Coding, encodings};
use crate::job::OpenFile;

/// What NDJSON is called (F-01).
const NDJSON: &str = "application/fhir+ndjson";

/// A file as one client gets it.
struct Form {
    coding: Coding,
    /// How it is stored.
    stored: Coding,
    size: u64,
    tag: String,
    modified: SystemTime,
}

impl Form {
    fn of(open: &OpenFile, headers: &HeaderMap) -> Self {
        let meta = &open.meta;
        let stored = match meta.stored.content_encoding.as_deref() {
            Some("gzip") => Coding::Gzip,
            Some("zstd") => Coding::Zstd,
            _ => Coding::Identity,
        };
        let accepted = encodings(headers.get_all(header::ACCEPT_ENCODING).filter_map(|value| value.to_str().ok()));
        // Who refuses every form gets the one that everybody can read.
        let coding = accepted.choose(&[stored, Coding::Identity]).unwrap_or(Coding::Identity);
        let size = if coding == Coding::Identity { meta.file_size } else { meta.stored.stored_size };
        let digest = meta.stored.sha256.as_deref().and_then(|digest| digest.get(..32));
        let name = digest.map_or_else(|| format!("{}-{}", open.whole_at, meta.file_size), str::to_owned);
        let tag = format!("\"{name}{}\"", coding.name().map(|name| format!("-{name}")).unwrap_or_default());
        let modified = SystemTime::UNIX_EPOCH + Duration::from_micros(open.whole_at.max(0) as u64);
        Self { coding, stored, size, tag, modified }
    }
}

/// Answers with a file; `head` without its bytes. `sent` hears of every byte.
pub(super) fn answer(
    open: OpenFile,
    headers: &HeaderMap,
    head: bool,
    sent: impl Fn(u64) + 'static,
) -> Result<HttpResponse, Problem> {
    let form = Form::of(&open, headers);
    let conditions = conditions(headers);
    match conditions.judge(&form.tag, form.modified) {
        Verdict::Failed => return Err(Problem::Precondition),
        Verdict::NotModified => {
            return Ok(described(StatusCode::NOT_MODIFIED, &form).finish());
        }
        Verdict::Go => {}
    }
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let asked = text(header::RANGE).filter(|_| conditions.allow_range(&form.tag, form.modified, date));
    let (status, skip, length) = match range(asked, form.size) {
        Wanted::Whole => (StatusCode::OK, 0, form.size),
        Wanted::Part(first, last) => (StatusCode::PARTIAL_CONTENT, first, last - first + 1),
        Wanted::Outside => return Err(Problem::Range(form.size)),
    };
    let mut response = described(status, &form);
    response.insert_header((header::CONTENT_TYPE, NDJSON));
    if let Some(coding) = form.coding.name() {
        response.insert_header((header::CONTENT_ENCODING, coding));
    }
    if status == StatusCode::PARTIAL_CONTENT {
        response.insert_header((header::CONTENT_RANGE, format!("bytes {skip}-{}/{}", skip + length - 1, form.size)));
    }
    let name = open.meta.public_name();
    if let Ok(value) = HeaderValue::from_str(&format!("attachment; filename=\"{name}\"")) {
        response.insert_header((header::CONTENT_DISPOSITION, value));
    }
    if head {
        return Ok(response.body(NoBody(length)));
    }
    let unpack = (form.coding == Coding::Identity && form.stored != Coding::Identity).then_some(form.stored);
    let OpenFile { file, lease, .. } = open;
    Ok(response.body(FileBody::new(file, Slice { unpack, skip, length }, sent, lease)))
}

/// What is said of a file whatever of it is sent.
fn described(status: StatusCode, form: &Form) -> actix_web::HttpResponseBuilder {
    let mut response = HttpResponse::build(status);
    response.insert_header((header::ETAG, form.tag.as_str()));
    response.insert_header((header::LAST_MODIFIED, HttpDate::from(form.modified)));
    response.insert_header((header::ACCEPT_RANGES, "bytes"));
    response.insert_header((header::VARY, "Accept-Encoding, Authorization"));
    response.insert_header((header::CACHE_CONTROL, "private, no-store"));
    response
}

fn conditions(headers: &HeaderMap) -> Conditions<'_> {
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    Conditions {
        if_match: text(header::IF_MATCH),
        if_none_match: text(header::IF_NONE_MATCH),
        if_modified_since: text(header::IF_MODIFIED_SINCE).and_then(date),
        if_unmodified_since: text(header::IF_UNMODIFIED_SINCE).and_then(date),
        if_range: text(header::IF_RANGE),
    }
}

fn date(text: &str) -> Option<SystemTime> {
    text.parse::<HttpDate>().ok().map(SystemTime::from)
}
