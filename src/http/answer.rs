//! One request from its path to its answer.

use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use actix_web::http::Method;
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::web::{Bytes, Data, Payload};
use actix_web::{HttpRequest, HttpResponse};

use super::audit::{Deed, Event};
use super::net::client_address;
use super::reply::Problem;
use super::routes::Endpoint;
use super::service::Service;
use super::{download, groups, kickoff, operate, status, token};
use crate::auth::Access;

/// Longest path with its query (K-21).
const MAX_URI: usize = 32 * 1024;

/// Longest that the body of a request may take.
const BODY_TIME: Duration = Duration::from_mins(2);

/// The name of a request in logs and answers.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// A request on its way.
pub(super) struct Ask<'a> {
    pub(super) service: &'a Service,
    pub(super) request: &'a HttpRequest,
    /// Its name.
    pub(super) id: String,
    /// Who is at the other end.
    pub(super) address: IpAddr,
    payload: Option<Payload>,
}

impl<'a> Ask<'a> {
    fn new(service: &'a Service, request: &'a HttpRequest, payload: Payload) -> Self {
        // Without random numbers requests have no name of their own, and are answered all the same.
        let id = getrandom::u64().map_or_else(|_| "-".to_owned(), |bits| format!("{bits:016x}"));
        let peer = request.peer_addr().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.ip());
        let forwarded = texts(request.headers(), "x-forwarded-for");
        let address = client_address(peer, forwarded.into_iter(), &service.options.trusted_proxies);
        Self { service, request, id, address, payload: Some(payload) }
    }

    pub(super) fn headers(&self) -> &'a HeaderMap {
        self.request.headers()
    }

    pub(super) fn is_head(&self) -> bool {
        self.request.method() == Method::HEAD
    }

    /// Values of a header that are text.
    pub(super) fn texts(&self, name: &str) -> Vec<&'a str> {
        texts(self.request.headers(), name)
    }

    /// Who asks.
    pub(super) async fn access(&self) -> Result<Access, Problem> {
        let mut values = self.headers().get_all(header::AUTHORIZATION);
        let (first, second) = (values.next(), values.next());
        if second.is_some() {
            return Err(Problem::Malformed("`Authorization` is sent twice"));
        }
        // A value that is no text is no token either.
        let value = first.map(|value| value.to_str().unwrap_or_default());
        self.service.authority.access(value).await.map_err(Problem::Access)
    }

    /// The body, up to `most` bytes.
    pub(super) async fn body(&mut self, most: u64) -> Result<Bytes, Problem> {
        if self.headers().contains_key(header::CONTENT_ENCODING) {
            return Err(Problem::Packed);
        }
        let Some(payload) = self.payload.take() else { return Ok(Bytes::new()) };
        let said =
            self.headers().get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
        if said.is_some_and(|length| length > most) {
            return Err(Problem::TooLarge(most));
        }
        let most_bytes = usize::try_from(most).unwrap_or(usize::MAX);
        match tokio::time::timeout(BODY_TIME, payload.to_bytes_limited(most_bytes)).await {
            Err(_late) => Err(Problem::Slow),
            Ok(Err(_larger)) => Err(Problem::TooLarge(most)),
            Ok(Ok(Err(_broken))) => Err(Problem::Malformed("The body of the request is broken")),
            Ok(Ok(Ok(body))) => Ok(body),
        }
    }

    /// Writes the audit trail.
    pub(super) async fn audit(
        &self,
        deed: Deed,
        client: Option<&str>,
        job: Option<String>,
        status: u16,
        details: Vec<(&'static str, String)>,
    ) -> Result<(), Problem> {
        let request = Some((self.address, self.id.clone()));
        let event = Event { deed, client: client.map(str::to_owned), request, job, status, details };
        self.service.audit.record(event, self.service.clock.now_micros()).await
    }
}

fn texts<'a>(headers: &'a HeaderMap, name: &str) -> Vec<&'a str> {
    headers.get_all(name).filter_map(|value| value.to_str().ok()).collect()
}

/// Answers a request.
pub(super) async fn answer(service: Data<Service>, request: HttpRequest, payload: Payload) -> HttpResponse {
    let began = Instant::now();
    let mut ask = Ask::new(&service, &request, payload);
    let endpoint = Endpoint::find(request.uri().path(), service.options.base_url.path());
    let name = endpoint.as_ref().map_or("none", Endpoint::name);
    let mut response = match Box::pin(route(&mut ask, endpoint)).await {
        Ok(response) => response,
        Err(problem) => problem.answer(&ask.id),
    };
    finish(&mut response, &ask);
    let (status, seconds) = (response.status(), began.elapsed().as_secs_f64());
    service.metrics.answered(name, status.as_u16(), seconds);
    let (request, method) = (&ask.id, request.method().as_str());
    if status.is_server_error() {
        tracing::warn!(request, method, endpoint = name, status = status.as_u16(), seconds, "answered");
    } else {
        tracing::debug!(request, method, endpoint = name, status = status.as_u16(), seconds, "answered");
    }
    response
}

async fn route(ask: &mut Ask<'_>, endpoint: Option<Endpoint>) -> Result<HttpResponse, Problem> {
    let path = ask.request.uri().path_and_query().map_or(0, |path| path.as_str().len());
    if path > MAX_URI {
        return Err(Problem::UriTooLong(MAX_URI));
    }
    let endpoint = endpoint.ok_or(Problem::NoPath)?;
    let (allowed, method) = (endpoint.methods(), ask.request.method().as_str());
    if method == "OPTIONS" {
        return Ok(HttpResponse::NoContent().insert_header((header::ALLOW, format!("{allowed}, OPTIONS"))).finish());
    }
    if !allowed.split(", ").any(|one| one == method) {
        return Err(Problem::Method(allowed));
    }
    match endpoint {
        Endpoint::Page => Ok(operate::page(ask)),
        Endpoint::Health => Ok(operate::health()),
        Endpoint::Ready => operate::ready(ask),
        Endpoint::Metrics => operate::metrics(ask),
        Endpoint::Discovery => operate::discovery(ask),
        Endpoint::Metadata => operate::metadata(ask),
        Endpoint::Definition(id) => operate::definition(ask, &id),
        Endpoint::Token => token::token(ask).await,
        Endpoint::Export(level, dialect) => kickoff::kick_off(ask, level, dialect).await,
        Endpoint::Groups => groups::search(ask).await,
        Endpoint::Group(id) => groups::read(ask, id).await,
        Endpoint::Status(job) if method == "DELETE" => status::delete(ask, &job).await,
        Endpoint::Status(job) => status::status(ask, &job, 1).await,
        Endpoint::StatusPage(job, page) => status::status(ask, &job, page).await,
        Endpoint::File { capability, job, name } => download::file(ask, capability.as_deref(), &job, &name).await,
    }
}

/// Headers that every answer has.
fn finish(response: &mut HttpResponse, ask: &Ask<'_>) {
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if ask.service.options.base_url.is_secure() {
        let value = HeaderValue::from_static("max-age=31536000");
        headers.insert(header::STRICT_TRANSPORT_SECURITY, value);
    }
    if let Ok(value) = HeaderValue::from_str(&ask.id) {
        headers.insert(REQUEST_ID, value);
    }
    if !headers.contains_key(header::CACHE_CONTROL) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
}

/// An answer in JSON.
pub(super) fn json(status: StatusCode, media_type: &'static str, body: impl Into<Bytes>) -> HttpResponse {
    HttpResponse::build(status).insert_header((header::CONTENT_TYPE, media_type)).body(body.into())
}
