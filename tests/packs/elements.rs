//! `_elements` on the demo store: every resource against the whole one.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use smelt::bulk::type_filter::{Ask, Parameter, Target, Token};
use smelt::bulk::{ExportRequest, Level, Parameters, TypeFilter};
use smelt::fhir::elements::elements;
use smelt::mapping::check::demanded;

use super::engine::{Engine, with_engine};
use super::store::text;

fn request(types: &[&str], wanted: &[&str]) -> ExportRequest {
    let texts = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect();
    let given = Parameters { types: texts(types), elements: texts(wanted), ..Parameters::default() };
    ExportRequest::new(&given, types).expect("a request")
}

fn by_id(resources: Option<&Vec<Value>>) -> BTreeMap<&str, &Value> {
    resources.into_iter().flatten().map(|one| (text(one, "/id").expect("an id"), one)).collect()
}

/// The members that stay without being asked for.
fn mandatory(engine: &Engine, resource_type: &str) -> BTreeSet<&'static str> {
    let needed = elements(resource_type).iter().filter(|element| element.min > 0).map(|element| element.name);
    let pack = &engine.prepared.pack;
    let mappings = pack.mappings.iter().filter(|mapping| mapping.resource_type == resource_type);
    let profiles = mappings.flat_map(|mapping| demanded(&pack.project, &mapping.root));
    needed.chain(profiles).chain(["resourceType", "id", "meta"]).collect()
}

/// Whether a JSON name is one of these elements; a choice is named by its stem.
fn names(json: &str, elements: &BTreeSet<&str>) -> bool {
    elements.iter().any(|name| {
        let stem = name.strip_suffix("[x]").unwrap_or(name);
        let rest = json.trim_start_matches('_').strip_prefix(stem);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(|c: char| c.is_ascii_uppercase()))
    })
}

/// What `whole` is with `wanted` alone.
fn check(engine: &Engine, resource_type: &str, whole: &Value, reduced: &Value, wanted: &BTreeSet<&str>) {
    let tag = json!({"system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue", "code": "SUBSETTED"});
    let kept = mandatory(engine, resource_type);
    for (name, value) in whole.as_object().expect("an object") {
        match reduced.get(name) {
            _ if name == "meta" => {}
            Some(have) => {
                assert_eq!(have, value, "{resource_type}.{name}");
                assert!(names(name, &kept) || names(name, wanted), "{resource_type}.{name} was not asked for");
            }
            None => {
                let base = elements(resource_type).iter().filter(|element| element.min > 0).map(|element| element.name);
                let lost = names(name, wanted) || names(name, &base.collect());
                assert!(!lost, "{resource_type}.{name} is missing");
            }
        }
    }
    let mut meta = whole.get("meta").cloned().unwrap_or_else(|| json!({}));
    let tags = meta.as_object_mut().expect("an object").entry("tag").or_insert_with(|| json!([]));
    tags.as_array_mut().expect("a list").push(tag);
    assert_eq!(reduced["meta"], meta, "{resource_type}");
    assert!(reduced.as_object().expect("an object").keys().all(|name| name == "meta" || whole.get(name).is_some()));
}

// K-46 K-47 K-48
#[tokio::test]
async fn resources_without_what_is_not_listed() {
    with_engine(|engine| {
        let types = [
            "CarePlan",
            "Condition",
            "Coverage",
            "Device",
            "DiagnosticReport",
            "DocumentReference",
            "Encounter",
            "MedicationRequest",
            "Observation",
            "Patient",
        ];
        let request = |wanted: &[&str]| {
            let level = Level::Group("diabetes".to_owned());
            ExportRequest { level, ..request(&types, wanted) }
        };
        let whole = engine.export(&request(&[])).expect("an export");
        for (wanted, reduced_types) in [
            (&["identifier", "value", "Encounter.period"][..], &types[..]),
            (&["Patient.name", "Patient.birthDate", "Observation.id"], &["Patient", "Observation"]),
        ] {
            let made = engine.export(&request(wanted)).expect("an export");
            assert_eq!(made.resources.keys().collect::<Vec<_>>(), whole.resources.keys().collect::<Vec<_>>());
            for (name, all) in &whole.resources {
                let of_type = |item: &&str| item.split_once('.').is_none_or(|(of, _)| of == name);
                let listed = wanted.iter().filter(|item| of_type(item));
                let listed = listed.map(|item| item.rsplit('.').next().unwrap_or(item)).collect();
                let (all, made) = (by_id(Some(all)), by_id(made.resources.get(name)));
                assert_eq!(all.len(), made.len(), "{name}");
                for (id, whole) in all {
                    if reduced_types.contains(&name.as_str()) {
                        check(engine, name, whole, made[id], &listed);
                    } else {
                        assert_eq!(whole, made[id], "{name} was not to be reduced");
                    }
                }
            }
        }
    })
    .await;
}

// K-69: filters are asked of the whole resource, and what they look at is not in the files. Large Groups stand in the
// spill when they are asked.
#[tokio::test]
async fn filters_see_what_is_left_out() {
    with_engine(|engine| {
        let token = |code: &str| Ask::Token(vec![Token { system: None, code: Some(code.to_owned()) }]);
        let one = |of: &str, code: &str, ask: Ask| TypeFilter {
            resource_type: of.to_owned(),
            parameters: vec![Parameter { code: code.to_owned(), ask }],
        };
        let member = engine.texts("select patient::text from cohort_members where cohort = 'hypertension' limit 1");
        let member = Target::Local { resource_type: Some("Patient".to_owned()), id: member[0].clone() };
        for (filter, wanted) in [
            (one("Patient", "gender", token("female")), "Patient.birthDate"),
            (one("Observation", "category", token("laboratory")), "Observation.issued"),
            (
                one(
                    "Observation",
                    "category",
                    Ask::NotToken(vec![Token { system: None, code: Some("laboratory".to_owned()) }]),
                ),
                "Observation.issued",
            ),
            (one("Group", "member", Ask::Reference(vec![member])), "Group.name"),
            (one("Patient", "_profile", Ask::Missing(false)), "Patient.birthDate"),
        ] {
            let of = filter.resource_type.as_str();
            let asked = |wanted: &[&str]| {
                let filters = vec![filter.clone()];
                let level = if of == "Group" { Level::System } else { Level::Group("diabetes".to_owned()) };
                engine.export(&ExportRequest { level, filters, ..request(&[of], wanted) }).expect("an export")
            };
            let (whole, made) = (asked(&[]), asked(&[wanted]));
            let (whole, made) = (by_id(whole.resources.get(of)), by_id(made.resources.get(of)));
            assert!(!whole.is_empty() && whole.len() == made.len(), "{filter:?}");
            let listed = BTreeSet::from([wanted.rsplit('.').next().expect("a name")]);
            for (id, whole) in whole {
                check(engine, of, whole, made[id], &listed);
            }
        }
    })
    .await;
}
