//! The element table of R4: which members a type has, how many, of which types, bound to which codes.
//!
//! A *type path* names what has members: a resource type or datatype (`Observation`, `HumanName`) or the path of an
//! element with members of its own (`Observation.component`, `Timing.repeat`).

use std::sync::LazyLock;

pub use super::codes::{CodeList, codes};
use super::table::{Table, cells};

static R4: LazyLock<Table<Vec<Element>>> = LazyLock::new(|| Table::read(include_str!("r4/elements.tsv")));

/// What a type is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TypeKind {
    /// `Patient`; the abstract `Resource` and `DomainResource` too.
    Resource,
    /// `HumanName`, an object; the abstract `Element` and `BackboneElement` too.
    Complex,
    /// `code`, a single JSON value.
    Primitive,
}

/// One of the types an element may have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ElementType {
    /// `code`, `Quantity`, `Reference`, `BackboneElement`.
    pub code: &'static str,
    /// Resource types a `Reference` or `canonical` may point to; empty: any.
    pub targets: Vec<&'static str>,
}

/// A member of a type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Element {
    /// `Observation.value[x]`.
    pub path: &'static str,
    /// `value[x]`.
    pub name: &'static str,
    /// How many are needed.
    pub min: u32,
    /// How many are allowed; `None`: no limit. JSON has an array unless this is 1.
    pub max: Option<u32>,
    /// What it may be; never empty. More than one only for a choice (`[x]`).
    pub types: Vec<ElementType>,
    /// Canonical of the value set bound as required, without version; [`codes`] knows whether it is closed.
    pub required_value_set: Option<&'static str>,
    /// Part of the summary (`_summary=true`).
    pub summary: bool,
    /// The type path this element shares its members with: `Questionnaire.item` for `Questionnaire.item.item`.
    pub content: Option<&'static str>,
    /// Changes the meaning of what holds it.
    pub is_modifier: bool,
}

impl Element {
    /// Whether it is a choice of types, `value[x]`.
    pub fn is_choice(&self) -> bool {
        self.name.ends_with("[x]")
    }

    /// Whether JSON has an array here.
    pub fn is_list(&self) -> bool {
        self.max != Some(1)
    }
}

/// The kind of a type by its name, `None` for what is no type (a type path with a dot is none).
pub fn type_kind(name: &str) -> Option<TypeKind> {
    match R4.get(name)?.head {
        "resource" | "abstract-resource" => Some(TypeKind::Resource),
        "complex" | "abstract-complex" => Some(TypeKind::Complex),
        "primitive" => Some(TypeKind::Primitive),
        _ => None,
    }
}

/// The concrete resource types, sorted.
pub fn resource_types() -> impl Iterator<Item = &'static str> {
    R4.iter().filter(|block| block.head == "resource").map(|block| block.key)
}

/// The members of `type_path` in FHIR order, inherited ones (`id`, `extension`, `meta`, …) included; empty when the
/// path is unknown. A primitive has `id` and `extension`, those of its `_name` object. `resourceType` is no element.
pub fn elements(type_path: &str) -> &'static [Element] {
    R4.get(type_path).map_or(&[], |block| block.value(|rows| rows.map(element_of).collect()))
}

/// A member by its FHIR name, `value[x]` for a choice.
pub fn element(type_path: &str, name: &str) -> Option<&'static Element> {
    elements(type_path).iter().find(|element| element.name == name)
}

/// The elements without which a datatype says nothing: the heads of the presence rules. Those are of the mapping
/// language, not of FHIR.
pub fn heads(type_path: &str) -> &'static [&'static str] {
    match type_path {
        "Quantity" | "Age" | "Count" | "Distance" | "Duration" | "SimpleQuantity" | "MoneyQuantity" | "Money"
        | "Identifier" | "ContactPoint" => &["value"],
        "Coding" => &["code", "display"],
        "Reference" => &["reference", "identifier", "display"],
        "Attachment" => &["data", "url"],
        "Annotation" => &["text"],
        "Extension" => &["value[x]", "extension"],
        _ => &[],
    }
}

/// A member by its JSON name: `birthDate`, or `valueQuantity` for `value[x]` as a Quantity. The `_` before the
/// extensions of a primitive is the caller's to strip.
pub fn json_member(type_path: &str, json: &str) -> Option<(&'static Element, &'static ElementType)> {
    elements(type_path).iter().find_map(|element| {
        let ty = match element.name.strip_suffix("[x]") {
            None if element.name == json => element.types.first(),
            None => None,
            Some(stem) => {
                let suffix = json.strip_prefix(stem)?;
                element.types.iter().find(|ty| names_type(suffix, ty.code))
            }
        };
        Some((element, ty?))
    })
}

/// The JSON name of `element` when it has type `ty`; the opposite of [`json_member`].
pub fn json_name(element: &Element, ty: &ElementType) -> String {
    let Some(stem) = element.name.strip_suffix("[x]") else { return element.name.into() };
    let (first, rest) = ty.code.split_at_checked(1).unwrap_or_default();
    format!("{stem}{}{rest}", first.to_ascii_uppercase())
}

/// The type path of an object that stands at `element` with type `ty`: `Observation.component` where members are
/// declared in place, the shared path of a content reference, else the datatype. It is `Resource` where any resource
/// may stand (`contained`): there the object's `resourceType` names the type path.
pub fn child_type_path(element: &Element, ty: &ElementType) -> String {
    match (element.content, ty.code) {
        (Some(shared), _) => shared.into(),
        (None, "BackboneElement" | "Element") => element.path.into(),
        (None, code) => code.into(),
    }
}

/// Whether `suffix` is type `code` with its first letter in upper case.
fn names_type(suffix: &str, code: &str) -> bool {
    match (suffix.split_at_checked(1), code.split_at_checked(1)) {
        (Some((upper, rest)), Some((first, tail))) => rest == tail && upper == first.to_ascii_uppercase(),
        _ => false,
    }
}

fn element_of(row: &'static str) -> Element {
    let [path, cardinality, types, flags, value_set] = cells(row);
    let (min, max) = super::cardinality(cardinality);
    let content = types.strip_prefix('#');
    Element {
        path,
        name: path.rsplit_once('.').map_or(path, |(_, name)| name),
        min,
        max,
        // In R4 every content reference points to a BackboneElement.
        types: types_of(if content.is_some() { "BackboneElement" } else { types }),
        required_value_set: Some(value_set).filter(|set| !set.is_empty()),
        summary: flags.contains('s'),
        content,
        is_modifier: flags.contains('m'),
    }
}

/// Reads `Quantity,Reference(Patient|Group)`.
pub(super) fn types_of(text: &'static str) -> Vec<ElementType> {
    let ty = |text: &'static str| match text.split_once('(') {
        None => ElementType { code: text, targets: Vec::new() },
        Some((code, targets)) => ElementType { code, targets: targets.trim_end_matches(')').split('|').collect() },
    };
    text.split(',').filter(|text| !text.is_empty()).map(ty).collect()
}

#[cfg(test)]
#[path = "elements_tests.rs"]
mod tests;
