//! Searches against resources of one type, of `_typeFilter` and of rules that withhold: which elements are looked at,
//! and what they must hold.
//!
//! A search is compiled once per export; `encode::search` asks it of every produced resource (K-56, K-57, X-09).

pub use crate::bulk::type_filter::Token;
use crate::bulk::type_filter::{EVERY_TYPE, TokenParameter};
use crate::bulk::{ExportRequest, TypeFilter};
use crate::fhir::elements::{child_type_path, elements, json_name};
use crate::fhir::search::{SearchType, search_param};
use crate::mapping::tree::{ItemKind, Mapping, Object, Pack, Value};

/// What a resource must be like. A search finds it when each of its tests does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// One of these searches finds it; where there is none, everything is wanted.
    pub any: Vec<Vec<Test>>,
    /// None of these does: what they find is withheld.
    pub none: Vec<Vec<Test>>,
}

/// One parameter of a search.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Test {
    /// JSON names from the resource down, one list per element that the parameter looks at.
    pub paths: Vec<Vec<String>>,
    /// One of them is found there.
    pub any: Vec<Token>,
}

/// Why a filter cannot be asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SearchError {
    /// Not a token parameter that looks at mapped elements.
    #[error("a filter uses `{parameter}` of {resource_type}, which is not supported")]
    Unsupported {
        /// The type.
        resource_type: String,
        /// The parameter.
        parameter: String,
    },
    /// The system of a `code` element is not written in a resource, so it cannot be compared.
    #[error("a filter names a system for `{parameter}` of {resource_type}, whose element has a code alone")]
    System {
        /// The type.
        resource_type: String,
        /// The parameter.
        parameter: String,
    },
}

/// Whether `parameter` of `resource_type` can be asked: a token whose elements some mapping writes.
pub fn searchable(pack: &Pack, resource_type: &str, parameter: &str) -> bool {
    let Some((paths, _)) = paths(resource_type, parameter) else { return false };
    let written = |mapping: &Mapping| paths.iter().any(|path| writes(&mapping.root, path));
    pack.mappings.iter().any(|mapping| mapping.resource_type == resource_type && written(mapping))
}

/// Whether an object may have an element at a path of names.
fn writes(object: &Object, path: &[String]) -> bool {
    let Some((first, rest)) = path.split_first() else { return true };
    object.members.iter().any(|member| member.name == *first && holds(&member.value, rest))
}

fn holds(value: &Value, path: &[String]) -> bool {
    match value {
        // A json column may hold anything.
        Value::Leaf(_) => true,
        Value::Object(object) => writes(object, path),
        Value::List(items) => items.iter().any(|item| match &item.kind {
            ItemKind::One(one) => holds(one, path),
            ItemKind::Each { body, .. } => holds(body, path),
        }),
    }
}

/// What of one type a request wants; none when it wants all of it.
///
/// # Errors
///
/// The first parameter that cannot be asked.
pub fn wanted(pack: &Pack, request: &ExportRequest, resource_type: &str) -> Result<Option<Wanted>, SearchError> {
    let of_type = request.filters.iter().filter(|filter| filter.resource_type == resource_type);
    let any = of_type.map(|filter| tests(pack, filter, resource_type)).collect::<Result<Vec<_>, _>>()?;
    let rules = request.withheld.iter().filter(|rule| reaches(pack, rule, resource_type));
    let none = rules.map(|rule| tests(pack, rule, resource_type)).collect::<Result<Vec<_>, _>>()?;
    Ok((!any.is_empty() || !none.is_empty()).then_some(Wanted { any, none }))
}

/// Whether a rule withholds resources of a type. One for every type passes over those that cannot have what it looks
/// for.
fn reaches(pack: &Pack, rule: &TypeFilter, resource_type: &str) -> bool {
    let written = || rule.parameters.iter().all(|parameter| searchable(pack, resource_type, &parameter.code));
    rule.resource_type == resource_type || (rule.resource_type == EVERY_TYPE && written())
}

