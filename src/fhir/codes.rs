//! Closed code lists: the value sets bound as required whose every code is known.

use std::sync::LazyLock;

use super::profiles;
use super::table::Table;

static R4: LazyLock<CodeTable> = LazyLock::new(|| CodeTable::read(include_str!("r4/codes.tsv")));

/// The codes of a value set, in its order, grouped by code system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CodeList {
    canonical: &'static str,
    systems: Vec<(&'static str, Vec<&'static str>)>,
}

/// The closed list of a value set bound as required, or `None` when the set is open, huge (MIME types, languages,
/// currencies) or unknown. `value_set` is its canonical with or without `|version`.
///
/// R4's own sets come first, then those of the embedded packages: of the version named, else of the first that has it.
pub fn codes(value_set: &str) -> Option<&'static CodeList> {
    let canonical = value_set.split('|').next()?;
    R4.get(canonical).or_else(|| profiles::first_that_has(value_set, profiles::Package::codes))
}

impl CodeList {
    /// Whether some system of the list has `code`.
    pub fn contains(&self, code: &str) -> bool {
        self.iter().any(|(_, known)| known == code)
    }

    /// Whether the list has `code` of `system`.
    pub fn contains_in(&self, system: &str, code: &str) -> bool {
        self.iter().any(|known| known == (system, code))
    }

    /// All (system, code) pairs.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        self.systems.iter().flat_map(|(system, codes)| codes.iter().map(|code| (*system, *code)))
    }

    /// Last segment of the canonical: `observation-status`.
    pub fn name(&self) -> &'static str {
        super::last_segment(self.canonical)
    }

    /// The value set, without version.
    pub fn canonical(&self) -> &'static str {
        self.canonical
    }
}

/// One file of code lists.
pub(super) struct CodeTable(Table<CodeList>);

impl CodeTable {
    pub(super) fn read(text: &'static str) -> Self {
        Self(Table::read(text))
    }

    pub(super) fn get(&self, canonical: &str) -> Option<&CodeList> {
        let block = self.0.get(canonical)?;
        Some(
            block.value(|rows| CodeList {
                canonical: block.key,
                systems: rows
                    .filter_map(|row| row.split_once('\t'))
                    .map(|(s, codes)| (s, codes.split('\t').collect()))
                    .collect(),
            }),
        )
    }

    #[cfg(test)]
    pub(super) fn canonicals(&self) -> impl Iterator<Item = &'static str> {
        self.0.iter().map(|block| block.key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closed_sets_answer() {
        let status = codes("http://hl7.org/fhir/ValueSet/observation-status|4.0.1").expect("a closed set");
        assert_eq!(status.name(), "observation-status");
        assert!(status.contains("final"));
        assert!(status.contains_in("http://hl7.org/fhir/observation-status", "entered-in-error"));
        assert!(!status.contains_in("http://loinc.org", "final"));
        assert!(!status.contains("Final"));
        assert_eq!(status.iter().count(), 8);
    }

    #[test]
    fn open_sets_do_not() {
        for open in ["mimetypes", "languages", "currencies", "all-types-of-nothing"] {
            assert_eq!(codes(&format!("http://hl7.org/fhir/ValueSet/{open}")), None, "{open}");
        }
    }

    #[test]
    fn us_core_lists_follow_the_version() {
        let set = "http://hl7.org/fhir/us/core/ValueSet/us-core-simple-observation-category";
        let has =
            |version: &str| codes(&format!("{set}{version}")).map(|list| list.contains("care-experience-preference"));
        assert_eq!(has("|6.1.0"), Some(false));
        assert_eq!(has("|8.0.0"), Some(true));
        assert_eq!(has(""), Some(false));
    }

    #[test]
    fn every_list_is_whole() {
        assert_eq!(R4.canonicals().count(), 220);
        for canonical in R4.canonicals() {
            let list = codes(canonical).expect(canonical);
            assert!(list.iter().count() > 0, "{canonical}");
            assert!(list.iter().all(|(system, code)| system.contains(':') && !code.is_empty()), "{canonical}");
        }
    }
}
