//! What a client may see of the rows: one restriction after the other, counted by heart.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};

use super::{Client, serve_pack};
use crate::packs::store;
use crate::rust_text::root;
use crate::support::known::Known;
use crate::support::server::Server;
use crate::support::{database::Database, eventually};

const RULE: &str = "withhold: [\"*?_security=http://terminology.hl7.org/CodeSystem/v3-Confidentiality|R\"]";

fn counts(manifest: &Value) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for item in manifest["output"].as_array().unwrap() {
        *counts.entry(item["type"].as_str().unwrap().to_owned()).or_default() += item["count"].as_u64().unwrap();
    }
    counts
}

/// Kicks off by POST: level, and names and values of parameters.
fn kick_off(server: &Server, token: &str, level: &str, parameters: &[(&str, &str)]) -> String {
    let parameters: Vec<Value> =
        parameters.iter().map(|(name, value)| json!({"name": name, "valueString": value})).collect();
    let body = json!({"resourceType": "Parameters", "parameter": parameters}).to_string();
    let headers = [("Authorization", token), ("Content-Type", "application/fhir+json")];
    server.send("POST", &format!("{level}/$export"), &headers, body.as_bytes()).accepted()
}

fn manifest(server: &Server, token: &str, status: &str) -> Value {
    let answer = server.ended(status, &[("Authorization", token)]);
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

/// Rows of a type in a job's report: read, emitted, rejected, filtered.
fn rows(server: &Server, status: &str, name: &str) -> [u64; 4] {
    let job = status.rsplit('/').next().unwrap();
    let text = std::fs::read(server.home.path().join("state/jobs").join(job).join("report.json")).unwrap();
    let report: Value = serde_json::from_slice(&text).unwrap();
    let line = report["mappings"].as_array().unwrap().iter().find(|line| line["resourceType"] == name).unwrap();
    ["rows", "emitted", "rejected", "filtered"].map(|key| line[key].as_u64().unwrap())
}

// K-69: what the client may see, the group, its patients, types, times, filters; each step on top of those before.
#[tokio::test]
async fn restrictions_apply_one_after_the_other() {
    let known = Known::new(&[]).await;
    let lab = Client::new("lab");
    let scopes = "scopes: [system/Patient.rs, system/Observation.rs, system/Condition.rs]\ngroups: all";
    let entry = lab.entry(&format!("{scopes}\n{RULE}"));
    let (server, _settings) = serve_pack(&known.database, &known.mappings(), &[entry], tempfile::tempdir().unwrap());
    let token = lab.token(&server, "system/*.rs");
    let steps: &[(&str, &str, &str, [u64; 3])] = &[
        // level, one parameter more, and what is left: patients, observations, conditions.
        ("", "", "", [3, 18, 9]),
        ("/Group/g", "", "", [2, 12, 6]),
        ("/Group/g", "patient", "Patient/a", [1, 6, 3]),
        ("/Group/g", "_type", "Patient,Observation", [1, 6, 0]),
        ("/Group/g", "_since", "2026-02-01T00:00:00Z", [1, 4, 0]),
        ("/Group/g", "_until", "2026-03-01T00:00:00Z", [1, 2, 0]),
        ("/Group/g", "_typeFilter", "Observation?status=final", [1, 1, 0]),
    ];
    let (mut asked, mut last) = (Vec::new(), String::new());
    for (level, name, value, left) in steps {
        asked.extend((!name.is_empty()).then_some((*name, *value)));
        last = kick_off(&server, &token, level, &asked);
        let names = ["Patient", "Observation", "Condition"].map(str::to_owned);
        let left = names.into_iter().zip(*left).filter(|(_, count)| *count > 0).collect();
        assert_eq!(counts(&manifest(&server, &token, &last)), left, "{asked:?}");
    }
    // Of the last one, PostgreSQL gave a patient's month in one state: two labels.
    assert_eq!(rows(&server, &last, "Observation"), [2, 1, 0, 1]);
    // Their order in a request is nothing.
    asked.reverse();
    let again = kick_off(&server, &token, "/Group/g", &asked);
    assert_eq!(
        counts(&manifest(&server, &token, &again)),
        [("Observation".to_owned(), 1), ("Patient".to_owned(), 1)].into()
    );
}

// X-09 A-28: rows are accounted for, and nothing the client asks for brings back what is withheld.
#[tokio::test]
async fn what_is_withheld_from_a_client_is_not_exported() {
    let known = Known::new(&[]).await;
    let (lab, all) = (Client::new("lab"), Client::new("all"));
    let entries = [
        lab.entry(&format!("scopes: [system/*.rs]\ngroups: all\n{RULE}")),
        all.entry("scopes: [system/*.rs]\ngroups: all"),
    ];
    let (server, settings) = serve_pack(&known.database, &known.mappings(), &entries, tempfile::tempdir().unwrap());
    let tokens = [&lab, &all].map(|client| client.token(&server, "system/*.rs"));
    let [lab_token, all_token] = &tokens;
    let labelled = "Observation?_security=http://terminology.hl7.org/CodeSystem/v3-Confidentiality|R";
    for (level, parameters, theirs, everything) in [
        ("", &[][..], 18, 36),
        ("/Patient", &[("_type", "Observation")], 18, 36),
        ("/Group/g", &[("_type", "Observation")], 12, 24),
        ("", &[("_type", "Observation"), ("_typeFilter", labelled)], 0, 18),
        ("", &[("_type", "Observation"), ("_typeFilter", "Observation?status=final")], 9, 18),
    ] {
        for (token, want) in [(lab_token, theirs), (all_token, everything)] {
            let status = kick_off(&server, token, level, parameters);
            let made = manifest(&server, token, &status);
            assert_eq!(counts(&made).get("Observation").copied().unwrap_or(0), want, "{level} {parameters:?}");
            let [read, emitted, rejected, filtered] = rows(&server, &status, "Observation");
            assert_eq!((read, emitted), (emitted + rejected + filtered, want));
            let of_lab = token == lab_token;
            for item in made["output"].as_array().unwrap() {
                let text = server.get_with(item["url"].as_str().unwrap(), &[("Authorization", token)]).text();
                assert!(!of_lab || !text.contains("\"code\":\"R\""), "{level}: {text}");
            }
            // That there are rules is told; whom they protect is not.
            let told = made["error"].as_array().unwrap().iter();
            let told: String = told
                .map(|item| server.get_with(item["url"].as_str().unwrap(), &[("Authorization", token)]).text())
                .collect();
            assert_eq!(told.contains("suppressed") && told.contains("rules of privacy"), of_lab, "{told}");
            assert!(!told.contains("\"error\"") && !told.contains("Confidentiality"), "{told}");
        }
    }
    for (url, token, status) in
        [("/Group/g", lab_token, 200), ("/Group/secret", lab_token, 404), ("/Group/secret", all_token, 200)]
    {
        assert_eq!(server.get_with(url, &[("Authorization", token)]).status, status, "{url}");
    }
    for (token, total) in [(lab_token, 2), (all_token, 3)] {
        assert_eq!(server.get_with("/Group", &[("Authorization", token)]).json()["total"], total);
    }
    let trail = server.audit();
    assert!(trail.iter().any(|line| line.to_string().contains("\"withheld\"")));

    // A rule that the pack cannot honour is not taken: the old registry, with its rule, stays.
    let bad = lab.entry("scopes: [system/*.rs]\ngroups: all\nwithhold: [\"Observation?category=x\"]");
    std::fs::write(settings.path().join("clients.yaml"), format!("clients:\n{bad}")).unwrap();
    server.signal("-HUP");
    eventually("it is told", || async { server.log().contains("the old registry of clients stays in force") }).await;
    let status = kick_off(&server, lab_token, "", &[("_type", "Observation")]);
    assert_eq!(counts(&manifest(&server, lab_token, &status))["Observation"], 18);
}

// X-09 S-20: a job keeps the rules it was accepted under, through a crash and whatever the registry says then.
#[tokio::test]
async fn a_job_keeps_its_rules_when_it_runs_again() {
    let known = Known::new(&[]).await;
    let lab = Client::new("lab");
    let plain = "scopes: [system/*.rs]\ngroups: all";
    let ruled = [lab.entry(&format!("{plain}\n{RULE}"))];
    let (server, _settings) = serve_pack(&known.database, &known.mappings(), &ruled, tempfile::tempdir().unwrap());
    let token = lab.token(&server, "system/*.rs");
    let admin = known.database.client().await;
    admin.batch_execute("begin; lock table observations in access exclusive mode").await.unwrap();
    let status = kick_off(&server, &token, "", &[("_type", "Observation")]);
    let path = status.strip_prefix(&server.base).unwrap().to_owned();
    let home = server.kill();
    admin.batch_execute("rollback").await.unwrap();
    let (server, _settings) = serve_pack(&known.database, &known.mappings(), &[lab.entry(plain)], home);
    let token = lab.token(&server, "system/*.rs");
    assert_eq!(counts(&manifest(&server, &token, &path))["Observation"], 18);
    assert_eq!(rows(&server, &path, "Observation"), [36, 18, 0, 18]);
    let fresh = kick_off(&server, &token, "", &[("_type", "Observation")]);
    assert_eq!(counts(&manifest(&server, &token, &fresh))["Observation"], 36, "a new one has the rules of now");
}

/// `smelt COMMAND` with a registry; its exit code and what it says.
fn start(command: &[&str], database: &Database, mappings: &Path, entry: &str) -> (Option<i32>, String) {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("clients.yaml");
    std::fs::write(&path, format!("clients:\n{entry}")).unwrap();
    let done = std::process::Command::new(env!("CARGO_BIN_EXE_smelt"))
        .current_dir(home.path())
        .env_clear()
        .args(command)
        .args([
            "--listen",
            "127.0.0.1:0",
            "--database",
            database.dsn(),
            "--clients",
            path.to_str().unwrap(),
            "--mappings",
        ])
        .arg(mappings)
        .output()
        .unwrap();
    (done.status.code(), String::from_utf8(done.stderr).unwrap())
}

// a rule that would withhold nothing is refused before anything is served.
#[tokio::test]
async fn rules_that_cannot_be_honoured_are_refused_at_the_start() {
    let known = Known::new(&[]).await;
    let lab = Client::new("lab");
    let entry = |rest: &str| lab.entry(&format!("scopes: [system/*.rs]\ngroups: all\n{rest}"));
    let (demo, shipped) = (store::demo().await, root().join("mappings/synthea"));
    for command in [&["config", "check"][..], &["serve"]] {
        for (rule, mappings, told) in [
            (
                "\"Observation?category=x\"",
                &known.mappings(),
                "`withhold` of client lab: a filter uses `category` of Observation",
            ),
            ("\"Immunization?status=x\"", &known.mappings(), "a filter uses `status` of Immunization"),
            ("\"*?_tag=x\"", &known.mappings(), "a filter uses `_tag` of *"),
            ("\"Observation?status=s|final\"", &known.mappings(), "a filter names a system for `status`"),
            // It maps `meta`, and no label in it.
            ("\"*?_security=R\"", &shipped, "a filter uses `_security` of *"),
        ] {
            let database = if *mappings == shipped { demo } else { &known.database };
            let (code, said) = start(command, database, mappings, &entry(&format!("withhold: [{rule}]")));
            assert_eq!(code, Some(2), "{command:?} {rule}: {said}");
            assert!(said.contains(told), "{command:?} {rule}: {said}");
        }
    }
    let nobody_asked = start(&["serve", "--auth", "none"], &known.database, &known.mappings(), &entry(RULE));
    assert!(nobody_asked.0 == Some(2) && nobody_asked.1.contains("asks nobody who they are"), "{nobody_asked:?}");
    let (code, said) = start(&["config", "check"], &known.database, &known.mappings(), &entry(RULE));
    assert_eq!(code, Some(0), "{said}");
}
