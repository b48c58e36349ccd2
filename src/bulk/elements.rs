//! `_elements`: which root elements of resources are wanted (K-46, K-47).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use super::request::{Forgive, ParameterError, clip, items};
use crate::fhir::elements::{elements, resource_types};

/// The root elements that are wanted beside the mandatory ones, a choice without its type (`value`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Elements {
    /// Those named without a type: they count for every type, so every type is reduced.
    every: Option<BTreeSet<String>>,
    /// Those named with their type. A type with none keeps what is mandatory.
    of: BTreeMap<String, BTreeSet<String>>,
}

/// What is wrong with an item of `_elements`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum WrongElement {
    /// Not `Type.element` or `element`.
    Deep,
    /// Of a type that no mapping makes.
    Type,
    /// No element of its type, or of any.
    Unknown,
}

impl WrongElement {
    pub(super) fn text(self) -> &'static str {
        match self {
            Self::Deep => "which is not an element of a resource itself",
            Self::Type => "of a type that no mapping makes",
            Self::Unknown => "which no such type has",
        }
    }

    pub(super) fn help(self) -> &'static str {
        match self {
            Self::Deep => "Write `Type.element` or `element`, as in Patient.name; what is below comes with it.",
            Self::Type => "Name a type that is exported, or the element alone.",
            Self::Unknown => "Write elements as R4 names them, a choice without its type, as in Observation.value.",
        }
    }
}

/// The names of the root elements of all resource types.
static ROOTS: LazyLock<BTreeSet<&'static str>> =
    LazyLock::new(|| resource_types().flat_map(elements).map(|element| bare(element.name)).collect());

/// An element's name as `_elements` has it: a choice goes without `[x]`.
pub fn bare(element: &str) -> &str {
    element.strip_suffix("[x]").unwrap_or(element)
}

impl Elements {
    /// True when nothing is reduced.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many restrictions there are: elements, and types of which none is left.
    pub fn len(&self) -> usize {
        self.every.iter().chain(self.of.values()).map(|names| names.len().max(1)).sum()
    }

    /// What is wanted of a type beside what is mandatory; `None`: all of it.
    pub fn of(&self, resource_type: &str) -> Option<BTreeSet<&str>> {
        let own = self.of.get(resource_type);
        let reduced = self.every.is_some() || own.is_some();
        reduced.then(|| self.every.iter().chain(own).flatten().map(String::as_str).collect())
    }

    /// As a comma list, for a URL.
    pub(super) fn list(&self) -> String {
        let own = self.of.iter().flat_map(|(of, names)| names.iter().map(move |name| format!("{of}.{name}")));
        self.every.iter().flatten().cloned().chain(own).collect::<Vec<_>>().join(",")
    }

