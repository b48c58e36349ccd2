//! What comes along is what the client may see.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Client, serve_pack};
use crate::support::known::Known;
use crate::support::server::{Answer, Server};

/// Every record names who made it.
const PROVENANCE: (&str, &str) = (
    "provenance",
    "sql: provenances.sql\nkey: id\npatient: patient\nresource:\n  resourceType: Provenance\n  id: \"p-{{id}}\"\n  \
     target:\n    - observation(observation)\n    - practitioner(practitioner)\n  recorded: 2026-01-01T00:00:00Z\n  \
     agent:\n    - who: practitioner('x')\n",
);

fn ask(server: &Server, token: &str, path: &str, parameters: &[(&str, Value)], prefer: &str) -> Answer {
    let parameters: Vec<Value> = parameters
        .iter()
        .map(|(name, value)| {
            let kind = if value.is_object() { "valueCoding" } else { "valueCode" };
            json!({"name": name, kind: value})
        })
        .collect();
    let body = json!({"resourceType": "Parameters", "parameter": parameters}).to_string();
    let headers = [("Authorization", token), ("Content-Type", "application/fhir+json"), ("Prefer", prefer)];
    server.send("POST", path, &headers, body.as_bytes())
}

fn finished(server: &Server, token: &str, answer: &Answer) -> (BTreeMap<String, u64>, String) {
    let headers = [("Authorization", token)];
    let ended = server.ended(&answer.accepted(), &headers);
    assert_eq!(ended.status, 200, "{}", ended.text());
    let manifest = ended.json();
    let mut counts = BTreeMap::new();
    for item in manifest["output"].as_array().unwrap() {
        // Of version 4, items name no type.
        let url = item["url"].as_str().unwrap();
        let name = url.rsplit('/').next().unwrap().split('.').next().unwrap().to_owned();
        *counts.entry(name).or_default() += item["count"].as_u64().unwrap();
    }
    let messages = manifest.get("error").or(manifest.get("outcome"));
    let messages = messages.and_then(Value::as_array).into_iter().flatten();
    let told = messages.map(|item| server.get_with(item["url"].as_str().unwrap(), &headers).text()).collect();
    (counts, told)
}

// K-44 K-52 K-53 K-55 A-28: by every carrier; what a token does not allow is left out and told, or refused if it was
// named.
#[tokio::test]
async fn what_comes_along_is_within_scopes() {
    let known = Known::new(&[PROVENANCE]).await;
    let (all, lab, few) = (Client::new("all"), Client::new("lab"), Client::new("few"));
    let entries = [
        all.entry("scopes: [system/*.rs]\ngroups: all"),
        lab.entry("scopes: [system/Patient.rs, system/Observation.rs, system/Provenance.rs]\ngroups: all"),
        few.entry("scopes: [system/Patient.rs, system/Observation.rs]\ngroups: all"),
    ];
    let (server, _settings) = serve_pack(&known.database, &known.mappings(), &entries, tempfile::tempdir().unwrap());
    let [all, lab, few] = [&all, &lab, &few].map(|client| client.token(&server, "system/*.rs"));
    let counts = |of: &[(&str, u64)]| of.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect();
    let strict = "respond-async";
    let observations = ("_type", json!("Observation"));
    let what = |value: &str| ("includeAssociatedData", json!(value));
    let system = "http://hl7.org/fhir/uv/bulkdata/CodeSystem/include-associated-data";
    let coding = |code: &str| ("includeAssociatedData", json!({"system": system, "code": code}));
    let (relevant, latest) = ("RelevantProvenanceResources", "LatestProvenanceResources");

    for (path, parameters, want) in [
        ("/Patient/$export", vec![observations.clone()], counts(&[("Observation", 36)])),
        (
            "/Patient/$export",
            vec![observations.clone(), what(relevant)],
            counts(&[("Observation", 36), ("Provenance", 36)]),
        ),
        (
            "/Group/g/$export",
            vec![observations.clone(), what(&format!("{latest},_reference-closure"))],
            counts(&[("Observation", 24), ("Provenance", 24), ("Practitioner", 1)]),
        ),
        (
            "/Group/g/$export-v4",
            vec![observations.clone(), coding(latest), coding("_reference-closure")],
            counts(&[("Observation", 24), ("Provenance", 24), ("Practitioner", 1)]),
        ),
        // Without `_type` the practitioner comes with the Provenance that is there by default.
        (
            "/Group/g/$export",
            vec![],
            counts(&[("Condition", 6), ("Observation", 24), ("Patient", 2), ("Practitioner", 1), ("Provenance", 24)]),
        ),
    ] {
        let (found, _) = finished(&server, &all, &ask(&server, &all, path, &parameters, strict));
        assert_eq!(found, want, "{path} {parameters:?}");
    }
    let both = [observations.clone(), what(relevant), what("_reference-closure")];
    let (found, told) = finished(&server, &lab, &ask(&server, &lab, "/Patient/$export", &both, strict));
    assert_eq!(found, counts(&[("Observation", 36), ("Provenance", 36)]));
    assert!(told.contains("the access token does not allow them: Practitioner"), "{told}");
    let refused = ask(&server, &few, "/Patient/$export", &[observations.clone(), what(latest)], strict);
    assert_eq!((refused.status, refused.issue().as_str()), (403, "forbidden"), "{}", refused.text());

    let unknown = [observations, what("Foo")];
    let refused = ask(&server, &all, "/Patient/$export", &unknown, strict);
    assert_eq!((refused.status, refused.issue().as_str()), (400, "not-supported"));
    assert!(refused.text().contains("_reference-closure"), "{}", refused.text());
    let answer = ask(&server, &all, "/Patient/$export", &unknown, "respond-async, handling=lenient");
    let (found, told) = finished(&server, &all, &answer);
    assert_eq!(found, counts(&[("Observation", 36)]));
    assert!(told.contains("Ignored: `includeAssociatedData` names `Foo`"), "{told}");
}
