//! Searches against resources of one type, of `_typeFilter` and of rules that withhold: which elements are looked at,
//! and what they must hold.
//!
//! A search is compiled once per export; `encode::search` asks it of every produced resource (K-56, K-57, K-63, X-09).

use crate::bulk::type_filter::EVERY_TYPE;
pub use crate::bulk::type_filter::{Ask, Compared, Parameter, Prefix, QuantityAsk, Target, TextMatch, Token};
use crate::bulk::{ExportRequest, TypeFilter};
use crate::fhir::elements::{Element, child_type_path, elements, json_member, json_name};
use crate::fhir::path::{self, PathStep};
use crate::fhir::search::{SearchType, search_param};
use crate::mapping::tree::{Expr, Item, ItemKind, Mapping, Object, Pack, Value};

/// What a resource must be like. A search finds it when each of its tests does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// One of these searches finds it; where there is none, everything is wanted.
    pub any: Vec<Vec<Test>>,
    /// None of these does: what they find is withheld.
    pub none: Vec<Vec<Test>>,
}

impl Wanted {
    /// The members of a resource that the searches look at, by their JSON names.
    pub fn members(&self) -> impl Iterator<Item = &str> {
        let looks = self.any.iter().chain(&self.none).flatten().flat_map(|test| &test.looks);
        looks.map(|look| match look.steps.first() {
            Some(Step::Member(name)) => name.as_str(),
            _ => "extension",
        })
    }
}

/// One parameter of a search.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Test {
    /// The parameter: `category`.
    pub code: String,
    /// Where it looks; never empty.
    pub looks: Vec<Look>,
    /// What is asked of the values there.
    pub ask: Ask,
}

/// One place that a parameter looks at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look {
    /// From the resource down.
    pub steps: Vec<Step>,
    /// FHIR type of what is there; `Extension` for the value of one, whatever its type.
    pub leaf: String,
    /// Only references to this resource type.
    pub resolves: Option<&'static str>,
    /// The value is whether something that is not `false` is there.
    pub presence: bool,
    /// The code systems that the element's codes are from, for a `code` that is bound to a closed list.
    pub systems: Vec<&'static str>,
}

/// A step into JSON; lists are entered by themselves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A member by its JSON name.
    Member(String),
    /// Only objects whose member is this text.
    Where(&'static str, &'static str),
    /// The value of the extension with this URL.
    Extension(&'static str),
}

/// Why a filter cannot be asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SearchError {
    /// Not a parameter that looks at mapped elements.
    #[error("a filter uses `{parameter}` of {resource_type}, which is not supported")]
    Unsupported {
        /// The type.
        resource_type: String,
        /// The parameter.
        parameter: String,
    },
    /// A code alone stands in the element, and no closed list says that it is from this system.
    #[error("a filter names a system for `{parameter}` of {resource_type} that its codes are not from")]
    System {
        /// The type.
        resource_type: String,
        /// The parameter.
        parameter: String,
    },
}

/// Whether `parameter` of `resource_type` can be asked: some mapping writes an element that it looks at.
pub fn searchable(pack: &Pack, resource_type: &str, parameter: &str) -> bool {
    looks(resource_type, parameter)
        .is_some_and(|looks| looks.iter().any(|look| is_written(pack, resource_type, parameter, look)))
}

/// Whether some mapping of a type may write what a parameter looks at, and none switches the parameter off.
fn is_written(pack: &Pack, resource_type: &str, parameter: &str, look: &Look) -> bool {
    let mappings = || pack.mappings.iter().filter(|mapping| mapping.resource_type == resource_type);
    let off = |mapping: &Mapping| mapping.header.search.iter().any(|(name, to)| name.text == parameter && to.is_none());
    !mappings().any(off) && mappings().any(|mapping| writes_in(&mapping.root, &look.steps))
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
    let test = |parameter: &Parameter| {
        let written = |look: &Look| is_written(pack, resource_type, &parameter.code, look);
        Test::new(resource_type, parameter, &|looks| looks.iter().any(written))
    };
    filter.parameters.iter().map(test).collect()
}

