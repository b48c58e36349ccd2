//! A Group as a client sends it: of listed patients, of patients that searches find, or of those of the listed ones
//! that they find (G-10 to G-14).
//!
//! What cannot be honoured is refused: a member or an element that was passed over would make a Group of other people
//! than the one that was sent. No id of a patient stands in an error of this module.

mod list;
mod members;
#[cfg(test)]
mod tests;

use serde::de::DeserializeSeed as _;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

pub use self::list::RosterReader;
use self::members::{Members, Whole};
use super::roster::{RosterBuilder, TooMany};
use super::type_filter::TypeFilter;

/// The profile of Groups by criteria (G-11).
pub const PROFILE: &str = "http://hl7.org/fhir/uv/bulkdata/StructureDefinition/bulk-cohort-group";

/// The extension that holds a search.
const MEMBER_FILTER: &str = "http://hl7.org/fhir/uv/bulkdata/StructureDefinition/member-filter";

/// The extension that tells when members were found: ours are found by each export (G-15).
const MEMBERS_REFRESHED: &str = "http://hl7.org/fhir/uv/bulkdata/StructureDefinition/members-refreshed";

/// Bytes of everything but the members.
const CONTENT_BYTES: usize = 64 * 1024;

/// Searches of one Group: each is an export of its type.
const FILTERS: usize = 20;

/// What is kept as it was sent.
const KEPT: &[&str] = &["meta", "language", "text", "extension", "identifier", "name", "code", "managingEntity"];

/// What says that only a part of a resource is there.
const SUBSETTED: &str = "SUBSETTED";

/// Who is in a Group that a client has made, as a request for its export keeps it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cohort {
    /// When the export was asked for, by the clock that times of joining are of. Whoever is listed later is not in it,
    /// however late it runs; so it says of no time after this one that it knows it.
    pub asked_at: i64,
    /// The number of the roster of listed members; without one everybody may be one.
    pub roster: Option<u64>,
    /// Members satisfy every one of these, themselves or by a resource of theirs (G-12).
    pub filters: Vec<TypeFilter>,
}

/// A Group that was sent.
#[derive(Debug)]
pub struct SentGroup {
    /// Its id; whether it counts is for the request to say.
    pub id: Option<String>,
    /// The resource without id and members.
    pub content: Map<String, Value>,
    /// The listed members; none where there is no list and searches find them.
    pub members: Option<RosterBuilder>,
    /// The searches.
    pub filters: Vec<String>,
}

