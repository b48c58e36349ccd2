//! Searches against resources of one type, of `_typeFilter` and of rules that withhold: which elements are looked at,
//! and what they must hold.
//!
//! A search is compiled once per export; `encode::search` asks it of every produced resource (K-56, K-57, K-63, X-09).

mod look;

use self::look::looks;
pub use self::look::{Look, Step};
use crate::bulk::type_filter::EVERY_TYPE;
pub use crate::bulk::type_filter::{Ask, Compared, Parameter, Prefix, QuantityAsk, Target, TextMatch, Token};
use crate::bulk::{ExportRequest, TypeFilter};
use crate::mapping::tree::{Mapping, Pack};

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
        self.any.iter().chain(&self.none).flatten().flat_map(|test| &test.looks).flat_map(first)
    }
}

/// The members of a resource that a look begins with: of a composite that is the resource's own, those of its parts.
fn first(look: &Look) -> Vec<&str> {
    match look.steps.first() {
        Some(Step::Member(name)) => vec![name],
        _ => look.parts.iter().flatten().flat_map(first).collect(),
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
    !mappings().any(off) && mappings().any(|mapping| look.is_written(&mapping.root))
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
        if is_foreign(&looks, &parameter.ask) {
            let (resource_type, parameter) = named();
            return Err(SearchError::System { resource_type, parameter });
        }
        Ok(Self { code: parameter.code.clone(), looks, ask: parameter.ask.clone() })
    }
}

/// Whether a token names a system that codes of no place are from.
fn is_foreign(looks: &[Look], ask: &Ask) -> bool {
    match ask {
        Ask::Token(tokens) | Ask::NotToken(tokens) => {
            let nowhere = |system: &str| looks.iter().all(|look| look.is_plain() && !look.systems.contains(&system));
            tokens.iter().filter_map(|token| token.system.as_deref()).any(nowhere)
        }
        Ask::Composite(any) => any.iter().any(|parts| {
            parts.iter().enumerate().any(|(nth, ask)| {
                let part = looks.iter().filter_map(|look| look.parts.get(nth)).flatten();
                is_foreign(&part.cloned().collect::<Vec<_>>(), ask)
            })
        }),
        _ => false,
    }
}
