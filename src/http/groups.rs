//! Group read and search (G-01, G-02): the groups of the mapping that a client may use, and those it has made.

use std::collections::BTreeSet;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::web::Query;
use serde_json::{Value, json};

use super::answer::{Ask, json};
use super::audit::Deed;
use super::cohorts;
use super::reply::{FHIR_JSON, Problem};
use crate::auth::Access;
use crate::bulk::accept::accepts_json;
use crate::fhir::outcome::IssueType;
use crate::job::CheckError;

/// Groups on a page, unless `_count` says otherwise.
const PAGE: usize = 50;

/// Groups on a page at most.
const LARGEST_PAGE: usize = 1_000;

/// Answers `GET Group/[id]`.
pub(super) async fn read(ask: &Ask<'_>, id: String) -> Result<HttpResponse, Problem> {
    let access = permitted(ask).await?;
    if let Some(own) = cohorts::find(ask.service, &access, &id).await? {
        let group = cohorts::whole(ask.service, &own.record).await?;
        ask.audit(Deed::Groups, Some(&access.client), None, 200, vec![("group", id)]).await?;
        let mut response = HttpResponse::Ok();
        cohorts::tagged(&mut response, &own.record);
        return Ok(response.content_type(FHIR_JSON).body(group.to_string()));
    }
    let group = fetch(ask, Some(&id), &access).await?.into_iter().next().ok_or(Problem::NoGroup)?;
    ask.audit(Deed::Groups, Some(&access.client), None, 200, vec![("group", id)]).await?;
    Ok(json(StatusCode::OK, FHIR_JSON, group))
}

/// Answers `GET Group?…`.
pub(super) async fn search(ask: &Ask<'_>) -> Result<HttpResponse, Problem> {
    let access = permitted(ask).await?;
    let query = ask.request.uri().query().unwrap_or_default();
    let search = Search::read(query)?;
    let mut found = cohorts::all(ask.service, &access).await?;
    found.retain(|group| search.finds(group));
    // A client's own Group stands before a mapped one of its id.
    let own: BTreeSet<String> = found.iter().filter_map(|group| group["id"].as_str().map(str::to_owned)).collect();
    for text in fetch(ask, None, &access).await? {
        // The mapping made it; what is no JSON is a bug of ours.
        let group: Value = serde_json::from_slice(&text).map_err(|_error| Problem::Internal)?;
        let id = group["id"].as_str().unwrap_or_default();
        // What a rule looks for may stand in a list, which is read with one group alone.
        if access.groups.allows(id)
            && !own.contains(id)
            && search.finds(&group)
            && (access.withheld.is_empty() || !fetch(ask, Some(id), &access).await?.is_empty())
        {
            found.push(group);
        }
    }
    ask.audit(Deed::Groups, Some(&access.client), None, 200, vec![("found", found.len().to_string())]).await?;
    Ok(json(StatusCode::OK, FHIR_JSON, search.bundle(found, &ask.service.options.base_url.at("/Group")).to_string()))
}

async fn permitted(ask: &Ask<'_>) -> Result<Access, Problem> {
    let access = ask.access().await?;
    if !ask.service.catalogue.has_groups() {
        return Err(Problem::NoPath);
    }
    if !accepts_json(ask.texts("accept").into_iter()) {
        return Err(Problem::NotAcceptable);
    }
    if access.scopes.reads("Group") { Ok(access) } else { Err(Problem::Scope(vec!["Group".to_owned()])) }
}

async fn fetch(ask: &Ask<'_>, id: Option<&str>, access: &Access) -> Result<Vec<Vec<u8>>, Problem> {
    match ask.service.jobs.groups(id, &access.withheld).await {
        Ok(groups) => Ok(groups),
        Err(CheckError::UnknownGroup) => Err(Problem::NoGroup),
        Err(CheckError::Unavailable) => Err(Problem::Unavailable("The source database")),
        Err(_) => Err(Problem::Internal),
    }
}

/// What is searched for: every parameter holds, one of its values each.
#[derive(Debug, Default, PartialEq, Eq)]
struct Search {
    parameters: Vec<(String, Vec<String>)>,
    count: Option<usize>,
    offset: usize,
}

impl Search {
    fn read(query: &str) -> Result<Self, Problem> {
        let wrong = |name: &str| {
            let text = format!("`{name}` is not supported here, or not with this value");
            Problem::Request(IssueType::NotSupported, text)
        };
        let pairs = Query::<Vec<(String, String)>>::from_query(query)
            .map_err(|_error| Problem::Malformed("The query cannot be read"))?
            .into_inner();
        let mut search = Self::default();
        for (name, value) in pairs {
            let number = || value.trim().parse::<usize>().map_err(|_error| wrong(&name));
            match name.as_str() {
                "_id" | "identifier" | "name" | "type" => {
                    let values: Vec<String> =
                        value.split(',').map(str::trim).filter(|one| !one.is_empty()).map(str::to_owned).collect();
                    if values.is_empty() {
                        return Err(wrong(&name));
                    }
                    search.parameters.push((name, values));
                }
                "_count" => search.count = Some(number()?.min(LARGEST_PAGE)),
                "_offset" => search.offset = number()?,
                "_format" | "_pretty" => {}
                // The text is the client's: a name of plain form may be repeated to it.
                other
                    if other.len() <= 64
                        && other.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.:".contains(&b)) =>
                {
                    return Err(wrong(other));
                }
                _ => return Err(Problem::Malformed("A search parameter is not supported")),
            }
        }
        Ok(search)
    }

