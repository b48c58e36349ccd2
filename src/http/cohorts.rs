//! Groups that clients make: create, update, delete, and the answer to an asynchronous one (G-10 to G-16).
//!
//! Everything about a Group is checked before it is kept, so nothing is left to do when the answer goes out. Its members
//! stand in no log and no error beyond the ids a client sent that nobody has (K-50).

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use actix_web::http::StatusCode;
use actix_web::http::header::{self, EntityTag, HttpDate};
use actix_web::{HttpResponse, HttpResponseBuilder};
use serde_json::{Map, Value, json};
use tokio::task::spawn_blocking;

use super::answer::{Ask, json, random_id};
use super::audit::Deed;
use super::reply::{FHIR_JSON, Problem};
use super::service::{Service, is_patient_linked};
use crate::auth::{Access, GroupAccess};
use crate::bulk::accept::{accepts_json, is_json};
use crate::bulk::cohort::{self, RosterReader, SentGroup, read_group};
use crate::bulk::kickoff::{Known, member_filter};
use crate::bulk::{Cohort, ExportRequest, Level, Prefer, Roster, TypeFilter, instant};
use crate::cohort::{CohortError, Found, KeepError, Kept, NewCohort, Record};
use crate::fhir::id::is_id;
use crate::fhir::outcome::IssueType;
use crate::job::CheckError;

/// Ids of patients that an answer lists.
const LISTED: usize = 20;

/// Listed members that a Group is read with; a larger one is shown without them (G-02).
const SHOWN: u64 = 50_000;

/// Groups that are read at a time: each may be as large as `max-group-size`.
pub(super) const AT_ONCE: usize = 2;

/// What a Group is sent for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sent {
    /// To be made, under an id that is given to it.
    New,
    /// To be made under the id of the URL.
    NewHere,
    /// To take the place of the one there is.
    Update,
}

/// Answers `POST Group`.
pub(super) async fn create(ask: &mut Ask<'_>) -> Result<HttpResponse, Problem> {
    let access = ask.access().await?;
    let made = make(ask, &access).await;
    told(ask, Deed::GroupWrite, &access, made).await
}

async fn make(ask: &mut Ask<'_>, access: &Access) -> Result<HttpResponse, Problem> {
    permitted(ask, access, 'c')?;
    if ask.headers().contains_key("if-none-exist") {
        return Err(Problem::Malformed("`If-None-Exist` is not supported"));
    }
    let id = random_id().ok_or(Problem::Internal)?;
    store(ask, access, id, None, Sent::New).await
}

/// Answers `PUT Group/[id]`: an update, or a Group of that id.
pub(super) async fn update(ask: &mut Ask<'_>, id: String) -> Result<HttpResponse, Problem> {
    let access = ask.access().await?;
    let put = put(ask, &access, id).await;
    told(ask, Deed::GroupWrite, &access, put).await
}

async fn put(ask: &mut Ask<'_>, access: &Access, id: String) -> Result<HttpResponse, Problem> {
    permitted(ask, access, 'u')?;
    if !is_id(&id) {
        return Err(Problem::NoGroup);
    }
    let version = expected(ask)?;
    let new = find(ask.service, access, &id).await?.is_none();
    if new && version.is_none() {
        if !access.scopes.allows('c', "Group") {
            return Err(Problem::GroupScope);
        }
        // A mapped Group is of the hospital's making, and another one of its id would be mistaken for it.
        match ask.service.jobs.groups(Some(&id), &[]).await {
            Ok(groups) if groups.is_empty() => {}
            Ok(_) => return Err(Problem::Mapped),
            Err(CheckError::Unavailable) => return Err(Problem::Unavailable("The source database")),
            Err(_) => return Err(Problem::Internal),
        }
    }
    store(ask, access, id, version, if new { Sent::NewHere } else { Sent::Update }).await
}

/// Answers `DELETE Group/[id]`. An export of it goes on with the members it began with.
pub(super) async fn delete(ask: &Ask<'_>, id: String) -> Result<HttpResponse, Problem> {
    let access = ask.access().await?;
    let deleted = remove(ask, &access, id).await;
    told(ask, Deed::GroupDelete, &access, deleted).await
}

