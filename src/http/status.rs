//! Polling and deleting (S-01 to S-20, D-01 to D-05).

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderName, HttpDate};
use actix_web::{HttpResponse, HttpResponseBuilder};

use super::answer::Ask;
use super::audit::Deed;
use super::reply::{FHIR_JSON, Problem};
use crate::auth::{Access, capability};
use crate::bulk::Progress;
use crate::bulk::kickoff::Dialect;
use crate::bulk::manifest::{Form, Manifest};
use crate::job::{Job, JobId, State};

/// What `Retry-After` grows to (S-03).
const LONGEST_PAUSE: i64 = 30;

const X_PROGRESS: HeaderName = HeaderName::from_static("x-progress");
const X_EXPORT_STATUS: HeaderName = HeaderName::from_static("x-export-status");

/// The job that a client may see; nobody learns of others (S-12, S-18).
pub(super) fn visible(ask: &Ask<'_>, access: &Access, id: &str) -> Result<Arc<Job>, Problem> {
    let id: JobId = id.parse().map_err(|_not_an_id| Problem::NoJob)?;
    let job = ask.service.jobs.get(id).ok_or(Problem::NoJob)?;
    if job.client == access.client || access.admin { Ok(job) } else { Err(Problem::NoJob) }
}

/// Whether the token allows what the job holds (S-11).
fn covered(access: &Access, job: &Job) -> Result<(), Problem> {
    let lacking: Vec<String> = job.request.types.iter().filter(|name| !access.scopes.reads(name)).cloned().collect();
    if lacking.is_empty() { Ok(()) } else { Err(Problem::Scope(lacking)) }
}

/// Answers a poll of a page, which is the first one where there are no pages.
pub(super) async fn status(ask: &Ask<'_>, id: &str, page: usize) -> Result<HttpResponse, Problem> {
    let access = ask.access().await?;
    let job = visible(ask, &access, id)?;
    covered(&access, &job)?;
    let service = ask.service;
    if page > 1 && !linked(&job, page) {
        return Err(Problem::NoJob);
    }
    // What is there is fetched, as a file is, and not polled for.
    if job.pages.len() < page {
        service.polls.take(id, service.clock.now_micros()).map_err(Problem::Polls)?;
    }
    let there = job.ended() || job.pages.len() >= page;
    let hold = if ask.is_head() || service.is_draining() { Duration::ZERO } else { service.options.status_hold };
    let job = if there { job } else { service.jobs.wait(job.id, hold).await.ok_or(Problem::NoJob)? };
    if let Some(found) = job.pages.get(page - 1) {
        return manifest(ask, &access, &job, found, Some(page + 1)).await;
    }
    match &job.state {
        State::Accepted | State::InProgress => Ok(under_way(ask, &job)),
        State::Completed { manifest: last, .. } => manifest(ask, &access, &job, last, None).await,
        State::Failed(failed) => {
            let problem = Problem::Export(failed.clone());
            if !job.separate_status {
                return Err(problem);
            }
            let (status, outcome) = problem.outcome(&ask.id);
            let mut response = said(&job, status);
            response.insert_header((header::CONTENT_TYPE, FHIR_JSON));
            Ok(response.body(outcome.to_json()))
        }
    }
}

/// Whether a page may have been linked to: by the one before it, or by one that a failure took back.
fn linked(job: &Job, page: usize) -> bool {
    let failed = matches!(job.state, State::Failed(_)) && job.request.files.early;
    failed || (!job.pages.is_empty() && page <= job.pages.len() + 1)
}

/// An answer about a job whose status is this (S-10).
fn said(job: &Job, status: StatusCode) -> HttpResponseBuilder {
    if !job.separate_status {
        return HttpResponse::build(status);
    }
    let mut response = HttpResponse::Ok();
    let reason = status.canonical_reason().unwrap_or_default();
    response.insert_header((X_EXPORT_STATUS, format!("{} {reason}", status.as_u16())));
    response
}

fn under_way(ask: &Ask<'_>, job: &Job) -> HttpResponse {
    let mut response = said(job, StatusCode::ACCEPTED);
    say_progress(&mut response, ask, job, false);
    response.finish()
}

/// How far a job is, and when to ask again; at once for what is there.
fn say_progress(response: &mut HttpResponseBuilder, ask: &Ask<'_>, job: &Job, there: bool) {
    if !job.ended() {
        let progress = ask.service.jobs.progress(job.id).unwrap_or_default();
        response.insert_header((X_PROGRESS, told(&job.state, &progress)));
    }
    let age = ask.service.clock.now_micros().saturating_sub(job.created_at) / 1_000_000;
    response.insert_header((header::RETRY_AFTER, if there { 1 } else { pause(age) }));
}

/// Seconds until the next poll: 1 at first, more as the job grows old (S-03).
fn pause(age: i64) -> i64 {
    (age / 10).clamp(1, LONGEST_PAUSE)
}

/// `45% Observation 120000 rows`: a percentage first, since clients read it (S-02, T-42). It follows the rows that were
/// read and what the database's statistics expect; 100 is said by the manifest alone.
fn told(state: &State, progress: &Progress) -> String {
    if matches!(state, State::Accepted) {
        return "0% waiting for its turn".to_owned();
    }
    let (mut read, mut expected) = (0_u128, 0_u128);
    for one in &progress.types {
        let rows = u128::from(one.rows);
        let estimate = if one.done { rows } else { one.estimate_rows.map_or(rows, u128::from).max(rows) };
        read += rows;
        expected += estimate;
    }
    let percent = (read * 100).checked_div(expected).unwrap_or(0).min(99);
    let now = progress.types.iter().find(|one| !one.done && one.rows > 0);
    match now.or_else(|| progress.types.iter().rev().find(|one| one.done)) {
        Some(one) => format!("{percent}% {} {} rows", one.name, one.rows),
        None => format!("{percent}% starting"),
    }
}