    /// Reads the items of `_elements`. What is forgiven is left out, but what it was to reduce stays reduced: a list of
    /// which nothing is left never means everything.
    pub(super) fn read(
        given: &[String],
        mapped: &BTreeSet<&str>,
        forgive: &mut Forgive<'_>,
    ) -> Result<Self, ParameterError> {
        let mut found = Self::default();
        let mut wrong: BTreeMap<WrongElement, BTreeSet<&str>> = BTreeMap::new();
        let mut right = false;
        for item in items("_elements", given)? {
            let typed = item.split_once('.').filter(|(of, _)| of.starts_with(|c: char| c.is_ascii_uppercase()));
            let (of, name) = typed.map_or((None, item), |(of, name)| (Some(of), name));
            let mistake = match of {
                _ if name.contains('.') => Some(WrongElement::Deep),
                Some(of) if !mapped.contains(of) => Some(WrongElement::Type),
                Some(of) if elements(of).iter().all(|element| bare(element.name) != name) => {
                    Some(WrongElement::Unknown)
                }
                None if !ROOTS.contains(name) => Some(WrongElement::Unknown),
                _ => None,
            };
            let names = match of {
                None => Some(found.every.get_or_insert_default()),
                Some(of) => mapped.contains(of).then(|| found.of.entry(of.to_owned()).or_default()),
            };
            match (mistake, names) {
                (Some(mistake), _) => _ = wrong.entry(mistake).or_default().insert(item),
                (None, Some(names)) => {
                    right = true;
                    names.insert(name.to_owned());
                }
                (None, None) => {}
            }
        }
        for (why, names) in wrong {
            let error = ParameterError::Elements { why, names: names.into_iter().map(clip).collect() };
            if right { forgive(error)? } else { return Err(error) }
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(given: &[&str]) -> Result<Elements, ParameterError> {
        let given: Vec<String> = given.iter().map(|text| (*text).to_owned()).collect();
        Elements::read(&given, &BTreeSet::from(["Patient", "Observation"]), &mut Err)
    }

    fn forgiven(given: &str) -> (Result<Elements, ParameterError>, usize) {
        let mut told = 0;
        let read = Elements::read(&[given.to_owned()], &BTreeSet::from(["Patient", "Observation"]), &mut |_| {
            told += 1;
            Ok(())
        });
        (read, told)
    }

    fn of(elements: &Elements, resource_type: &str) -> String {
        let names = elements.of(resource_type);
        names.map_or("everything".to_owned(), |names| names.into_iter().collect::<Vec<_>>().join(" "))
    }

    // K-46 K-47
    #[test]
    fn what_is_listed_for_a_type() {
        for (given, patient, observation, list) in [
            (&[][..], "everything", "everything", ""),
            (&["Patient.name,Patient.gender"], "gender name", "everything", "Patient.gender,Patient.name"),
            (&["Patient.name", " Patient.name ,"], "name", "everything", "Patient.name"),
            (&["value"], "value", "value", "value"),
            (&["id", "Observation.value"], "id", "id value", "id,Observation.value"),
        ] {
            let elements = read(given).unwrap();
            assert_eq!((of(&elements, "Patient"), of(&elements, "Observation")), (patient.into(), observation.into()));
            assert_eq!((elements.list(), elements.is_empty()), (list.to_owned(), given.is_empty()), "{given:?}");
        }
    }

    // K-33 K-46
    #[test]
    fn what_is_no_root_element_is_named() {
        for (given, want) in [
            (
                "Patient.name.family",
                "`_elements` names `Patient.name.family`, which is not an element of a resource itself",
            ),
            ("name.family.x", "`_elements` names `name.family.x`, which is not an element of a resource itself"),
            ("Nope.id", "`_elements` names `Nope.id`, of a type that no mapping makes"),
            ("name.family", "`_elements` names `name.family`, which is not an element of a resource itself"),
            ("Encounter.id", "`_elements` names `Encounter.id`, of a type that no mapping makes"),
            ("Patient.status", "`_elements` names `Patient.status`, which no such type has"),
            ("Observation.valueQuantity", "`_elements` names `Observation.valueQuantity`, which no such type has"),
            ("nope", "`_elements` names `nope`, which no such type has"),
            (" , ", "`_elements` is given but empty"),
        ] {
            let error = read(&[given]).unwrap_err();
            assert_eq!(error.to_string(), want);
            assert!(!error.help().is_empty());
            let (lenient, told) = forgiven(given);
            assert_eq!((lenient, told), (Err(error), 0), "nothing would be left");
        }
    }

    // K-09 K-46: leaving a mistake out never makes a reduced type whole.
    #[test]
    fn what_is_forgiven_widens_nothing() {
        for (given, patient, observation, mistakes) in [
            ("Patient.gender,Patient.nope", "gender", "everything", 1),
            ("Patient.nope,Observation.code", "", "code", 1),
            ("nope,Observation.code", "", "code", 1),
            ("Nope.id,Observation.code,Observation.code.text", "everything", "code", 2),
        ] {
            let (read, told) = forgiven(given);
            let elements = read.unwrap();
            assert_eq!((of(&elements, "Patient"), of(&elements, "Observation")), (patient.into(), observation.into()));
            assert_eq!(told, mistakes, "{given}");
        }
    }
}