async fn remove(ask: &Ask<'_>, access: &Access, id: String) -> Result<HttpResponse, Problem> {
    permitted(ask, access, 'd')?;
    let version = expected(ask)?;
    find(ask.service, access, &id).await?.ok_or(Problem::NoGroup)?;
    ask.audit(Deed::GroupDelete, Some(&access.client), None, 204, vec![("group", id.clone())]).await?;
    let (cohorts, client) = (Arc::clone(&ask.service.cohorts), access.client.clone());
    let removed = blocking(move || cohorts.remove(&client, &id, version)).await?;
    if !removed.map_err(|error| keep_problem(&error))? {
        return Err(Problem::NoGroup);
    }
    sweep(ask.service);
    Ok(HttpResponse::NoContent().finish())
}

/// Answers a poll of a Group that was made asynchronously: it is there (G-10).
pub(super) async fn made(ask: &Ask<'_>, version: &str, id: &str) -> Result<HttpResponse, Problem> {
    let access = ask.access().await?;
    let version: u64 = version.parse().map_err(|_no_number| Problem::NoJob)?;
    let found = find(ask.service, &access, id).await.map_err(|problem| match problem {
        Problem::NoGroup => Problem::NoJob,
        problem => problem,
    })?;
    let record = found.filter(|found| found.record.version >= version).ok_or(Problem::NoJob)?.record;
    let status = if version == 1 { "201 Created" } else { "200 OK" };
    let response = json!({
        "status": status,
        "location": location(ask.service, id),
        "etag": format!("W/\"{version}\""),
        "lastModified": instant::write(record.updated_at),
    });
    let bundle = json!({"resourceType": "Bundle", "type": "batch-response", "entry": [{"response": response}]});
    Ok(json(StatusCode::OK, FHIR_JSON, bundle.to_string()))
}

/// The client's own Group of an id, if it may use it. Its roster stays for as long as this is held.
pub(super) async fn find(service: &Service, access: &Access, id: &str) -> Result<Option<Found>, Problem> {
    if !access.groups.allows(id) {
        return Err(Problem::NoGroup);
    }
    let (cohorts, client, id) = (Arc::clone(&service.cohorts), access.client.clone(), id.to_owned());
    blocking(move || cohorts.find(&client, &id)).await?.map_err(|error| store_problem(&error))
}

/// All Groups of a client that it may use, without their members.
pub(super) async fn all(service: &Service, access: &Access) -> Result<Vec<Value>, Problem> {
    let (cohorts, client) = (Arc::clone(&service.cohorts), access.client.clone());
    let records = blocking(move || cohorts.of(&client)).await?.map_err(|error| store_problem(&error))?;
    let records = records.iter().filter(|record| access.groups.allows(&record.id));
    Ok(records.map(|record| Value::Object(resource(record))).collect())
}

/// A Group as it is read: with its members, unless they are too many.
pub(super) async fn whole(service: &Service, record: &Record) -> Result<Value, Problem> {
    let mut group = resource(record);
    if let Some(number) = record.roster.filter(|_| record.members > 0) {
        if record.members > SHOWN {
            cohort::subsetted(&mut group);
        } else {
            let cohorts = Arc::clone(&service.cohorts);
            let roster = blocking(move || cohorts.roster(number)).await?.map_err(|error| store_problem(&error))?;
            let roster = roster.ok_or(Problem::NoGroup)?;
            group.insert("member".to_owned(), roster.iter().map(|(id, _)| cohort::member(id)).collect());
        }
    }
    Ok(Value::Object(group))
}

/// Who is in a Group, for a request to export it. The searches are those that can be asked today.
pub(super) fn cohort(service: &Service, access: &Access, record: &Record, asked_at: i64) -> Result<Cohort, Problem> {
    Ok(Cohort { asked_at, roster: record.roster, filters: filters(service, access, &record.filters)? })
}

/// The searches of a Group, of types that the client may read.
fn filters(service: &Service, access: &Access, queries: &[String]) -> Result<Vec<TypeFilter>, Problem> {
    let mapped = service.catalogue.names();
    let known = Known {
        mapped: &mapped,
        base_url: service.options.base_url.as_str(),
        compartment: &is_patient_linked,
        searchable: &|resource_type, code| service.catalogue.searchable(resource_type, code),
        strict_filters: true,
    };
    let mut filters = Vec::new();
    for query in queries {
        let filter = member_filter(query, &known)
            .map_err(|error| Problem::Request(IssueType::NotSupported, format!("{error}. {}", error.help)))?;
        if !access.scopes.reads(&filter.resource_type) {
            return Err(Problem::Scope(vec![filter.resource_type]));
        }
        filters.push(filter);
    }
    Ok(filters)
}

