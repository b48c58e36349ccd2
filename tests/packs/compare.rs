//! The pack's output for eleven patients against the FHIR that Synthea itself wrote for them.
//!
//! Resources are paired by id, or by what identifies them in both; then compared element by element. A difference
//! must stand in the table of the pack's README, and what stands there must occur.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::differences::{Found, Kind, compare, explained};
use super::store::{eleven, export, lines, text};
use crate::rust_text::root;

/// In this order the references in a type's key are known when it comes.
const TYPES: [&str; 21] = [
    "Patient",
    "Organization",
    "Practitioner",
    "Location",
    "PractitionerRole",
    "Encounter",
    "Condition",
    "AllergyIntolerance",
    "Observation",
    "Procedure",
    "Immunization",
    "Medication",
    "MedicationRequest",
    "MedicationAdministration",
    "CarePlan",
    "CareTeam",
    "Device",
    "ImagingStudy",
    "SupplyDelivery",
    "Claim",
    "ExplanationOfBenefit",
];

#[tokio::test]
async fn synthea_says_the_same_or_the_page_says_why() {
    let folder = root().join("tests/packs/eleven");
    let database = eleven().await;
    let exported = export(&database, &["--type", &TYPES.join(",")]);
    let ours = |name: &str| exported.resources(name);
    let read = |name: &str| lines(&folder.join(format!("fhir/{name}.ndjson.gz")));
    let theirs = |name: &str| read(name).iter().map(|line| serde_json::from_str(line).expect("JSON")).collect();

    let mut theirs: Vec<(&str, Vec<Value>)> = TYPES.into_iter().map(|name| (name, theirs(name))).collect();
    let mut names = Names::of(&theirs);
    let patients: BTreeSet<String> =
        theirs[0].1.iter().filter_map(|patient| text(patient, "/id")).map(str::to_owned).collect();
    let mut found = Found::new();
    let mut pairs = Vec::new();
    for (name, theirs) in &mut theirs {
        let name = *name;
        if name == "Observation" {
            *theirs = theirs.drain(..).flat_map(without_panels).collect();
        }
        let mut waiting: BTreeMap<String, Vec<Value>> = BTreeMap::new();
        for resource in ours(name).into_iter().rev() {
            waiting.entry(key(name, &resource, &names)).or_default().push(resource);
        }
        let mut lonely = |kind, resource: &Value| {
            // An Observation's code is part of what it is.
            let path =
                if name == "Observation" { text(resource, "/code/coding/0/code").unwrap_or_default() } else { name };
            found.entry((name.to_owned(), kind, path.to_owned())).or_insert_with(|| resource.to_string());
        };
        for resource in theirs.drain(..) {
            let candidates = waiting.entry(key(name, &resource, &names)).or_default();
            // Ours has one Medication per drug, theirs one per administration.
            let twin = if name == "Medication" { candidates.last().cloned() } else { candidates.pop() };
            match twin {
                Some(twin) => {
                    names.pair(name, &resource, &twin);
                    pairs.push((name, resource, twin));
                }
                None => lonely(Kind::Theirs, &resource),
            }
        }
        for resource in waiting.values().flatten().filter(|_| name != "Medication") {
            // One patient's bundle could not be had.
            if patient_of(resource).is_none_or(|id| patients.contains(id)) {
                lonely(Kind::Ours, resource);
            }
        }
    }
    assert_eq!(pairs.len(), 5189, "so many resources are compared");

    for (name, mut theirs, mut ours) in pairs {
        names.resolve(&mut theirs);
        alike(&mut theirs, &mut ours);
        compare(name, &theirs, &ours, &mut found);
    }
    let explained = explained();
    let new: Vec<String> = found
        .iter()
        .filter(|(difference, _)| !explained.contains(difference))
        .map(|((name, kind, path), example)| format!("{name} {kind:?} {path} ({example:.300})"))
        .collect();
    assert!(new.is_empty(), "differences that mappings/synthea/README.md does not explain:\n{}", new.join("\n"));
    let gone: Vec<_> = explained.iter().filter(|difference| !found.contains_key(difference)).collect();
    assert!(gone.is_empty(), "mappings/synthea/README.md explains differences that are none: {gone:#?}");
}

/// What both have in every resource is made the same: ids follow from the pairing, ours carries where it comes from.
fn alike(theirs: &mut Value, ours: &mut Value) {
    theirs["id"] = ours["id"].clone();
    let meta = ours["meta"].as_object_mut().expect("meta");
    assert_eq!(meta.remove("source"), Some(json!("https://github.com/synthetichealth/synthea")));
    assert!(meta.remove("lastUpdated").is_some());
    if theirs["meta"].is_null() {
        theirs["meta"] = json!({});
    }
}

/// PRAPARE is one Observation with components there, and a row per answer in the tables.
fn without_panels(panel: Value) -> Vec<Value> {
    if text(&panel, "/code/coding/0/code") != Some("93025-5") {
        return vec![panel];
    }
    let answers = panel["component"].as_array().expect("answers");
    let single = |answer: &Value| {
        let mut single = panel.clone();
        let members = single.as_object_mut().expect("a resource");
        members.remove("component");
        members.extend(answer.as_object().expect("an answer").clone());
        single
    };
    answers.iter().map(single).collect()
}