/// Says whether a pack can honour a rule that withholds: one that could never find anything is none.
///
/// # Errors
///
/// The first parameter that cannot be asked.
pub fn honours(pack: &Pack, rule: &TypeFilter) -> Result<(), SearchError> {
    let types = pack.mappings.iter().map(|mapping| mapping.resource_type.as_str());
    let reached: Vec<&str> = types.filter(|name| reaches(pack, rule, name)).collect();
    if reached.is_empty() {
        let parameter = rule.parameters.first().map(|parameter| parameter.code.clone()).unwrap_or_default();
        return Err(SearchError::Unsupported { resource_type: rule.resource_type.clone(), parameter });
    }
    reached.into_iter().try_for_each(|name| tests(pack, rule, name).map(drop))
}

/// One search, compiled for a type.
fn tests(pack: &Pack, filter: &TypeFilter, resource_type: &str) -> Result<Vec<Test>, SearchError> {
    let test = |parameter: &TokenParameter| {
        let named = || (resource_type.to_owned(), parameter.code.clone());
        let found = paths(resource_type, &parameter.code).filter(|_| searchable(pack, resource_type, &parameter.code));
        let Some((paths, plain)) = found else {
            let (resource_type, parameter) = named();
            return Err(SearchError::Unsupported { resource_type, parameter });
        };
        if plain && parameter.any.iter().any(|token| token.system.is_some()) {
            let (resource_type, parameter) = named();
            return Err(SearchError::System { resource_type, parameter });
        }
        Ok(Test { paths, any: parameter.any.clone() })
    };
    filter.parameters.iter().map(test).collect()
}

/// Where a token parameter looks, and whether a primitive stands there; none for other parameters and for those whose
/// expression is more than element names.
fn paths(resource_type: &str, parameter: &str) -> Option<(Vec<Vec<String>>, bool)> {
    let param = search_param(resource_type, parameter).filter(|param| param.kind == SearchType::Token)?;
    let (mut paths, mut plain) = (Vec::new(), false);
    for expression in param.expression.split('|') {
        let mut steps = expression.trim().split('.');
        // `Resource.id` and the like belong to every type.
        steps.next().filter(|base| *base == resource_type || ["Resource", "DomainResource"].contains(base))?;
        let mut found = vec![(resource_type.to_owned(), Vec::new())];
        for step in steps {
            found = found.iter().flat_map(|(parent, path)| below(parent, path, step)).collect();
            if found.is_empty() {
                return None;
            }
        }
        for (type_path, path) in found {
            // Nothing else has a code to compare.
            match type_path.as_str() {
                "CodeableConcept" | "Coding" | "Identifier" => {}
                "code" | "id" | "boolean" | "string" | "uri" => plain = true,
                _ => return None,
            }
            paths.push(path);
        }
    }
    (!paths.is_empty()).then_some((paths, plain))
}

/// The element `step` of a type, in each of its forms.
fn below(parent: &str, path: &[String], step: &str) -> Vec<(String, Vec<String>)> {
    let named = |name: &str| name == step || name.strip_suffix("[x]") == Some(step);
    let Some(element) = elements(parent).iter().find(|element| named(element.name)) else { return Vec::new() };
    let form = |ty| (child_type_path(element, ty), [path, &[json_name(element, ty)]].concat());
    element.types.iter().map(form).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn token_parameters_of_plain_elements() {
        let at = |resource_type, parameter| {
            paths(resource_type, parameter)
                .map(|(paths, plain)| (paths.iter().map(|path| path.join(".")).collect::<Vec<_>>().join(" "), plain))
        };
        let found = |paths: &str, plain| Some((paths.to_owned(), plain));
        assert_eq!(at("Patient", "gender"), found("gender", true));
        assert_eq!(at("Observation", "category"), found("category", false));
        assert_eq!(at("Observation", "_id"), found("id", true));
        assert_eq!(at("Observation", "_tag"), found("meta.tag", false));
        assert_eq!(at("Encounter", "class"), found("class", false));
        assert_eq!(at("Patient", "identifier"), found("identifier", false));
        for (resource_type, parameter) in
            [("Patient", "birthdate"), ("Patient", "email"), ("Observation", "subject"), ("Patient", "nope")]
        {
            assert_eq!(at(resource_type, parameter), None, "{resource_type}?{parameter}");
        }
    }
}
