//! Kick-off: everything about a request is checked before it is accepted (K-01 to K-22).

use std::collections::BTreeSet;

use actix_web::HttpResponse;
use actix_web::http::header::{self, HeaderName};

use super::answer::Ask;
use super::audit::Deed;
use super::cohorts;
use super::reply::Problem;
use super::service::is_patient_linked;
use crate::auth::Access;
use crate::bulk::accept::{accepts_json, is_json};
use crate::bulk::kickoff::{Dialect, Intake, KickOff, Known, read, without_patients};
use crate::bulk::prefer::Prefer;
use crate::bulk::{ExportRequest, Level, instant};
use crate::cohort::Found;
use crate::fhir::outcome::{Issue, IssueType, OperationOutcome, Severity};
use crate::job::{CheckError, NewJob, SubmitError, Submitted};

/// Ids of unknown patients that an answer lists (K-50).
const LISTED: usize = 20;

const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");

/// Answers a kick-off.
pub(super) async fn kick_off(ask: &mut Ask<'_>, level: Level, dialect: Dialect) -> Result<HttpResponse, Problem> {
    let access = ask.access().await?;
    let accepted = accept(ask, &access, level.clone(), dialect).await;
    let details = match &accepted {
        Ok((new, ..)) => described(&new.request),
        Err(_) => vec![("level", level_name(&level))],
    };
    let refused = match accepted {
        Err(problem) => problem,
        Ok((new, prefer, _members)) => match ask.service.jobs.submit(&access.client, new).await {
            Ok(Submitted { job, attached }) => {
                let id = job.id;
                let mut details = details;
                details.extend(attached.then(|| ("attached", "true".to_owned())));
                let noted = ask.audit(Deed::KickOff, Some(&access.client), Some(id.to_string()), 202, details).await;
                if let Err(problem) = noted {
                    // What cannot be recorded is not done; what was done before stays.
                    if !attached {
                        let _ = ask.service.jobs.delete(id).await;
                    }
                    return Err(problem);
                }
                tracing::info!(job = %id, client = access.client, request = ask.id, attached, "export accepted");
                let mut response = HttpResponse::Accepted();
                let location = ask.service.options.base_url.at(&format!("/bulk-status/{id}"));
                response.insert_header((header::CONTENT_LOCATION, location));
                if let Some(applied) = prefer.applied() {
                    response.insert_header((PREFERENCE_APPLIED, applied));
                }
                return Ok(response.finish());
            }
            Err(error) => submit_problem(&error),
        },
    };
    let (status, _) = refused.clone().outcome(&ask.id);
    ask.audit(Deed::KickOff, Some(&access.client), None, status.as_u16(), details).await?;
    Err(refused)
}

/// Everything that can be known before a job is made.
async fn accept(
    ask: &mut Ask<'_>,
    access: &Access,
    level: Level,
    dialect: Dialect,
) -> Result<(NewJob, Prefer, Option<Found>), Problem> {
    if !accepts_json(ask.texts("accept").into_iter()) {
        return Err(Problem::NotAcceptable);
    }
    let prefer = Prefer::read(ask.texts("prefer").into_iter());
    if ask.service.options.require_prefer && !prefer.respond_async {
        return Err(Problem::NotAsync);
    }
    permit(ask, access, &level)?;
    let asked_at = ask.service.clock.now_micros();
    let own = match &level {
        Level::Group(id) => cohorts::find(ask.service, access, id).await?,
        Level::System | Level::Patient => None,
    };
    let post = ask.request.method() == "POST";
    let body = if post { ask.body(ask.service.options.max_body).await? } else { actix_web::web::Bytes::new() };
    let media_type = ask.texts("content-type").into_iter().next().unwrap_or_default();
    if !body.is_empty() && !is_json(media_type) {
        return Err(Problem::MediaType("application/fhir+json"));
    }
    let query = ask.request.uri().query();
    let catalogue = &ask.service.catalogue;
    let mapped = catalogue.names();
    let intake = Intake {
        dialect,
        level: level.clone(),
        post,
        query,
        body: (!body.is_empty()).then_some(&body[..]),
        lenient: prefer.lenient,
    };
    let known = Known {
        mapped: &mapped,
        base_url: ask.service.options.base_url.as_str(),
        compartment: &is_patient_linked,
        searchable: &|resource_type, code| catalogue.searchable(resource_type, code),
        strict_filters: ask.service.options.strict_filters,
    };
    let KickOff { mut request, mut ignored } = read(&intake, &known).map_err(Problem::KickOff)?;
    request.cohort = own.as_ref().map(|own| cohorts::cohort(ask.service, access, &own.record, asked_at)).transpose()?;
    ignored.extend(within_scopes(&mut request, access)?);
    ignored.extend(withheld(&mut request, access));
    check(ask, &mut request, prefer.lenient, &mut ignored).await?;
    let new = NewJob {
        request,
        request_url: request_url(ask, &level, dialect, query),
        dialect: dialect.operation().to_owned(),
        separate_status: prefer.separate_status,
        ignored,
        max_unfinished: access.max_running.map(|most| most as usize),
    };
    Ok((new, prefer, own))
}

