//! `includeAssociatedData`: what comes beside what was asked for (K-52 to K-55).

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::request::{Forgive, ParameterError, clip, items};
use crate::fhir::compartment::patient_compartment;

/// What the guide's codes are from.
pub const CODE_SYSTEM: &str = "http://hl7.org/fhir/uv/bulkdata/CodeSystem/include-associated-data";

const LATEST: &str = "LatestProvenanceResources";
const RELEVANT: &str = "RelevantProvenanceResources";
/// Ours: custom values begin with `_`.
const CLOSURE: &str = "_reference-closure";

/// What comes along, whatever `_type`, `_since` and `_typeFilter` say of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Associated {
    /// Provenance of exported resources.
    pub provenance: Option<Provenances>,
    /// What exported resources point to, of these types, which belong to no patient; `None` when it is not asked for.
    pub closure: Option<Vec<String>>,
}

/// Which Provenance of an exported resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Provenances {
    /// The newest.
    Latest,
    /// All.
    Relevant,
}

/// The values that can be honoured where these types are mapped.
pub fn supported<S: AsRef<str>>(mapped: impl IntoIterator<Item = S>) -> Vec<&'static str> {
    let provenance = mapped.into_iter().any(|name| name.as_ref() == "Provenance");
    if provenance { vec![LATEST, RELEVANT, CLOSURE] } else { vec![CLOSURE] }
}

/// Whether resources of a type may come because something points to them: they belong to no patient. A Binary may be
/// anybody's (K-24).
pub fn may_be_context(resource_type: &str) -> bool {
    patient_compartment(resource_type).is_none() && resource_type != "Binary"
}

impl Associated {
    /// What is asked for. It restricts nothing, so all of it may be forgiven.
    pub(super) fn read(
        given: &[String],
        mapped: &BTreeSet<&str>,
        forgive: &mut Forgive<'_>,
    ) -> Result<Self, ParameterError> {
        let mut asked = Self::default();
        match items("includeAssociatedData", given) {
            Ok(items) => {
                let unknown: BTreeSet<&str> = items.into_iter().filter(|value| !asked.add(value, mapped)).collect();
                if !unknown.is_empty() {
                    let names = unknown.into_iter().map(clip).collect();
                    forgive(ParameterError::UnknownAssociated { names, supported: supported(mapped) })?;
                }
            }
            Err(empty) => forgive(empty)?,
        }
        Ok(asked)
    }

    /// Adds what a value asks for; false when it cannot be honoured.
    fn add(&mut self, value: &str, mapped: &BTreeSet<&str>) -> bool {
        if !supported(mapped).contains(&value) {
            return false;
        }
        let provenance = match value {
            LATEST => Provenances::Latest,
            RELEVANT => Provenances::Relevant,
            _ => {
                let types = mapped.iter().filter(|name| may_be_context(name));
                self.closure = Some(types.map(|name| (*name).to_owned()).collect());
                return true;
            }
        };
        // Of the two the one with more data (K-52).
        self.provenance = self.provenance.max(Some(provenance));
        true
    }

    /// The values that ask for it.
    pub fn values(&self) -> Vec<&'static str> {
        let provenance = self.provenance.map(|which| match which {
            Provenances::Latest => LATEST,
            Provenances::Relevant => RELEVANT,
        });
        provenance.into_iter().chain(self.closure.as_ref().map(|_| CLOSURE)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // K-52 K-53
    #[test]
    fn values_add_up() {
        let mapped = BTreeSet::from(["Patient", "Organization", "Provenance", "Device", "Group", "Binary"]);
        for (given, want) in [
            (&[][..], &[][..]),
            (&[LATEST], &[LATEST]),
            (&[RELEVANT, LATEST], &[RELEVANT]),
            (&[LATEST, CLOSURE, RELEVANT, CLOSURE], &[RELEVANT, CLOSURE]),
        ] {
            let mut associated = Associated::default();
            assert!(given.iter().all(|value| associated.add(value, &mapped)), "{given:?}");
            assert_eq!(associated.values(), want, "{given:?}");
        }
        let mut closure = Associated::default();
        assert!(closure.add(CLOSURE, &mapped));
        assert_eq!(closure.closure, Some(vec!["Device".to_owned(), "Organization".to_owned()]));
        for unknown in ["", "Foo", "_custom", "latestprovenanceresources", "_reference-closure "] {
            assert!(!Associated::default().add(unknown, &mapped), "{unknown}");
        }
        assert!(!Associated::default().add(LATEST, &BTreeSet::from(["Patient"])), "nothing makes Provenance");
    }
}
