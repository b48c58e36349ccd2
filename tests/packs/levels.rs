//! Exports of patients and of groups, and filters of types, as the engine makes them for a server.

use std::collections::BTreeSet;

use serde_json::Value;
use smelt::bulk::type_filter::{Ask, Parameter, Token};
use smelt::bulk::{ExportRequest, Level, Parameters, TypeFilter};
use smelt::export::{ExportError, groups};
use smelt::plan::search::SearchError;

use super::engine::{Made, with_engine};
use super::store::text;

fn request(level: Level, types: &[&str]) -> ExportRequest {
    let given = Parameters { types: types.iter().map(|&name| name.to_owned()).collect(), ..Parameters::default() };
    ExportRequest { level, ..ExportRequest::new(&given, types).expect("types") }
}

fn group(id: &str, types: &[&str]) -> ExportRequest {
    request(Level::Group(id.to_owned()), types)
}

fn patients(made: &Made) -> BTreeSet<String> {
    let of = |(name, found): (&String, &Vec<Value>)| {
        let pointer = if name == "Patient" { "/id" } else { "/subject/reference" };
        found.iter().map(|one| text(one, pointer).expect("whose").trim_start_matches("Patient/").to_owned()).collect()
    };
    made.resources.iter().flat_map(of as fn((&String, &Vec<Value>)) -> Vec<String>).collect()
}

/// K-19, K-45, G-03, X-07: the members' compartments, through nested groups, and nothing of anybody else.
#[tokio::test]
async fn a_group_is_its_members_compartments() {
    with_engine(|engine| {
        let types = ["Patient", "Condition", "Observation"];
        let of = |id: &str| patients(&engine.export(&group(id, &types)).expect("an export"));
        let (diabetes, nested) = (of("diabetes"), of("cardiometabolic"));
        let members = "select patient::text from cohort_members where cohort = 'diabetes' and stop is";
        assert_eq!(diabetes, engine.texts(&format!("{members} null")).into_iter().collect());
        let left = engine.texts(&format!("{members} not null"));
        assert!(!left.is_empty() && left.iter().all(|one| !diabetes.contains(one)), "who has left");
        assert!(nested.is_superset(&diabetes) && nested.len() > diabetes.len(), "a group inside a group");
        for nobody in ["stroke-recruiting", "asthma-2019"] {
            let made = engine.export(&group(nobody, &types)).expect("an export");
            assert!(made.resources.is_empty(), "{nobody}: {:?}", made.report);
        }
    })
    .await;
}

/// K-19, K-22, K-50: known when it is asked for.
#[tokio::test]
async fn unknown_groups_and_foreign_patients_are_refused() {
    with_engine(|engine| {
        for unknown in ["nope", "", "diabetes' or true"] {
            assert!(matches!(engine.check(&group(unknown, &["Patient"])), Err(ExportError::UnknownGroup)), "{unknown}");
        }
        let asked = |id: &str| ExportRequest { patients: vec![id.to_owned()], ..group("diabetes", &["Patient"]) };
        let member = "04138c7b-8b81-1dc6-31c6-7833673799ad";
        assert!(engine.check(&asked(member)).is_ok());
        assert_eq!(patients(&engine.export(&asked(member)).expect("an export")), [member.to_owned()].into());
        let foreign = asked("002917f2-e38a-b420-4c08-2195d70982c3");
        let outside =
            |error: ExportError| matches!(error, ExportError::UnknownPatients(ids) if ids == foreign.patients);
        assert!(engine.check(&foreign).is_err_and(outside));
        assert!(engine.export(&foreign).is_err_and(outside), "and never exported");
        assert!(matches!(engine.check(&asked("nobody")), Err(ExportError::UnknownPatients(_))));
    })
    .await;
}

/// K-45: everybody's compartments, and what belongs to nobody and may not come along stays out with a word about it.
#[tokio::test]
async fn the_patient_level_is_every_compartment() {
    with_engine(|engine| {
        let types = ["Patient", "Group", "Condition"];
        let made = engine.export(&request(Level::Patient, &types)).expect("an export");
        assert_eq!(made.resources.keys().collect::<Vec<_>>(), ["Condition", "Patient"]);
        assert!(made.outcomes.iter().any(|line| line.contains("Group")), "{:?}", made.outcomes);
        let all = engine.export(&request(Level::System, &["Patient", "Condition"])).expect("an export");
        assert_eq!(made.resources, all.resources, "every condition has a patient");
    })
    .await;
}

fn filter(resource_type: &str, parameters: &[(&str, &[&str])]) -> TypeFilter {
    let token = |code: &&str| Token { system: None, code: Some((*code).to_owned()) };
    let parameters = parameters
        .iter()
        .map(|(code, any)| Parameter { code: (*code).to_owned(), ask: Ask::Token(any.iter().map(token).collect()) });
    TypeFilter { resource_type: resource_type.to_owned(), parameters: parameters.collect() }
}

