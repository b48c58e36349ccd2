//! `_elements` over HTTP.

use serde_json::{Value, json};

use super::known::{lines, serve};
use super::{Server, count};
use crate::support::server::Answer;

const SUBSETTED: &str = "http://terminology.hl7.org/CodeSystem/v3-ObservationValue|SUBSETTED";

/// The members of the resources of a type, and whether they are tagged.
fn shape(server: &Server, manifest: &Value, name: &str) -> Vec<(String, bool)> {
    let mut shapes: Vec<(String, bool)> = lines(server, &manifest["output"], name)
        .iter()
        .map(|resource| {
            let names: Vec<&str> = resource.as_object().unwrap().keys().map(String::as_str).collect();
            let tags = resource["meta"]["tag"].as_array().cloned().unwrap_or_default();
            let tag = |tag: &Value| format!("{}|{}", tag["system"].as_str().unwrap(), tag["code"].as_str().unwrap());
            (names.join(" "), tags.iter().any(|one| tag(one) == SUBSETTED))
        })
        .collect();
    shapes.sort();
    shapes.dedup();
    shapes
}

fn post(server: &Server, url: &str, parameters: &[(&str, &str)]) -> Answer {
    let parameters: Vec<Value> =
        parameters.iter().map(|(name, value)| json!({"name": name, "valueString": value})).collect();
    let body = json!({"resourceType": "Parameters", "parameter": parameters}).to_string();
    server.send("POST", url, &[("Content-Type", "application/fhir+json")], body.as_bytes())
}

// K-30 K-31 K-46 K-47 K-48
#[tokio::test]
async fn every_level_and_dialect_reduces() {
    let (_known, server) = serve(&[]).await;
    let observation = [("code id meta resourceType status subject".to_owned(), true)];
    let status = |url: &str| server.kick_off(url);
    let list = "_type=Patient,Observation&_elements=Patient.gender,Observation.subject";
    let repeated = "_type=Patient,Observation&_elements=Observation.subject&_elements=Patient.gender";
    let by_get =
        ["/$export", "/Patient/$export", "/Group/g/$export"].map(|path| (format!("{path}?{list}"), Vec::new()));
    let by_post = [
        ("/$export", vec![("_elements", "Observation.subject,Patient.gender")]),
        ("/$export-v4", vec![("_elements", "Observation.subject"), ("_elements", "Patient.gender")]),
    ];
    let by_post = by_post.map(|(path, parameters)| (path.to_owned(), parameters));
    let repeated = [(format!("/$export?{repeated}"), Vec::new())];
    for (url, parameters) in by_get.into_iter().chain(repeated).chain(by_post) {
        let accepted = if parameters.is_empty() { status(&url) } else { post(&server, &url, &parameters).accepted() };
        let manifest = server.manifest(&accepted);
        assert_eq!(shape(&server, &manifest, "Observation"), observation);
        assert_eq!(shape(&server, &manifest, "Patient"), [("gender id meta resourceType".to_owned(), true)]);
        if count(&manifest, "Condition") > 0 {
            assert_eq!(shape(&server, &manifest, "Condition"), [("id meta resourceType subject".to_owned(), false)]);
        }
    }
    // A name without a type is about all of them.
    let manifest = server.manifest(&status("/$export?_elements=gender"));
    assert_eq!(shape(&server, &manifest, "Patient"), [("gender id meta resourceType".to_owned(), true)]);
    assert_eq!(shape(&server, &manifest, "Condition"), [("id meta resourceType subject".to_owned(), true)]);
    assert_eq!(shape(&server, &manifest, "Practitioner"), [("id meta resourceType".to_owned(), true)]);
    let url = manifest["request"].as_str().unwrap();
    assert!(url.ends_with("_elements=gender"), "{url}");
}