impl Test {
    /// What `parameter` asks of resources of a type, some of whose places are `mapped`.
    ///
    /// # Errors
    ///
    /// A parameter that cannot be asked.
    pub fn new(
        resource_type: &str,
        parameter: &Parameter,
        mapped: &dyn Fn(&[Look]) -> bool,
    ) -> Result<Self, SearchError> {
        let named = || (resource_type.to_owned(), parameter.code.clone());
        let Some(looks) = looks(resource_type, &parameter.code).filter(|looks| mapped(looks)) else {
            let (resource_type, parameter) = named();
            return Err(SearchError::Unsupported { resource_type, parameter });
        };
        if let Ask::Token(tokens) | Ask::NotToken(tokens) = &parameter.ask {
            let systems = tokens.iter().filter_map(|token| token.system.as_deref());
            let nowhere = |system: &str| looks.iter().all(|look| look.is_plain() && !look.systems.contains(&system));
            if systems.into_iter().any(nowhere) {
                let (resource_type, parameter) = named();
                return Err(SearchError::System { resource_type, parameter });
            }
        }
        Ok(Self { code: parameter.code.clone(), looks, ask: parameter.ask.clone() })
    }
}

/// Where a parameter looks; `None` for one whose expression or types cannot be compared.
fn looks(resource_type: &str, parameter: &str) -> Option<Vec<Look>> {
    let param = search_param(resource_type, parameter)?;
    let comparable = comparable(param.kind)?;
    let mut all = Vec::new();
    for path in path::paths(resource_type, param.expression)? {
        let start = Look {
            steps: Vec::new(),
            leaf: resource_type.to_owned(),
            resolves: None,
            presence: path.presence,
            systems: Vec::new(),
        };
        let mut found = vec![start];
        for step in &path.steps {
            found = found.iter().flat_map(|look| look.below(step)).collect();
        }
        // A choice may have forms that a parameter of this kind says nothing about.
        found.retain(|look| look.presence || look.leaf == "Extension" || comparable.contains(&look.leaf.as_str()));
        all.extend(found);
    }
    (!all.is_empty()).then_some(all)
}

/// The types that a kind of parameter compares (R4, search, 3.1.1.4).
fn comparable(kind: SearchType) -> Option<&'static [&'static str]> {
    const TEXTS: &[&str] = &["string", "markdown", "HumanName", "Address"];
    const TOKENS: &[&str] =
        &["CodeableConcept", "Coding", "Identifier", "ContactPoint", "code", "id", "boolean", "string", "uri"];
    const QUANTITIES: &[&str] =
        &["Quantity", "Age", "Count", "Distance", "Duration", "SimpleQuantity", "MoneyQuantity", "Money", "Range"];
    Some(match kind {
        SearchType::Token => TOKENS,
        SearchType::String => TEXTS,
        SearchType::Date => &["date", "dateTime", "instant", "Period", "Timing"],
        SearchType::Number => &["decimal", "integer", "positiveInt", "unsignedInt"],
        SearchType::Quantity => QUANTITIES,
        SearchType::Reference => &["Reference", "canonical", "uri", "url"],
        SearchType::Uri => &["uri", "url", "canonical", "oid", "uuid"],
        SearchType::Composite | SearchType::Special => return None,
    })
}

impl Look {
    /// Whether a primitive stands there: a code whose system is not written.
    fn is_plain(&self) -> bool {
        matches!(self.leaf.as_str(), "code" | "id" | "boolean" | "string" | "uri")
    }

    /// Where a step leads from here: to each form of a choice, or nowhere.
    fn below(&self, step: &PathStep) -> Vec<Self> {
        let same = |step| Self { steps: [&self.steps[..], &[step]].concat(), ..self.clone() };
        match *step {
            PathStep::Where(member, text) => vec![same(Step::Where(member, text))],
            PathStep::Resolves(target) => vec![Self { resolves: Some(target), ..self.clone() }],
            PathStep::As(ty) => {
                if self.leaf == ty {
                    vec![self.clone()]
                } else {
                    Vec::new()
                }
            }
            PathStep::Extension(url) => {
                let look = same(Step::Extension(url));
                vec![Self { leaf: "Extension".to_owned(), ..look }]
            }
            PathStep::Element(name) => {
                let named = |element: &&Element| element.name == name || element.name.strip_suffix("[x]") == Some(name);
                let Some(element) = elements(&self.leaf).iter().find(named) else { return Vec::new() };
                let form = |ty| Self {
                    leaf: child_type_path(element, ty),
                    systems: systems(element),
                    ..same(Step::Member(json_name(element, ty)))
                };
                element.types.iter().map(form).collect()
            }
        }
    }
}

/// The systems of a closed list of codes.
fn systems(element: &Element) -> Vec<&'static str> {
    let Some(list) = element.required_value_set.and_then(crate::fhir::elements::codes) else { return Vec::new() };
    let mut systems: Vec<&str> = list.iter().map(|(system, _)| system).collect();
    systems.sort_unstable();
    systems.dedup();
    systems
}

