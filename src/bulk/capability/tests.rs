//! What is advertised is what is on.

use std::collections::BTreeSet;

use super::*;
use crate::bulk::kickoff::{Intake, Known, read};
use crate::bulk::request::Level;

const BASE: &str = "https://bulk.example.org/r4";

fn features() -> Features {
    let one = |name: &str, search_params: &[&str]| TypeFeatures {
        name: name.to_owned(),
        search_params: search_params.iter().map(|code| (*code).to_owned()).collect(),
    };
    Features {
        base_url: BASE.to_owned(),
        software_version: "0.1.0".to_owned(),
        date: "2026-02-01T00:00:00Z".to_owned(),
        types: vec![
            one("Patient", &["gender", "_id"]),
            // What is no search parameter is not advertised.
            one("Observation", &["code", "category", "date", "nonsense"]),
            one("Condition", &[]),
        ],
        auth: Some("https://bulk.example.org/auth/token".to_owned()),
        group: true,
        cohorts: true,
        v4: true,
        cors: true,
    }
}

fn resource<'a>(statement: &'a Value, name: &str) -> &'a Value {
    let all = statement["rest"][0]["resource"].as_array().expect("resources");
    all.iter().find(|one| one["type"] == name).unwrap_or_else(|| panic!("{name}"))
}

fn names(list: &Value) -> Vec<&str> {
    list.as_array().map(|all| all.iter().filter_map(|one| one["name"].as_str()).collect()).unwrap_or_default()
}

// C-01 C-02 C-09
#[test]
fn a_statement_of_an_instance() {
    let statement = capability_statement(&features());
    for (pointer, want) in [
        ("/resourceType", "CapabilityStatement"),
        ("/status", "active"),
        ("/date", "2026-02-01T00:00:00Z"),
        ("/kind", "instance"),
        ("/fhirVersion", "4.0.1"),
        ("/format/0", "application/fhir+json"),
        ("/software/name", "smelt"),
        ("/software/version", "0.1.0"),
        ("/publisher", "smelt"),
        ("/implementation/url", BASE),
        ("/instantiates/0", "http://hl7.org/fhir/uv/bulkdata/CapabilityStatement/bulk-data"),
        ("/rest/0/mode", "server"),
    ] {
        assert_eq!(statement.pointer(pointer).and_then(Value::as_str), Some(want), "{pointer}");
    }
    assert!(statement["implementation"]["description"].is_string());
}

// C-03 C-06
#[test]
fn operations_stand_where_they_are_called() {
    let statement = capability_statement(&features());
    let operations = |list: &Value| -> Vec<String> {
        let one = |one: &Value| format!("{} {}", one["name"], one["definition"]).replace('"', "");
        list.as_array().map(|all| all.iter().map(one).collect()).unwrap_or_default()
    };
    for (list, name) in [
        (&statement["rest"][0]["operation"], "export"),
        (&resource(&statement, "Patient")["operation"], "patient-export"),
        (&resource(&statement, "Group")["operation"], "group-export"),
    ] {
        let url = format!("http://hl7.org/fhir/uv/bulkdata/OperationDefinition/{name}");
        assert_eq!(operations(list), [format!("export {url}"), format!("export-v4 {url}|4.0.0")]);
    }
    let off = capability_statement(&Features { group: false, v4: false, ..features() });
    assert_eq!(names(&off["rest"][0]["operation"]), ["export"]);
    assert_eq!(names(&resource(&off, "Patient")["operation"]), ["export"]);
    assert!(!off.to_string().contains("group-export"));
}

// C-04 C-05 C-07 G-01 T-10 T-11
#[test]
fn types_and_parameters_are_those_that_work() {
    let statement = capability_statement(&features());
    let all = statement["rest"][0]["resource"].as_array().expect("resources");
    let types: Vec<&str> = all.iter().filter_map(|one| one["type"].as_str()).collect();
    assert_eq!(types, ["Condition", "Group", "Observation", "Patient"]);
    for (name, want) in [
        ("Condition", &["_lastUpdated"][..]),
        ("Group", &["_id", "identifier", "name", "type"]),
        ("Observation", &["_lastUpdated", "category", "code", "date"]),
        ("Patient", &["_lastUpdated", "_id", "gender"]),
    ] {
        assert_eq!(names(&resource(&statement, name)["searchParam"]), want, "{name}");
    }
    let code = &resource(&statement, "Observation")["searchParam"][2];
    let definition = "http://hl7.org/fhir/SearchParameter/clinical-code";
    assert_eq!(code, &json!({"name": "code", "definition": definition, "type": "token"}));
    let codes = ["read", "search-type", "create", "update", "delete"].map(|code| json!({"code": code}));
    assert_eq!(resource(&statement, "Group")["interaction"], json!(codes));
    assert_eq!(resource(&statement, "Group")["supportedProfile"], json!([crate::bulk::cohort::PROFILE]), "G-17");
    let without = capability_statement(&Features { cohorts: false, ..features() });
    assert_eq!(resource(&without, "Group")["interaction"], json!(codes[..2]));
    assert_eq!(resource(&without, "Group").get("supportedProfile"), None);
    assert_eq!(resource(&statement, "Observation").get("interaction"), None);

    // What is listed without the mark works in a filter; what has the mark, or is not listed, is refused.
    let features = features();
    let mapped: Vec<&str> = features.types.iter().map(|one| one.name.as_str()).collect();
    let searchable = |name: &str, code: &str| {
        features.types.iter().any(|one| one.name == name && one.search_params.iter().any(|known| known == code))
    };
    let known = Known {
        mapped: &mapped,
        base_url: BASE,
        compartment: &|_| true,
        searchable: &searchable,
        strict_filters: false,
    };
    for name in &mapped {
        let params = resource(&statement, name)["searchParam"].as_array().expect("parameters");
        let plain = params.iter().filter(|param| param.get("extension").is_none());
        let listed: BTreeSet<&str> = plain.filter_map(|param| param["name"].as_str()).collect();
        for param in crate::fhir::search::search_params(name) {
            let value = if param.kind == crate::fhir::search::SearchType::Date { "2024" } else { "x" };
            let query = format!("_typeFilter={name}?{}={value}", param.code);
            let intake = Intake {
                dialect: Dialect::Compatible,
                level: Level::System,
                post: false,
                query: Some(&query),
                body: None,
                lenient: false,
            };
            assert_eq!(read(&intake, &known).is_ok(), listed.contains(param.code), "{query}");
        }
    }
}