/// K-56, K-57, K-64: only what is found, of that type; alternatives add up; rows are accounted for.
#[tokio::test]
async fn filters_narrow_their_type_alone() {
    with_engine(|engine| {
        let types = ["Patient", "Observation", "Group"];
        let all = engine.export(&request(Level::System, &types)).expect("an export");
        let with = |filters: Vec<TypeFilter>| {
            engine.export(&ExportRequest { filters, ..request(Level::System, &types) }).expect("an export")
        };
        let women = with(vec![filter("Patient", &[("gender", &["female"])])]);
        let is = |one: &&Value, wanted: &str| text(one, "/gender") == Some(wanted);
        let expected: Vec<&Value> = all.resources["Patient"].iter().filter(|one| is(one, "female")).collect();
        assert!(!expected.is_empty() && expected.len() < all.resources["Patient"].len());
        assert_eq!(women.resources["Patient"].iter().collect::<Vec<_>>(), expected);
        assert_eq!(women.resources["Observation"].len(), all.resources["Observation"].len());
        let line = women.report.mappings.iter().find(|line| line.resource_type == "Patient").expect("a line");
        assert_eq!(line.emitted, expected.len() as u64);
        assert_eq!(line.filtered, line.rows - line.emitted);

        let both = with(vec![
            filter("Observation", &[("category", &["laboratory"]), ("status", &["final"])]),
            filter("Observation", &[("category", &["survey", "social-history"])]),
        ]);
        let category = |one: &Value| text(one, "/category/0/coding/0/code").unwrap_or_default().to_owned();
        let expected = all.resources["Observation"]
            .iter()
            .filter(|one| ["laboratory", "survey", "social-history"].contains(&category(one).as_str()))
            .count();
        assert_eq!(both.resources["Observation"].len(), expected);
        let none = with(vec![filter("Observation", &[("category", &["imaging"])])]);
        assert_eq!(none.resources.get("Observation"), None, "M-06");
        // Groups with many members are larger than a chunk: their beginning is in the spill.
        for id in ["hypertension", "asthma-2019"] {
            let found = with(vec![filter("Group", &[("_id", &[id])])]);
            let expected: Vec<&Value> =
                all.resources["Group"].iter().filter(|one| text(one, "/id") == Some(id)).collect();
            assert_eq!(found.resources["Group"].iter().collect::<Vec<_>>(), expected);
        }
    })
    .await;
}

/// K-59: a filter that cannot be asked is refused, never ignored.
#[tokio::test]
async fn filters_that_cannot_be_asked_are_refused() {
    with_engine(|engine| {
        let with = |one: TypeFilter| {
            engine.check(&ExportRequest { filters: vec![one], ..request(Level::System, &["Patient", "Observation"]) })
        };
        for (resource_type, parameter) in
            [("Observation", "value-date"), ("Patient", "nope"), ("Observation", "method")]
        {
            let refused = with(filter(resource_type, &[(parameter, &["x"])]));
            let unsupported = matches!(refused, Err(ExportError::Search(SearchError::Unsupported { .. })));
            assert!(unsupported, "{resource_type}?{parameter}");
        }
        // The list of a gender's codes says what system they are from.
        let of_system = |system: &str| {
            let mut named = filter("Patient", &[("gender", &["male"])]);
            named.parameters[0].ask = Ask::Token(vec![Token { system: Some(system.to_owned()), code: None }]);
            with(named)
        };
        assert!(of_system("http://hl7.org/fhir/administrative-gender").is_ok());
        assert!(matches!(of_system("s"), Err(ExportError::Search(SearchError::System { .. }))));
    })
    .await;
}

/// G-01, G-02: one with its members, all without.
#[tokio::test]
async fn groups_can_be_read() {
    with_engine(|engine| {
        let read = |id| {
            let found = engine.runtime.block_on(groups(&engine.source, &engine.prepared, id, &[])).expect("groups");
            found.iter().map(|one| serde_json::from_slice(one).expect("JSON")).collect::<Vec<Value>>()
        };
        let all = read(None);
        assert_eq!(all.len(), 5);
        assert!(all.iter().all(|group| group.get("member").is_none()), "members are read one group at a time");
        let one = read(Some("diabetes"));
        assert_eq!(one.len(), 1);
        let members = engine.texts("select row_id::text from cohort_members where cohort = 'diabetes'").len();
        assert_eq!(one[0]["member"].as_array().map(Vec::len), Some(members));
        assert!(read(Some("nope")).is_empty());
    })
    .await;
}
