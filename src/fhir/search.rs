//! Search parameters of R4 and those US Core adds, for `_typeFilter`: their kind and the elements they look at.

use std::sync::LazyLock;

use super::elements::{TypeKind, type_kind};
use super::table::{Table, cells};

static R4: LazyLock<Table<Vec<SearchParam>>> = LazyLock::new(|| Table::read(include_str!("r4/search.tsv")));
static US_CORE: LazyLock<Table<Vec<SearchParam>>> =
    LazyLock::new(|| Table::read(include_str!("profiles/us-core-search.tsv")));

/// How a search parameter compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SearchType {
    /// A number.
    Number,
    /// A date or period.
    Date,
    /// Text, by its start.
    String,
    /// A code, with or without its system.
    Token,
    /// A reference to a resource.
    Reference,
    /// Several parameters of one item.
    Composite,
    /// A number with a unit.
    Quantity,
    /// A URI, whole.
    Uri,
    /// By rules of its own (`Location?near`).
    Special,
}

impl SearchType {
    /// Its code in FHIR's search-param-type.
    pub fn name(self) -> &'static str {
        match self {
            Self::Number => "number",
            Self::Date => "date",
            Self::String => "string",
            Self::Token => "token",
            Self::Reference => "reference",
            Self::Composite => "composite",
            Self::Quantity => "quantity",
            Self::Uri => "uri",
            Self::Special => "special",
        }
    }
}

/// A search parameter of one resource type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SearchParam {
    /// `birthdate`.
    pub code: &'static str,
    /// How it compares.
    pub kind: SearchType,
    /// Resource types a reference may point to; empty: any.
    pub targets: Vec<&'static str>,
    /// FHIRPath of what it looks at, cut to this resource type: `Patient.birthDate`. Empty for `_text`, `_content`,
    /// `_filter` and `_query`, which no path describes.
    pub expression: &'static str,
    /// URL of its definition.
    pub canonical: &'static str,
    /// Of a composite, the kind of each of its parts and where each looks, from what `expression` leads to.
    pub parts: Vec<(SearchType, &'static str)>,
}

/// The parameter `code` of a concrete resource type; `_id`, `_lastUpdated` and the like work for all of them.
pub fn search_param(resource_type: &str, code: &str) -> Option<&'static SearchParam> {
    search_params(resource_type).find(|param| param.code == code)
}

/// All parameters of a concrete resource type, its own first, then those of every resource; nothing for another name.
/// What US Core adds is there for every type that has the element, whatever profile a resource names.
pub fn search_params(resource_type: &str) -> impl Iterator<Item = &'static SearchParam> {
    let known = type_kind(resource_type) == Some(TypeKind::Resource);
    let of = |table: &'static Table<Vec<SearchParam>>, base: &str| -> &'static [SearchParam] {
        table.get(base).map_or(&[], |block| block.value(|rows| rows.map(param_of).collect()))
    };
    let (own, more) = (of(&R4, resource_type), of(&US_CORE, resource_type));
    let every = ["DomainResource", "Resource"].map(|base| of(&R4, base));
    [own, more].into_iter().chain(every).filter(move |_| known).flatten()
}

fn param_of(row: &'static str) -> SearchParam {
    let [code, kind, targets, expression, canonical, parts] = cells(row);
    let part = |part: &'static str| part.split_once(' ').map(|(kind, expression)| (kind_of(kind), expression));
    SearchParam {
        code,
        kind: kind_of(kind),
        targets: targets.split('|').filter(|target| !target.is_empty()).collect(),
        expression,
        canonical,
        parts: parts.split(';').filter_map(part).collect(),
    }
}

fn kind_of(name: &str) -> SearchType {
    match name {
        "number" => SearchType::Number,
        "date" => SearchType::Date,
        "string" => SearchType::String,
        "token" => SearchType::Token,
        "reference" => SearchType::Reference,
        "composite" => SearchType::Composite,
        "quantity" => SearchType::Quantity,
        "uri" => SearchType::Uri,
        _ => SearchType::Special,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fhir::elements::resource_types;

    #[test]
    fn parameters_by_type() {
        for (resource_type, code, kind, expression) in [
            ("Patient", "birthdate", SearchType::Date, "Patient.birthDate"),
            ("Patient", "_lastUpdated", SearchType::Date, "Resource.meta.lastUpdated"),
            ("Observation", "_id", SearchType::Token, "Resource.id"),
            ("Observation", "category", SearchType::Token, "Observation.category"),
            ("Observation", "value-string", SearchType::String, STRINGS),
            ("Condition", "patient", SearchType::Reference, "Condition.subject.where(resolve() is Patient)"),
            ("Encounter", "date", SearchType::Date, "Encounter.period"),
        ] {
            let param = search_param(resource_type, code).expect(code);
            assert_eq!((param.kind, param.expression), (kind, expression), "{resource_type} {code}");
        }
        let targets = |code| search_param("Encounter", code).map(|param| param.targets.clone());
        assert_eq!(targets("service-provider"), Some(vec!["Organization"]));
        assert_eq!(targets("status"), Some(vec![]));
        assert_eq!(search_param("Patient", "nonsense"), None);
        for (resource_type, code, canonical) in [
            ("Patient", "birthdate", "http://hl7.org/fhir/SearchParameter/individual-birthdate"),
            ("Patient", "race", "http://hl7.org/fhir/us/core/SearchParameter/us-core-race"),
            ("Goal", "_id", "http://hl7.org/fhir/SearchParameter/Resource-id"),
        ] {
            assert_eq!(search_param(resource_type, code).map(|param| param.canonical), Some(canonical));
        }
        let both = search_param("Observation", "combo-code-value-quantity").expect("a composite");
        assert_eq!(both.expression, "Observation | Observation.component");
        assert_eq!(both.parts, [(SearchType::Token, "code"), (SearchType::Quantity, "value.as(Quantity)")]);
        assert_eq!(search_params("HumanName").count() + search_params("Nonsense").count(), 0);
    }

    const STRINGS: &str = "(Observation.value as string) | (Observation.value as CodeableConcept).text";

    #[test]
    fn every_parameter_looks_at_its_type() {
        let mut count = 0;
        for resource_type in resource_types() {
            for param in search_params(resource_type) {
                assert!(param.canonical.starts_with("http://hl7.org/fhir/"), "{resource_type} {}", param.code);
                assert_eq!(param.parts.is_empty(), param.kind != SearchType::Composite);
                count += usize::from(!param.code.starts_with('_'));
                let bases = [resource_type, "Resource", "DomainResource"];
                let at = param.expression.trim_start_matches('(').split(['.', ' ']).next().unwrap_or_default();
                let pathless = matches!(param.code, "_text" | "_content" | "_filter" | "_query");
                // The package writes this one without its type.
                let odd = resource_type == "InsurancePlan" && param.code == "name";
                assert!(bases.contains(&at) || pathless || odd, "{resource_type} {}", param.code);
            }
        }
        // 1719 pairs of type and code in the package, less 9 of Resource, 1 of DomainResource and 3 without a path; and
        // what US Core adds.
        assert_eq!(count, 1719 - 9 - 1 - 3 + 7);
    }
}
