//! Search parameters of R4, for `_typeFilter`: their kind and the elements they look at.

use std::sync::LazyLock;

use super::elements::{TypeKind, type_kind};
use super::table::{Table, cells};

static R4: LazyLock<Table<Vec<SearchParam>>> = LazyLock::new(|| Table::read(include_str!("r4/search.tsv")));

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
}

/// The parameter `code` of a concrete resource type; `_id`, `_lastUpdated` and the like work for all of them.
pub fn search_param(resource_type: &str, code: &str) -> Option<&'static SearchParam> {
    search_params(resource_type).find(|param| param.code == code)
}

/// All parameters of a concrete resource type, its own first, then those of every resource; nothing for another name.
pub fn search_params(resource_type: &str) -> impl Iterator<Item = &'static SearchParam> {
    let known = type_kind(resource_type) == Some(TypeKind::Resource);
    let bases = [resource_type, "DomainResource", "Resource"];
    bases.map(of_base).into_iter().filter(move |_| known).flatten()
}

fn of_base(base: &str) -> &'static [SearchParam] {
    R4.get(base).map_or(&[], |block| block.value(|rows| rows.map(param_of).collect()))
}

fn param_of(row: &'static str) -> SearchParam {
    let [code, kind, targets, expression] = cells(row);
    let kind = match kind {
        "number" => SearchType::Number,
        "date" => SearchType::Date,
        "string" => SearchType::String,
        "token" => SearchType::Token,
        "reference" => SearchType::Reference,
        "composite" => SearchType::Composite,
        "quantity" => SearchType::Quantity,
        "uri" => SearchType::Uri,
        _ => SearchType::Special,
    };
    SearchParam { code, kind, targets: targets.split('|').filter(|target| !target.is_empty()).collect(), expression }
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
        assert_eq!(search_params("HumanName").count() + search_params("Nonsense").count(), 0);
    }

    const STRINGS: &str = "(Observation.value as string) | (Observation.value as CodeableConcept).text";

    #[test]
    fn every_parameter_looks_at_its_type() {
        let mut count = 0;
        for resource_type in resource_types() {
            for param in search_params(resource_type) {
                count += usize::from(!param.code.starts_with('_'));
                let bases = [resource_type, "Resource", "DomainResource"];
                let at = param.expression.trim_start_matches('(').split(['.', ' ']).next().unwrap_or_default();
                let pathless = matches!(param.code, "_text" | "_content" | "_filter" | "_query");
                // The package writes this one without its type.
                let odd = resource_type == "InsurancePlan" && param.code == "name";
                assert!(bases.contains(&at) || pathless || odd, "{resource_type} {}", param.code);
            }
        }
        // 1719 pairs of type and code in the package, less 9 of Resource, 1 of DomainResource and 3 without a path.
        assert_eq!(count, 1719 - 9 - 1 - 3);
    }
}