    fn finds(&self, group: &Value) -> bool {
        self.parameters.iter().all(|(name, values)| {
            values.iter().any(|value| match name.as_str() {
                "_id" => group["id"].as_str() == Some(value),
                "type" => group["type"].as_str() == Some(value.rsplit('|').next().unwrap_or(value)),
                "name" => {
                    let name = group["name"].as_str().unwrap_or_default().to_lowercase();
                    name.starts_with(&value.to_lowercase())
                }
                _ => group["identifier"].as_array().into_iter().flatten().any(|one| identifies(one, value)),
            })
        })
    }

    /// A page of what was found, with links to itself and the next one.
    fn bundle(&self, found: Vec<Value>, url: &str) -> Value {
        let total = found.len();
        let size = self.count.unwrap_or(PAGE);
        let link = |offset: usize| {
            let mut pairs: Vec<(&str, String)> =
                self.parameters.iter().map(|(name, values)| (name.as_str(), values.join(","))).collect();
            pairs.push(("_count", size.to_string()));
            if offset > 0 {
                pairs.push(("_offset", offset.to_string()));
            }
            let pairs: Vec<String> =
                pairs.into_iter().map(|(name, value)| format!("{name}={}", escaped(&value))).collect();
            format!("{url}?{}", pairs.join("&"))
        };
        let mut links = vec![json!({"relation": "self", "url": link(self.offset)})];
        let next = self.offset.saturating_add(size);
        if size > 0 && next < total {
            links.push(json!({"relation": "next", "url": link(next)}));
        }
        let entries: Vec<Value> = found
            .into_iter()
            .skip(self.offset)
            .take(size)
            .map(|group| {
                let full_url = format!("{url}/{}", group["id"].as_str().unwrap_or_default());
                json!({"fullUrl": full_url, "resource": group, "search": {"mode": "match"}})
            })
            .collect();
        let mut bundle = json!({"resourceType": "Bundle", "type": "searchset", "total": total, "link": links});
        // FHIR has no empty lists.
        if !entries.is_empty() {
            bundle["entry"] = Value::Array(entries);
        }
        bundle
    }
}

/// `code`, `system|code`, `|code`, `system|`.
fn identifies(identifier: &Value, token: &str) -> bool {
    let (system, value) = (identifier["system"].as_str(), identifier["value"].as_str());
    match token.split_once('|') {
        None => value == Some(token),
        Some((wanted, "")) => system == Some(wanted),
        Some(("", wanted)) => system.is_none() && value == Some(wanted),
        Some((of, wanted)) => system == Some(of) && value == Some(wanted),
    }
}

/// A value for a query.
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b',' | b':' | b'/' => {
                escaped.push(byte as char);
            }
            _ => {
                // Writing to a String cannot fail.
                let _ = std::fmt::Write::write_fmt(&mut escaped, format_args!("%{byte:02X}"));
            }
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn groups() -> Vec<Value> {
        let one = |id: &str, name: &str, value: &str| {
            json!({"resourceType": "Group", "id": id, "name": name, "type": "person",
                   "identifier": [{"system": "urn:x", "value": value}, {"value": "plain"}]})
        };
        vec![one("a", "Diabetes 2024", "1"), one("b", "Asthma", "2"), one("c", "diabetes 2025", "3")]
    }

    fn found(query: &str) -> Vec<String> {
        let search = Search::read(query).unwrap();
        let ids = groups().into_iter().filter(|group| search.finds(group));
        ids.map(|group| group["id"].as_str().unwrap().to_owned()).collect()
    }

    // G-01
    #[test]
    fn search_parameters() {
        for (query, ids) in [
            ("", &["a", "b", "c"][..]),
            ("_id=a,c", &["a", "c"]),
            ("name=DIABETES", &["a", "c"]),
            ("name=betes", &[]),
            ("identifier=urn%3Ax%7C2", &["b"]),
            ("identifier=urn:x|", &["a", "b", "c"]),
            ("identifier=|plain", &["a", "b", "c"]),
            ("identifier=|1", &[]),
            ("identifier=3", &["c"]),
            ("type=person&_id=b", &["b"]),
            ("type=http://hl7.org/fhir/group-type|person&_id=b&_format=json", &["b"]),
            ("type=device", &[]),
        ] {
            assert_eq!(found(query), ids, "{query}");
        }
        for query in ["_sort=name", "member=Patient/1", "name:exact=x", "_count=x", "name=", "a b=1", "_id="] {
            assert!(Search::read(query).is_err(), "{query}");
        }
    }

    // G-01
    #[test]
    fn pages() {
        let url = "http://h/fhir/Group";
        let search = Search::read("identifier=urn%3Ax%7C&_count=2").unwrap();
        let bundle = search.bundle(groups(), url);
        assert_eq!((&bundle["total"], bundle["entry"].as_array().unwrap().len()), (&json!(3), 2));
        assert_eq!(bundle["entry"][0]["fullUrl"], "http://h/fhir/Group/a");
        let next = bundle["link"][1]["url"].as_str().unwrap();
        assert_eq!(next, "http://h/fhir/Group?identifier=urn:x%7C&_count=2&_offset=2");
        let last = Search::read(next.split_once('?').unwrap().1).unwrap().bundle(groups(), url);
        assert_eq!((last["entry"].as_array().unwrap().len(), last["link"].as_array().unwrap().len()), (1, 1));
        let none = Search::read("_count=0").unwrap().bundle(groups(), url);
        assert_eq!((none.get("entry"), &none["total"]), (None, &json!(3)));
    }
}