// K-69: what is left out was still looked at, deletions and counts are the same.
#[tokio::test]
async fn filters_and_times_come_first() {
    let (_known, server) = serve(&[]).await;
    for (query, observations) in [
        ("_typeFilter=Observation%3Fpatient=Patient/a&_elements=Observation.id", 12),
        ("_typeFilter=Observation%3Fpatient=Patient/a&_typeFilter=Observation%3F_security=R&_elements=id", 24),
        ("_since=2026-02-01T00:00:00Z&_elements=Observation.id", 24),
    ] {
        let manifest = server.manifest(&server.kick_off(&format!("/$export?_type=Observation&{query}")));
        assert_eq!(count(&manifest, "Observation"), observations, "{query}");
        assert_eq!(shape(&server, &manifest, "Observation"), [("code id meta resourceType status".to_owned(), true)]);
    }
}

// K-09 K-33 K-46
#[tokio::test]
async fn what_names_no_element_is_refused() {
    let (_known, server) = serve(&[]).await;
    for wrong in ["Patient.name.given", "Patient.nope", "nope", "Encounter.status", "Observation.valueQuantity", ""] {
        let answer = server.get(&format!("/$export?_elements={wrong}"));
        assert_eq!(answer.status, 400, "{wrong}");
        assert!(answer.text().contains("_elements"), "{}", answer.text());
        let lenient = [("Prefer", "respond-async, handling=lenient")];
        assert_eq!(server.get_with(&format!("/$export?_elements={wrong}"), &lenient).status, 400, "{wrong}");
        let told = server.get_with(&format!("/$export?_elements=Patient.id,{wrong}"), &lenient);
        let manifest = server.manifest(&told.accepted());
        assert_eq!(shape(&server, &manifest, "Patient"), [("id meta resourceType".to_owned(), true)]);
        assert_eq!(lines(&server, &manifest["error"], "OperationOutcome").is_empty(), wrong.is_empty());
    }
    assert_eq!(post(&server, "/$export-v4", &[("_elements", "id,gender")]).status, 400);
}

// K-48 K-69: tags of its own stay, and a search does not see the one that is added.
#[tokio::test]
async fn tags_of_its_own_are_searched_and_kept() {
    let flag = "table: patients\nkey: id\nresource:\n  resourceType: Basic\n  id: $id\n  code: {text: x}\n  \
                $if id = 'a': {meta: {tag: [{code: own}]}}\n  created: 2026-01-01\n";
    let (_known, server) = serve(&[("flag", flag)]).await;
    for (filter, found) in [("_tag=own", 1), ("_tag=SUBSETTED", 0), ("_tag:missing=true", 2), ("created=2026", 3)] {
        let url = format!("/$export?_type=Basic&_typeFilter=Basic%3F{filter}&_elements=Basic.author");
        let manifest = server.manifest(&server.kick_off(&url));
        assert_eq!(count(&manifest, "Basic"), found, "{filter}");
        for one in lines(&server, &manifest["output"], "Basic") {
            let own = one["id"] == "a";
            assert_eq!(one["meta"]["tag"].as_array().unwrap().len(), if own { 2 } else { 1 }, "{one}");
            assert_eq!(one.as_object().unwrap().len(), 4, "{one}");
        }
    }
}

// K-22 K-48: known when it is asked for.
#[tokio::test]
async fn a_meta_that_cannot_be_tagged_is_told() {
    let flag = "sql: |\n  select id, '{}'::jsonb as document from patients\nkey: id\nresource:\n  \
                resourceType: Basic\n  id: $id\n  code: {text: x}\n  meta: $document\n";
    let (_known, server) = serve(&[("flag", flag)]).await;
    let answer = server.get("/$export?_type=Patient,Basic&_elements=id");
    assert_eq!((answer.status, answer.issue().as_str()), (400, "not-supported"));
    assert!(answer.text().contains("mapping `flag`"), "{}", answer.text());
    server.kick_off("/$export?_type=Patient,Basic&_elements=Patient.gender");
}