/// Why a Group is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CohortError {
    /// Not JSON, or a member of it twice.
    #[error("The body is not a Group in FHIR JSON")]
    NotAGroup,
    /// An element that is not honoured.
    #[error("`{0}` of a Group is not supported")]
    Unsupported(String),
    /// An element without a value that can be used.
    #[error("`{0}` {1}")]
    Value(&'static str, &'static str),
    /// A member.
    #[error("`member` number {number} {problem}")]
    Member {
        /// Position in the list, from 1.
        number: usize,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A line of a list of ids.
    #[error("line {number} {problem}")]
    Line {
        /// From 1.
        number: usize,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// Too much.
    #[error("The Group is too large without its members: {CONTENT_BYTES} bytes are read")]
    TooLarge,
    /// Too many members.
    #[error("The Group has more members than can be kept")]
    TooMany,
}

impl CohortError {
    /// Whether it is a matter of what this server does.
    pub fn is_unsupported(&self) -> bool {
        matches!(self, Self::Unsupported(_))
    }
}

impl From<TooMany> for CohortError {
    fn from(_: TooMany) -> Self {
        Self::TooMany
    }
}

/// Reads a Group; `base_url` is the own FHIR base, which references may begin with.
///
/// # Errors
///
/// The first thing that is wrong.
pub fn read_group(body: &[u8], base_url: &str) -> Result<SentGroup, CohortError> {
    let mut members = Members { base_url, list: None, wrong: None };
    let mut reader = serde_json::Deserializer::from_slice(body);
    let parts = Whole(&mut members).deserialize(&mut reader).and_then(|parts| reader.end().map(|()| parts));
    let Members { list, wrong, .. } = members;
    // What is wrong with a member is not in the words of the reader of JSON, which repeat values.
    if let Some(wrong) = wrong {
        return Err(wrong);
    }
    let parts = parts.map_err(|_broken| CohortError::NotAGroup)?;
    if parts.iter().map(|(name, value)| name.len() + value.get().len()).sum::<usize>() > CONTENT_BYTES {
        return Err(CohortError::TooLarge);
    }
    let mut all = Map::new();
    for (name, value) in parts {
        all.insert(name, serde_json::from_str(value.get()).map_err(|_broken| CohortError::NotAGroup)?);
    }
    check(all, list)
}

fn check(mut all: Map<String, Value>, members: Option<RosterBuilder>) -> Result<SentGroup, CohortError> {
    if all.remove("resourceType").as_ref().and_then(Value::as_str) != Some("Group") {
        return Err(CohortError::NotAGroup);
    }
    match all.remove("type").as_ref().and_then(Value::as_str) {
        Some("person") => {}
        // K-23
        _ => return Err(CohortError::Value("type", "must be `person`: Groups of others are not kept")),
    }
    let id = match all.remove("id") {
        None => None,
        Some(Value::String(id)) => Some(id),
        Some(_) => return Err(CohortError::Value("id", "is no text")),
    };
    // It is the server's, and comes back where a Group was read before.
    all.remove("quantity");
    match all.remove("active") {
        None | Some(Value::Bool(true)) => {}
        Some(_) => return Err(CohortError::Value("active", "must be `true`: delete a Group that is not in use")),
    }
    let filters = filters(all.remove("modifierExtension"))?;
    let Some(Value::Bool(actual)) = all.remove("actual") else {
        return Err(CohortError::Value("actual", "must be `true` or `false`"));
    };
    match (filters.is_empty(), actual) {
        (true, false) => {
            return Err(CohortError::Value("actual", "is `false`, and no `member-filter` says who is in it"));
        }
        // G-11
        (false, true) if members.is_none() => {
            return Err(CohortError::Value("actual", "is `true` beside a `member-filter`, and there is no `member`"));
        }
        (false, false) if members.is_some() => {
            return Err(CohortError::Value("actual", "is `false` beside `member`"));
        }
        _ => {}
    }
    if let Some(name) = all.keys().find(|name| !KEPT.contains(&name.as_str())) {
        return Err(CohortError::Unsupported(super::request::clip(name)));
    }
    kept(&all, !filters.is_empty())?;
    let mut content = all;
    content.insert("type".to_owned(), json!("person"));
    content.insert("actual".to_owned(), json!(actual));
    if !filters.is_empty() {
        let one = |query: &String| {
            let expression = json!({"language": "application/x-fhir-query", "expression": query});
            json!({"url": MEMBER_FILTER, "valueExpression": expression})
        };
        content.insert("modifierExtension".to_owned(), filters.iter().map(one).collect());
    }
    // A list of nobody is a list: FHIR writes it as none.
    let members = if filters.is_empty() { Some(members.unwrap_or_default()) } else { members };
    Ok(SentGroup { id, content, members, filters })
}

/// Looks at the elements that are kept.
fn kept(all: &Map<String, Value>, by_criteria: bool) -> Result<(), CohortError> {
    let wrong = |name, problem| Err(CohortError::Value(name, problem));
    match all.get("name") {
        None if by_criteria => return wrong("name", "is required beside a `member-filter`"),
        Some(name) if name.as_str().is_none_or(|name| name.trim().is_empty()) => return wrong("name", "is no text"),
        _ => {}
    }
    let objects =
        |value: &Value| value.as_array().is_some_and(|all| !all.is_empty() && all.iter().all(Value::is_object));
    if all.get("identifier").is_some_and(|value| !objects(value)) {
        return wrong("identifier", "is no list of identifiers");
    }
    if let Some(extensions) = all.get("extension") {
        if !objects(extensions) {
            return wrong("extension", "is no list of extensions");
        }
        let url = |one: &Value| one["url"] == MEMBERS_REFRESHED;
        if extensions.as_array().is_some_and(|all| all.iter().any(url)) {
            return wrong("extension", "says when members were found: they are found by each export");
        }
    }
    for name in ["meta", "text", "code", "managingEntity"] {
        if all.get(name).is_some_and(|value| !value.is_object()) {
            return wrong(name, "is no object");
        }
    }
    let tags = all.get("meta").and_then(|meta| meta["tag"].as_array());
    if tags.is_some_and(|tags| tags.iter().any(|tag| tag["code"] == SUBSETTED)) {
        return wrong("meta", "says that members are missing: send the Group whole");
    }
    Ok(())
}

/// The searches in `modifierExtension`; every other one there would change what the Group means (G-11).
fn filters(given: Option<Value>) -> Result<Vec<String>, CohortError> {
    const NAME: &str = "modifierExtension";
    let Some(given) = given else { return Ok(Vec::new()) };
    let Value::Array(given) = given else { return Err(CohortError::Value(NAME, "is no list of extensions")) };
    if given.len() > FILTERS {
        return Err(CohortError::Value(NAME, "has more than 20 of `member-filter`"));
    }
    let mut filters = Vec::new();
    for extension in &given {
        if extension["url"] != MEMBER_FILTER {
            return Err(CohortError::Value(NAME, "has another extension than `member-filter`"));
        }
        let known = |value: &Value, names: &[&str]| {
            value.as_object().is_some_and(|object| object.keys().all(|name| names.contains(&name.as_str())))
        };
        let expression = &extension["valueExpression"];
        let query = expression["expression"].as_str().filter(|_| {
            known(extension, &["url", "valueExpression", "id"])
                && known(expression, &["language", "expression", "description", "name", "id"])
                && expression["language"] == "application/x-fhir-query"
        });
        match query {
            Some(query) => filters.push(query.to_owned()),
            None => {
                return Err(CohortError::Value(
                    NAME,
                    "needs `valueExpression` with `language` application/x-fhir-query and an `expression`",
                ));
            }
        }
    }
    if filters.is_empty() { Err(CohortError::Value(NAME, "is empty")) } else { Ok(filters) }
}

/// The JSON of a member, for a Group that is read.
pub fn member(id: &str) -> Value {
    json!({"entity": {"reference": format!("Patient/{id}")}})
}

/// Marks a Group whose members are left out.
pub fn subsetted(group: &mut Map<String, Value>) {
    let meta = group.entry("meta").or_insert_with(|| json!({}));
    let tag = json!({"system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue", "code": SUBSETTED});
    match meta.get_mut("tag").and_then(Value::as_array_mut) {
        Some(tags) => tags.push(tag),
        None => meta["tag"] = json!([tag]),
    }
}