fn permitted(ask: &Ask<'_>, access: &Access, letter: char) -> Result<(), Problem> {
    if !ask.service.catalogue.makes("Patient") {
        return Err(Problem::NoPath);
    }
    if !accepts_json(ask.texts("accept").into_iter()) {
        return Err(Problem::NotAcceptable);
    }
    if !access.scopes.allows(letter, "Group") {
        return Err(Problem::GroupScope);
    }
    // It would be a way to patients outside of its Groups.
    if access.groups == GroupAccess::All { Ok(()) } else { Err(Problem::OnlyGroups) }
}

/// The version that `If-Match` names.
fn expected(ask: &Ask<'_>) -> Result<Option<u64>, Problem> {
    let given = ask.texts("if-match");
    let [tag] = given.as_slice() else {
        return if ask.headers().contains_key(header::IF_MATCH) { Err(Problem::Precondition) } else { Ok(None) };
    };
    let tag: Option<EntityTag> = tag.parse().ok();
    tag.and_then(|tag| tag.tag().parse().ok()).map(Some).ok_or(Problem::Precondition)
}

/// Reads what was sent, checks it, keeps it.
async fn store(
    ask: &mut Ask<'_>,
    access: &Access,
    id: String,
    version: Option<u64>,
    how: Sent,
) -> Result<HttpResponse, Problem> {
    let service = ask.service;
    let prefer = Prefer::read(ask.texts("prefer").into_iter());
    let _turn = service.uploads.acquire().await.map_err(|_closed| Problem::Draining)?;
    let sent = sent(ask).await?;
    if how != Sent::New && sent.id.as_ref().is_some_and(|sent| *sent != id) {
        return Err(Problem::Malformed("`id` of the Group is not that of the URL"));
    }
    let filters = filters(service, access, &sent.filters)?;
    if !filters.is_empty() {
        let cohort = Some(Cohort { asked_at: 0, roster: None, filters });
        let request = ExportRequest { level: Level::Group(id.clone()), cohort, ..ExportRequest::default() };
        service.jobs.check(&request).await.map_err(check_problem)?;
    }
    let members = match sent.members {
        None => None,
        Some(builder) => {
            let listed = blocking(move || builder.finish(0)).await?;
            let roster = Arc::new(listed.map_err(|error| Problem::Request(IssueType::TooLong, error.to_string()))?);
            known(service, &roster).await?;
            Some(Arc::try_unwrap(roster).unwrap_or_else(|shared| (*shared).clone()))
        }
    };
    let count = members.as_ref().map_or(0, Roster::len);
    let details =
        vec![("group", id.clone()), ("members", count.to_string()), ("filters", sent.filters.len().to_string())];
    // Before it is done: what cannot be recorded is not done.
    ask.audit(Deed::GroupWrite, Some(&access.client), None, if how == Sent::Update { 200 } else { 201 }, details)
        .await?;
    let SentGroup { content, filters, .. } = sent;
    let content = (!content.is_empty()).then_some(content);
    let new = NewCohort { client: access.client.clone(), id, content, filters, members, version };
    let (cohorts, clock) = (Arc::clone(&service.cohorts), Arc::clone(&service.clock));
    let kept = blocking(move || cohorts.keep(new, &|| clock.now_micros())).await?;
    let Kept { record, created } = kept.map_err(|error| keep_problem(&error))?;
    sweep(service);
    let (client, members, request) = (&access.client, record.members, &ask.id);
    tracing::info!(client, members, request, created, "a Group was kept");
    if prefer.respond_async {
        let location = service.options.base_url.at(&format!("/bulk-status/group/{}/{}", record.version, record.id));
        return Ok(HttpResponse::Accepted().insert_header((header::CONTENT_LOCATION, location)).finish());
    }
    let mut response = if created { HttpResponse::Created() } else { HttpResponse::Ok() };
    if created {
        response.insert_header((header::LOCATION, location(service, &record.id)));
    }
    tagged(&mut response, &record);
    Ok(response.content_type(FHIR_JSON).body(Value::Object(resource(&record)).to_string()))
}

/// Records what was refused, or not done after all.
async fn told<T>(ask: &Ask<'_>, deed: Deed, access: &Access, done: Result<T, Problem>) -> Result<T, Problem> {
    if let Err(problem) = &done {
        let (status, _) = problem.clone().outcome(&ask.id);
        ask.audit(deed, Some(&access.client), None, status.as_u16(), Vec::new()).await?;
    }
    done
}