/// Answers with a page of the manifest: 200 is the last one, whatever becomes of the job meanwhile (S-14, S-15).
async fn manifest(
    ask: &Ask<'_>,
    access: &Access,
    job: &Job,
    page: &Manifest,
    next: Option<usize>,
) -> Result<HttpResponse, Problem> {
    let service = ask.service;
    let mut expires = job.expires_at.map(|at| at.div_euclid(1_000_000));
    let base = match service.options.signed_files.filter(|_| service.authority.protects()) {
        None => format!("/bulk-files/{}", job.id),
        Some(lifetime) => {
            let until = service.clock.now_seconds().saturating_add(lifetime.as_secs() as i64);
            let segment = capability::sign(&service.key, &job.id.to_string(), until);
            // The manifest is good for as long as its URLs are (M-20); a new one has new URLs.
            expires = Some(expires.map_or(until, |at| at.min(until)));
            format!("/bulk-files/{segment}/{}", job.id)
        }
    };
    let dialect = if job.dialect == Dialect::V4.operation() { Dialect::V4 } else { Dialect::Compatible };
    let file_base = service.options.base_url.at(&base);
    let link = next.map(|number| service.options.base_url.at(&format!("/bulk-status/{}/page/{number}", job.id)));
    let requires_access_token = service.files_need_token();
    let form = Form { dialect, file_base: &file_base, requires_access_token, next: link.as_deref() };
    let body = page.to_json(&form).map_err(|error| {
        tracing::error!(job = %job.id, %error, "a manifest could not be written");
        Problem::Internal
    })?;
    let status = if next.is_some() { StatusCode::ACCEPTED } else { StatusCode::OK };
    let details = vec![("files", page.files().count().to_string())];
    ask.audit(Deed::Manifest, Some(&access.client), Some(job.id.to_string()), status.as_u16(), details).await?;
    let mut response = said(job, status);
    if let Some(number) = next {
        say_progress(&mut response, ask, job, job.ended() || job.pages.len() >= number);
    }
    if let Some(at) = expires {
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(at.max(0) as u64);
        response.insert_header((header::EXPIRES, HttpDate::from(at)));
    }
    response.insert_header((header::CACHE_CONTROL, "private, no-store"));
    Ok(response.insert_header((header::CONTENT_TYPE, "application/json")).body(body))
}

/// Answers a `DELETE`: a scope that covers the job is not asked for, only whose it is (T-38).
pub(super) async fn delete(ask: &Ask<'_>, id: &str) -> Result<HttpResponse, Problem> {
    let access = ask.access().await?;
    let job = visible(ask, &access, id)?;
    match ask.service.jobs.delete(job.id).await {
        Ok(true) => {}
        Ok(false) => return Err(Problem::NoJob),
        Err(error) => {
            tracing::error!(job = %job.id, error = &error as &dyn std::error::Error, "a job could not be deleted");
            return Err(Problem::Unavailable("The job store"));
        }
    }
    tracing::info!(job = %job.id, client = access.client, request = ask.id, "export deleted");
    let details = vec![("ended", job.ended().to_string())];
    // It is gone, recorded or not; the log says when the trail is broken.
    let _ = ask.audit(Deed::Delete, Some(&access.client), Some(job.id.to_string()), 202, details).await;
    Ok(HttpResponse::Accepted().finish())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bulk::TypeProgress;

    fn one(name: &str, rows: u64, estimate_rows: Option<u64>, done: bool) -> TypeProgress {
        TypeProgress { name: name.to_owned(), rows, bytes: 0, estimate_rows, done }
    }

    // S-02 T-42
    #[test]
    fn progress_begins_with_a_percentage() {
        let run = State::InProgress;
        let told = |types: Vec<TypeProgress>| told(&run, &Progress { types });
        assert_eq!(super::told(&State::Accepted, &Progress::default()), "0% waiting for its turn");
        assert_eq!(told(Vec::new()), "0% starting");
        let patients = one("Patient", 10, Some(10), true);
        let half = vec![patients.clone(), one("Observation", 35, Some(90), false)];
        assert_eq!(told(half), "45% Observation 35 rows");
        let wrong_estimate = vec![patients.clone(), one("Observation", 500, Some(90), false)];
        assert_eq!(told(wrong_estimate), "99% Observation 500 rows");
        assert_eq!(told(vec![one("Patient", 10, Some(1000), true)]), "99% Patient 10 rows", "only the end is 100");
        assert_eq!(told(vec![one("Patient", 0, None, false)]), "0% starting");
        let long = one(&"X".repeat(64), u64::MAX, Some(u64::MAX), false);
        assert!(told(vec![long.clone(), long]).len() < 100);
    }

    // S-03 T-03 T-22
    #[test]
    fn pauses_grow() {
        assert_eq!([0, 9, 20, 299, 100_000].map(pause), [1, 1, 2, 29, 30]);
        assert_eq!(pause(-5), 1);
    }
}
