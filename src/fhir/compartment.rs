//! The Patient compartment of R4: which resources belong to a patient, and by which elements.

use std::sync::LazyLock;

use super::table::Table;

static R4: LazyLock<Table<Vec<&'static str>>> = LazyLock::new(|| Table::read(include_str!("r4/compartment.tsv")));

/// The element paths (without the type) that put a resource into the compartment of the patient they point to, in the
/// definition's order: `subject`, `performer` for Observation. `None`: the type is not in the compartment.
///
/// A path may point to other types too, and may run through lists (`participant.actor`). `Patient` is in its own
/// compartment by its id; its path here, `link.other`, adds the patients linked to one.
pub fn patient_compartment(resource_type: &str) -> Option<&'static [&'static str]> {
    Some(R4.get(resource_type)?.value(Iterator::collect))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fhir::elements::{child_type_path, elements, resource_types};

    #[test]
    fn members() {
        assert_eq!(patient_compartment("Observation"), Some(["subject", "performer"].as_slice()));
        assert_eq!(patient_compartment("AllergyIntolerance"), Some(["patient", "recorder", "asserter"].as_slice()));
        assert_eq!(patient_compartment("Encounter"), Some(["subject"].as_slice()));
        assert_eq!(patient_compartment("Appointment"), Some(["participant.actor"].as_slice()));
        for outside in ["Organization", "Medication", "Practitioner", "Nonsense"] {
            assert_eq!(patient_compartment(outside), None, "{outside}");
        }
        assert_eq!(resource_types().filter(|name| patient_compartment(name).is_some()).count(), 66);
    }

    #[test]
    fn every_path_ends_at_a_reference() {
        for resource_type in resource_types() {
            for path in patient_compartment(resource_type).unwrap_or_default() {
                let mut place = resource_type.to_owned();
                for name in path.split('.') {
                    let found = elements(&place).iter().find(|e| e.name.trim_end_matches("[x]") == name);
                    let found = found.unwrap_or_else(|| panic!("{resource_type}.{path}"));
                    let ty = found.types.iter().find(|ty| ty.code == "Reference").unwrap_or(&found.types[0]);
                    place = child_type_path(found, ty);
                }
                assert_eq!(place, "Reference", "{resource_type}.{path}");
            }
        }
    }
}