/// Headers that name the version of a Group.
pub(super) fn tagged(response: &mut HttpResponseBuilder, record: &Record) {
    response.insert_header((header::ETAG, format!("W/\"{}\"", record.version)));
    let at = Duration::from_micros(u64::try_from(record.updated_at).unwrap_or_default());
    response.insert_header((header::LAST_MODIFIED, HttpDate::from(SystemTime::UNIX_EPOCH + at)));
}

/// What was sent: a Group, or a list of ids alone.
async fn sent(ask: &mut Ask<'_>) -> Result<SentGroup, Problem> {
    let service = ask.service;
    let base_url = service.options.base_url.as_str().to_owned();
    let media_type = ask.texts("content-type").into_iter().next().unwrap_or_default();
    let kind = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let read = match kind.as_str() {
        "text/csv" | "text/plain" => {
            let mut reader = RosterReader::new(&base_url, kind == "text/csv");
            let mut wrong = None;
            // It is never in memory as a whole.
            ask.read_body(service.options.max_group, |bytes| match reader.take(bytes) {
                Ok(()) => true,
                Err(error) => {
                    wrong = Some(error);
                    false
                }
            })
            .await?;
            let members = wrong.map_or_else(|| reader.finish(), Err).map(Some);
            members.map(|members| SentGroup { id: None, content: Map::new(), members, filters: Vec::new() })
        }
        _ if is_json(media_type) => {
            let body = ask.body(service.options.max_group).await?;
            blocking(move || read_group(&body, &base_url)).await?
        }
        _ => return Err(Problem::MediaType("application/fhir+json, or a list of ids as text/csv or text/plain")),
    };
    read.map_err(|error| {
        let code = if error.is_unsupported() { IssueType::NotSupported } else { IssueType::Invalid };
        Problem::Request(code, error.to_string())
    })
}

/// Refuses members that nobody has (K-50).
async fn known(service: &Service, roster: &Arc<Roster>) -> Result<(), Problem> {
    let (ids, count) = service.jobs.unknown_patients(Arc::clone(roster), LISTED).await.map_err(check_problem)?;
    if count == 0 {
        return Ok(());
    }
    let listed: Vec<String> = ids.iter().map(|id| format!("Patient/{id}")).collect();
    let more = count.saturating_sub(ids.len());
    let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
    Err(Problem::Request(
        IssueType::NotFound,
        format!("`member` names patients that are not here: {}{rest}", listed.join(", ")),
    ))
}

/// A Group without its members.
fn resource(record: &Record) -> Map<String, Value> {
    let mut group = Map::from_iter([("resourceType".to_owned(), json!("Group")), ("id".to_owned(), json!(record.id))]);
    group.extend(record.content.clone());
    // What a list of ids alone has made.
    for (name, value) in [("type", json!("person")), ("actual", json!(true))] {
        group.entry(name).or_insert(value);
    }
    let meta = group.entry("meta").or_insert_with(|| json!({}));
    meta["versionId"] = json!(record.version.to_string());
    meta["lastUpdated"] = json!(instant::write(record.updated_at));
    // Searches leave open how many they are.
    if record.roster.is_some() && record.filters.is_empty() {
        group.insert("quantity".to_owned(), json!(record.members));
    }
    group
}

fn location(service: &Service, id: &str) -> String {
    service.options.base_url.at(&format!("/Group/{id}"))
}

/// Removes rosters that nobody needs any more; what fails now is done at the next time.
fn sweep(service: &Service) {
    let (cohorts, jobs) = (Arc::clone(&service.cohorts), Arc::clone(&service.jobs));
    spawn_blocking(move || {
        if let Err(error) = cohorts.sweep(|| jobs.rosters()) {
            tracing::error!(error = &error as &dyn std::error::Error, "members of former Groups could not be removed");
        }
    });
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Problem> {
    spawn_blocking(work).await.map_err(|_stopped| Problem::Internal)
}

fn check_problem(error: CheckError) -> Problem {
    match error {
        CheckError::NotApplicable(why) => Problem::Request(IssueType::NotSupported, why),
        CheckError::Unavailable => Problem::Unavailable("The source database"),
        _ => Problem::Internal,
    }
}

fn store_problem(error: &CohortError) -> Problem {
    tracing::error!(error = error as &dyn std::error::Error, "a Group could not be read or kept");
    Problem::Unavailable("The store of Groups")
}

fn keep_problem(error: &KeepError) -> Problem {
    match error {
        KeepError::Version => Problem::Precondition,
        KeepError::Store(error) => store_problem(error),
        error => Problem::Request(IssueType::TooCostly, error.to_string()),
    }
}