/// What the references in Synthea's bundles point to.
struct Names {
    /// `urn:uuid:…` and `Type?identifier=…` to `Type/id`, in theirs.
    local: BTreeMap<String, String>,
    /// `Type/id` in theirs to `Type/id` in ours.
    paired: BTreeMap<String, String>,
    /// RxNorm codes of the Medications of both, by `Type/id`.
    drugs: BTreeMap<String, String>,
}

impl Names {
    fn of(theirs: &[(&str, Vec<Value>)]) -> Self {
        let mut local = BTreeMap::new();
        for (name, resource) in theirs.iter().flat_map(|(name, all)| all.iter().map(move |one| (name, one))) {
            let id = text(resource, "/id").expect("an id");
            local.insert(format!("urn:uuid:{id}"), format!("{name}/{id}"));
            for identifier in resource["identifier"].as_array().into_iter().flatten() {
                let (system, value) = (text(identifier, "/system"), text(identifier, "/value"));
                let conditional =
                    format!("{name}?identifier={}|{}", system.unwrap_or_default(), value.unwrap_or_default());
                local.insert(conditional, format!("{name}/{id}"));
            }
        }
        Self { local, paired: BTreeMap::new(), drugs: BTreeMap::new() }
    }

    fn pair(&mut self, name: &str, theirs: &Value, ours: &Value) {
        let reference = |resource| format!("{name}/{}", text(resource, "/id").unwrap_or_default());
        let (left, right) = (reference(theirs), reference(ours));
        if name == "Medication" {
            let drug = text(ours, "/code/coding/0/code").unwrap_or_default();
            self.drugs.insert(right.clone(), drug.to_owned());
        }
        self.paired.insert(left, right);
    }

    /// A reference of theirs as ours would write it.
    fn ours(&self, reference: &str) -> String {
        let local = self.local.get(reference).map_or(reference, String::as_str);
        self.paired.get(local).map_or(local, String::as_str).to_owned()
    }

    /// The same for every reference in a resource.
    fn resolve(&self, value: &mut Value) {
        match value {
            Value::Object(members) => {
                for (name, member) in members {
                    match member {
                        Value::String(reference) if name == "reference" => *reference = self.ours(reference),
                        _ => self.resolve(member),
                    }
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.resolve(item)),
            _ => {}
        }
    }
}

fn patient_of(resource: &Value) -> Option<&str> {
    let reference = text(resource, "/subject/reference").or_else(|| text(resource, "/patient/reference"));
    match reference {
        Some(reference) => reference.strip_prefix("Patient/"),
        None if resource["resourceType"] == "Patient" => text(resource, "/id"),
        None => None,
    }
}

/// What identifies a resource in both.
fn key(name: &str, resource: &Value, names: &Names) -> String {
    let at = |pointer: &str| text(resource, pointer).unwrap_or_default().to_owned();
    let to = |pointer: &str| names.ours(&at(pointer));
    let day = |pointer: &str| at(pointer).chars().take(10).collect::<String>();
    let second = |pointer: &str| at(pointer).chars().take(19).collect::<String>();
    let drug = || {
        let target = to("/medicationReference/reference");
        names.drugs.get(&target).cloned().unwrap_or_else(|| at("/medicationCodeableConcept/coding/0/code"))
    };
    let parts = match name {
        "Location" => {
            vec![
                at("/managingOrganization/reference").replace("Organization/", "")
                    + &at("/managingOrganization/identifier/value"),
            ]
        }
        "PractitionerRole" => {
            let (system, value) = (at("/practitioner/identifier/system"), at("/practitioner/identifier/value"));
            let theirs = names.ours(&format!("Practitioner?identifier={system}|{value}"));
            vec![if value.is_empty() { at("/practitioner/reference") } else { theirs }]
        }
        "Condition" => vec![to("/encounter/reference"), at("/code/coding/0/code"), day("/onsetDateTime")],
        "AllergyIntolerance" => vec![to("/patient/reference"), at("/code/coding/0/code")],
        "Observation" => vec![to("/encounter/reference"), at("/code/coding/0/code"), second("/effectiveDateTime")],
        "Procedure" => vec![to("/encounter/reference"), at("/code/coding/0/code"), second("/performedPeriod/start")],
        "Immunization" => vec![to("/encounter/reference"), at("/vaccineCode/coding/0/code")],
        "Medication" => vec![at("/code/coding/0/code")],
        "MedicationRequest" => vec![to("/encounter/reference"), drug(), second("/authoredOn")],
        "MedicationAdministration" => vec![to("/context/reference"), drug(), second("/effectiveDateTime")],
        "CareTeam" => {
            vec![
                to("/encounter/reference"),
                at("/reasonCode/0/coding/0/code"),
                day("/period/start"),
                day("/period/end"),
            ]
        }
        "Device" => vec![at("/udiCarrier/0/carrierHRF")],
        "ImagingStudy" => vec![to("/encounter/reference"), second("/started")],
        "SupplyDelivery" => {
            vec![
                to("/patient/reference"),
                at("/suppliedItem/itemCodeableConcept/coding/0/code"),
                day("/occurrenceDateTime"),
            ]
        }
        "ExplanationOfBenefit" => vec![to("/claim/reference")],
        _ => vec![at("/id")],
    };
    parts.join(" ")
}