/// Whether the client may ask at this level (K-15, K-17, K-18).
fn permit(ask: &Ask<'_>, access: &Access, level: &Level) -> Result<(), Problem> {
    if let Level::Group(id) = level {
        if !ask.service.catalogue.has_groups() || !access.groups.allows(id) {
            return Err(Problem::NoGroup);
        }
        if ask.service.options.require_group_scope && !access.scopes.reads("Group") {
            return Err(Problem::Scope(vec!["Group".to_owned()]));
        }
    }
    if access.groups.reaches(level) { Ok(()) } else { Err(Problem::OnlyGroups) }
}

/// Refuses named types that the token does not allow, and leaves out unnamed ones (K-15, K-16); the message file tells
/// which.
fn within_scopes(request: &mut ExportRequest, access: &Access) -> Result<Option<OperationOutcome>, Problem> {
    let reads = |name: &str| access.scopes.reads(name);
    let mut forbidden: BTreeSet<String> = request.types.iter().filter(|name| !reads(name)).cloned().collect();
    if request.types_given && !forbidden.is_empty() {
        return Err(Problem::Scope(forbidden.into_iter().collect()));
    }
    if request.associated.provenance.is_some() && !reads("Provenance") {
        return Err(Problem::Scope(vec!["Provenance".to_owned()]));
    }
    // What is pointed to is named by nobody.
    if let Some(closure) = &mut request.associated.closure {
        forbidden.extend(closure.extract_if(.., |name| !reads(name)));
    }
    request.types.retain(|name| reads(name));
    if request.types.is_empty() {
        return Err(Problem::Scope(Vec::new()));
    }
    let filtered: BTreeSet<&String> =
        request.filters.iter().map(|filter| &filter.resource_type).filter(|name| !reads(name)).collect();
    if !filtered.is_empty() {
        return Err(Problem::Scope(filtered.into_iter().cloned().collect()));
    }
    let told = (!forbidden.is_empty()).then(|| {
        let text =
            format!("Left out, because the access token does not allow them: {}", Vec::from_iter(forbidden).join(", "));
        OperationOutcome::new(Issue::new(Severity::Information, IssueType::Suppressed).details(text))
    });
    Ok(told)
}

/// Puts what is withheld from the client into its request, where it stays whatever becomes of the job. The message
/// file tells that there are rules, and not of whom they speak.
fn withheld(request: &mut ExportRequest, access: &Access) -> Option<OperationOutcome> {
    request.withheld.clone_from(&access.withheld);
    let text = "Resources that are withheld from this client by rules of privacy are left out";
    let issue = Issue::new(Severity::Information, IssueType::Suppressed).details(text);
    (!request.withheld.is_empty()).then(|| OperationOutcome::new(issue))
}