/// Whether the mapping may write what `steps` lead to.
fn writes_in(object: &Object, steps: &[Step]) -> bool {
    match steps.split_first() {
        None => true,
        Some((Step::Member(name), rest)) => {
            let typed = json_member(&object.type_path, name).is_some();
            typed && object.members.iter().any(|member| member.name == *name && writes(&member.value, rest))
        }
        Some((Step::Where(member, text), rest)) => {
            let other = |value: &Value| constant(value).is_some_and(|json| json != format!("\"{text}\""));
            let excluded = object.members.iter().any(|one| one.name == *member && other(&one.value));
            !excluded && writes_in(object, rest)
        }
        Some((Step::Extension(url), _)) => {
            let here = |item: &Item| match &item.kind {
                ItemKind::One(value) => is_extension(value, url),
                ItemKind::Each { body, .. } => is_extension(body, url),
            };
            object.members.iter().any(|member| match &member.value {
                Value::List(items) if member.name == "extension" => items.iter().any(here),
                _ => false,
            })
        }
    }
}

fn writes(value: &Value, steps: &[Step]) -> bool {
    match value {
        // A code map or a json column may write any member.
        Value::Leaf(_) => true,
        Value::Object(object) => writes_in(object, steps),
        Value::List(items) => items.iter().any(|item| match &item.kind {
            ItemKind::One(value) => writes(value, steps),
            ItemKind::Each { body, .. } => writes(body, steps),
        }),
    }
}

fn is_extension(value: &Value, url: &str) -> bool {
    let Value::Object(object) = value else { return true };
    object
        .members
        .iter()
        .any(|member| member.name == "url" && constant(&member.value).is_none_or(|json| json == format!("\"{url}\"")))
}

/// The JSON text of a value that is the same in every resource.
fn constant(value: &Value) -> Option<&str> {
    match value {
        Value::Leaf(leaf) => match &leaf.expr {
            Expr::Constant(json) => Some(json),
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fhir::elements::resource_types;
    use crate::fhir::search::search_params;

    fn at(resource_type: &str, parameter: &str) -> String {
        let step = |step: &Step| match step {
            Step::Member(name) => name.clone(),
            Step::Where(member, text) => format!("[{member}={text}]"),
            Step::Extension(url) => format!("<{url}>"),
        };
        let look = |look: &Look| {
            let steps = look.steps.iter().map(step).collect::<Vec<_>>().join(".");
            let resolves = look.resolves.map(|target| format!(">{target}")).unwrap_or_default();
            let presence = if look.presence { "?" } else { "" };
            format!("{steps}:{}{resolves}{presence}", look.leaf)
        };
        looks(resource_type, parameter)
            .map_or("none".to_owned(), |looks| looks.iter().map(look).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn where_parameters_look() {
        for (resource_type, parameter, want) in [
            ("Patient", "gender", "gender:code"),
            ("Patient", "birthdate", "birthDate:date"),
            ("Patient", "name", "name:HumanName"),
            ("Patient", "email", "telecom.[system=email]:ContactPoint"),
            ("Patient", "deceased", "deceasedBoolean:boolean? deceasedDateTime:dateTime?"),
            ("Patient", "death-date", "deceasedDateTime:dateTime"),
            ("Patient", "_lastUpdated", "meta.lastUpdated:instant"),
            ("Patient", "_profile", "meta.profile:canonical"),
            ("Observation", "_id", "id:id"),
            ("Observation", "_tag", "meta.tag:Coding"),
            ("Observation", "category", "category:CodeableConcept"),
            ("Observation", "patient", "subject:Reference>Patient"),
            ("Observation", "value-quantity", "valueQuantity:Quantity"),
            (
                "Observation",
                "date",
                "effectiveDateTime:dateTime effectivePeriod:Period effectiveTiming:Timing effectiveInstant:instant",
            ),
            ("Condition", "onset-date", "onsetDateTime:dateTime onsetPeriod:Period"),
            ("Encounter", "class", "class:Coding"),
            ("Observation", "code-value-quantity", "none"),
            ("Location", "near", "none"),
            ("Patient", "nope", "none"),
        ] {
            assert_eq!(at(resource_type, parameter), want, "{resource_type}?{parameter}");
        }
    }

    #[test]
    fn every_parameter_of_r4_but_these_can_be_asked() {
        let mut not = Vec::new();
        for resource_type in resource_types() {
            for param in search_params(resource_type) {
                let described = !matches!(param.kind, SearchType::Composite | SearchType::Special);
                if described && !param.expression.is_empty() && looks(resource_type, param.code).is_none() {
                    not.push(format!("{resource_type}?{}", param.code));
                }
            }
        }
        assert_eq!(not, ["Bundle?composition", "Bundle?message", "QuestionnaireResponse?item-subject"]);
    }
}