// C-07
#[test]
fn group_parameters_work_beside_bulk_and_not_in_it() {
    let statement = capability_statement(&features());
    let identifier = &resource(&statement, "Group")["searchParam"][1];
    assert_eq!(
        identifier["extension"],
        json!([{
            "url": "http://hl7.org/fhir/uv/bulkdata/Extension/operation-not-supported",
            "valueCanonical": "http://hl7.org/fhir/uv/bulkdata/CapabilityStatement/bulk-data"
        }])
    );
}

// C-08 T-06
#[test]
fn the_token_endpoint_is_found_where_old_clients_look() {
    let security = &capability_statement(&features())["rest"][0]["security"];
    assert_eq!(security["service"][0]["coding"][0]["code"], "SMART-on-FHIR");
    let token = &security["extension"][0]["extension"][0];
    assert_eq!(token, &json!({"url": "token", "valueUri": "https://bulk.example.org/auth/token"}));
    let open = capability_statement(&Features { auth: None, ..features() });
    assert!(!open.to_string().contains("SMART"));
}

// C-03 K-46 K-52 K-66 K-67 K-68: the definitions a client may read name what is honoured, no more.
#[test]
fn definitions_name_the_parameters_that_are_honoured() {
    for (id, code, levels, parameters) in [
        ("export", "export", (true, false, false), 11),
        ("patient-export", "export", (false, true, false), 12),
        ("group-export", "export", (false, false, true), 12),
        ("export-v4", "export-v4", (true, false, false), 11),
        ("patient-export-v4", "export-v4", (false, true, false), 12),
        ("group-export-v4", "export-v4", (false, false, true), 12),
    ] {
        let definition = operation_definition(id, &features()).expect(id);
        assert_eq!((&definition["id"], &definition["code"]), (&json!(id), &json!(code)));
        assert_eq!((&definition["system"], &definition["type"]), (&json!(levels.0), &json!(levels.1)));
        assert_eq!(definition["instance"], json!(levels.2));
        let names = names(&definition["parameter"]);
        assert_eq!(names.len(), parameters, "{id}");
        for name in names {
            let query = match name {
                "_outputFormat" => "_outputFormat=ndjson",
                "_since" | "_until" => "_since=2024&_until=2025",
                "_type" => "_type=Patient",
                "_typeFilter" => "_typeFilter=Patient?gender=female",
                "_minimumFileSize" | "_maximumFileSize" => "_minimumFileSize=1&_maximumFileSize=2",
                "allowPartialManifests" => "allowPartialManifests=true",
                "includeAssociatedData" => "includeAssociatedData=_reference-closure",
                "organizeOutputBy" => "organizeOutputBy=Patient",
                "patient" => "patient=Patient/1",
                "_elements" => "_elements=id",
                other => panic!("{other}"),
            };
            let known = Known {
                mapped: &["Patient"],
                base_url: BASE,
                compartment: &|_| true,
                searchable: &|_, code| code == "gender",
                strict_filters: false,
            };
            let level = if levels.0 { Level::System } else { Level::Patient };
            let dialect = if code == "export" { Dialect::Compatible } else { Dialect::V4 };
            let intake = Intake { dialect, level, post: true, query: Some(query), body: None, lenient: false };
            assert!(read(&intake, &known).is_ok(), "{id} {name}");
        }
        // opd-0
        let name = definition["name"].as_str().expect("name");
        assert!(name.starts_with(|c: char| c.is_ascii_uppercase()) && name.chars().all(|c| c.is_ascii_alphanumeric()));
    }
    assert_eq!(operation_definition("nonsense", &features()), None);
    let off = Features { group: false, v4: false, ..features() };
    for gone in ["group-export", "export-v4", "group-export-v4"] {
        assert_eq!(operation_definition(gone, &off), None, "{gone}");
    }
}