/// Asks the database; a lenient client loses patients that do not exist or are in another group, and is told (K-50).
async fn check(
    ask: &Ask<'_>,
    request: &mut ExportRequest,
    lenient: bool,
    ignored: &mut Vec<OperationOutcome>,
) -> Result<(), Problem> {
    let unknown = match ask.service.jobs.check(request).await {
        Ok(()) => return Ok(()),
        Err(CheckError::UnknownGroup) => return Err(Problem::NoGroup),
        Err(CheckError::NotApplicable(why)) => return Err(Problem::Request(IssueType::NotSupported, why)),
        Err(CheckError::Unavailable) => return Err(Problem::Unavailable("The source database")),
        Err(CheckError::UnknownPatients(ids)) => ids,
        Err(_) => return Err(Problem::Internal),
    };
    let listed: Vec<String> = unknown.iter().take(LISTED).map(|id| format!("Patient/{id}")).collect();
    let more = unknown.len().saturating_sub(LISTED);
    let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
    let text = format!("`patient` names patients that are not here, or not in the group: {}{rest}", listed.join(", "));
    let gone: BTreeSet<String> = unknown.into_iter().collect();
    request.patients.retain(|id| !gone.contains(id));
    if !lenient || request.patients.is_empty() {
        return Err(Problem::Request(IssueType::NotFound, text));
    }
    let issue = Issue::new(Severity::Warning, IssueType::NotFound);
    ignored.push(OperationOutcome::new(issue.details(format!("{text}. They were left out"))));
    match ask.service.jobs.check(request).await {
        Ok(()) => Ok(()),
        Err(CheckError::Unavailable) => Err(Problem::Unavailable("The source database")),
        Err(_) => Err(Problem::Internal),
    }
}

/// The kick-off URL in its public form, as the manifest repeats it (M-03). A POST may name patients in its query; they
/// are parameters of the request as those in its body are, and are kept neither in the job nor in the manifest.
fn request_url(ask: &Ask<'_>, level: &Level, dialect: Dialect, query: Option<&str>) -> String {
    let operation = dialect.operation();
    let path = match level {
        Level::System => format!("/${operation}"),
        Level::Patient => format!("/Patient/${operation}"),
        Level::Group(id) => format!("/Group/{id}/${operation}"),
    };
    let query = query.map(without_patients).filter(|query| !query.is_empty());
    let query = query.map(|query| format!("?{query}")).unwrap_or_default();
    ask.service.options.base_url.at(&path) + &query
}

/// What the audit trail keeps of a request: how many patients, never which.
fn described(request: &ExportRequest) -> Vec<(&'static str, String)> {
    let mut details = vec![("level", level_name(&request.level)), ("types", request.types.join(","))];
    for (name, value) in [("since", request.since), ("until", request.until)] {
        details.extend(value.and_then(instant::write).map(|text| (name, text)));
    }
    details.extend(request.by_patient.then(|| ("organized-by", "Patient".to_owned())));
    let counts = [
        ("patients", request.patients.len()),
        ("filters", request.filters.len()),
        ("withheld", request.withheld.len()),
        ("elements", request.elements.len()),
    ];
    for (name, count) in counts {
        if count > 0 {
            details.push((name, count.to_string()));
        }
    }
    let associated = request.associated.values();
    if !associated.is_empty() {
        details.push(("associated", associated.join(",")));
    }
    details
}

fn level_name(level: &Level) -> String {
    match level {
        Level::System => "system".to_owned(),
        Level::Patient => "patient".to_owned(),
        Level::Group(id) => format!("Group/{id}"),
    }
}

fn submit_problem(error: &SubmitError) -> Problem {
    match error {
        SubmitError::TooManyRunning { .. } => Problem::TooManyExports,
        SubmitError::QueueFull => Problem::QueueFull,
        SubmitError::NoSpace => Problem::Unavailable("Space for files of exports"),
        SubmitError::Draining | SubmitError::Stopped => Problem::Draining,
        SubmitError::Store(_) => {
            tracing::error!(error = error as &dyn std::error::Error, "a job could not be recorded");
            Problem::Unavailable("The job store")
        }
        error => {
            tracing::error!(error = error as &dyn std::error::Error, "a job could not be made");
            Problem::Internal
        }
    }
}
