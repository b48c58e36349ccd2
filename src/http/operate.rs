//! What is open to everybody: what this server is, and how it is.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header;

use super::answer::{Ask, json};
use super::page;
use super::reply::{FHIR_JSON, Problem};
use crate::bulk::accept::accepts_json;
use crate::bulk::capability::operation_definition;

/// The page for people.
pub(super) fn page(ask: &Ask<'_>) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, "text/html; charset=utf-8"))
        .insert_header((header::CONTENT_SECURITY_POLICY, page::POLICY))
        .insert_header((header::REFERRER_POLICY, "no-referrer"))
        .body(page::html(ask.service))
}

/// The process answers.
pub(super) fn health() -> HttpResponse {
    HttpResponse::Ok().insert_header((header::CONTENT_TYPE, "text/plain; charset=utf-8")).body("ok\n")
}

/// The server accepts exports: its store works and it is not going away.
pub(super) fn ready(ask: &Ask<'_>) -> Result<HttpResponse, Problem> {
    if ask.service.is_draining() {
        return Err(Problem::Draining);
    }
    if !ask.service.jobs.store_works() {
        return Err(Problem::Unavailable("The job store"));
    }
    Ok(health())
}

/// Numbers for Prometheus; not on the public address where there is one of their own.
pub(super) fn metrics(ask: &Ask<'_>) -> Result<HttpResponse, Problem> {
    if ask.service.options.metrics_apart && !is_apart(ask) {
        return Err(Problem::NoPath);
    }
    let text = ask.service.metrics.text(&ask.service.jobs.numbers());
    let media_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Ok(HttpResponse::Ok().insert_header((header::CONTENT_TYPE, media_type)).body(text))
}

/// Marks connections that came to the second address.
#[derive(Debug, Clone, Copy)]
pub(super) struct Apart;

/// Whether a request came to the second address.
pub(super) fn is_apart(ask: &Ask<'_>) -> bool {
    ask.request.app_data::<Apart>().is_some()
}

/// The discovery document, whatever `Accept` says.
pub(super) fn discovery(ask: &Ask<'_>) -> Result<HttpResponse, Problem> {
    let document = ask.service.authority.smart_configuration().ok_or(Problem::NoPath)?;
    Ok(json(StatusCode::OK, "application/json", document.to_string()))
}

/// The CapabilityStatement (C-01).
pub(super) fn metadata(ask: &Ask<'_>) -> Result<HttpResponse, Problem> {
    if !accepts_json(ask.texts("accept").into_iter()) {
        return Err(Problem::NotAcceptable);
    }
    Ok(json(StatusCode::OK, FHIR_JSON, ask.service.metadata.clone()))
}

/// An OperationDefinition.
pub(super) fn definition(ask: &Ask<'_>, id: &str) -> Result<HttpResponse, Problem> {
    let definition = operation_definition(id, &ask.service.features).ok_or(Problem::NoPath)?;
    Ok(json(StatusCode::OK, FHIR_JSON, definition.to_string()))
}
