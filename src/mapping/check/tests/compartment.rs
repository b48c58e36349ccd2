//! What mappings make of the patient compartment's paths.

use super::*;
use crate::mapping::compartment::{Belongs, paths};

/// `mapping: whose; path use, …` of every mapping of the compartment.
fn told(files: &[(&str, &str)]) -> Vec<String> {
    let checked = check_files(files);
    let pack = checked.pack.expect("a sound pack");
    let line = |of: &crate::mapping::compartment::Paths<'_>| {
        let whose = match of.belongs {
            Belongs::Itself => "itself".to_owned(),
            Belongs::Column(name) => format!("by {name}"),
            Belongs::Nobody => "nobody".to_owned(),
        };
        let uses: Vec<String> = of.paths.iter().map(|(path, used)| format!("{path} {}", used.name())).collect();
        format!("{}: {whose}; {}", of.mapping, uses.join(", "))
    };
    paths(&pack).iter().map(line).collect()
}

#[test]
fn paths_of_every_kind_of_mapping() {
    let patient = "table: p\nkey: id\nresource:\n  resourceType: Patient\n  id: \"{{id}}\"\n  gender: male\n";
    let practitioner = "table: d\nkey: id\nresource:\n  resourceType: Practitioner\n  id: \"{{id}}\"\n  active: true\n";
    let of = |header: &str, resource_type: &str, lines: &str| {
        format!("table: t\nkey: id\n{header}resource:\n  resourceType: {resource_type}\n  id: \"{{{{id}}}}\"\n{lines}")
    };
    let observation = "  status: final\n  code: {text: x}\n";
    let allergy = "  code: {text: x}\n";
    for (header, resource_type, lines, want) in [
        (
            "",
            "Observation",
            format!("{observation}  subject: patient(of)\n  performer: [practitioner(by)]\n"),
            "x: by of; subject tie, performer written",
        ),
        (
            "",
            "Observation",
            format!("{observation}  subject: patient(of)\n"),
            "x: by of; subject tie, performer unmapped",
        ),
        (
            "",
            "Observation",
            format!("{observation}  performer: [patient(of)]\n"),
            "x: by of; subject unmapped, performer tie",
        ),
        (
            "patient: owner\n",
            "Observation",
            format!("{observation}  performer: [patient(of)]\n"),
            "x: by owner; subject unmapped, performer written",
        ),
        ("patient: none\n", "Observation", observation.to_owned(), "x: nobody; subject unmapped, performer unmapped"),
        (
            "",
            "AllergyIntolerance",
            format!("{allergy}  patient: patient(of)\n  recorder: practitioner(by)\n"),
            "x: by of; patient tie, recorder written, asserter unmapped",
        ),
    ] {
        let files = [
            ("mappings/patient.yaml", patient),
            ("mappings/practitioner.yaml", practitioner),
            ("mappings/x.yaml", &of(header, resource_type, &lines)),
        ];
        assert_eq!(told(&files), ["patient: itself; link.other unmapped", want], "{header}{lines}");
    }
}
