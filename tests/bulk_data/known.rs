//! What belongs to whom, on rows that are counted by heart.

use serde_json::{Value, json};

use super::{Server, count, types};
use crate::support::known::Known;

pub(super) async fn serve(more: &[(&str, &str)]) -> (Known, Server) {
    let known = Known::new(more).await;
    let mappings = known.mappings();
    let first = ["--database", known.database.dsn(), "--auth", "none", "--mappings", mappings.to_str().unwrap()];
    let server = Server::start(&first, &[], tempfile::tempdir().unwrap());
    (known, server)
}

/// The lines of the files of one type, or of messages.
pub(super) fn lines(server: &Server, items: &Value, name: &str) -> Vec<Value> {
    let of_type = items.as_array().unwrap().iter().filter(|item| item["type"] == name);
    let texts: Vec<String> = of_type.map(|item| server.get(item["url"].as_str().unwrap()).text()).collect();
    texts.iter().flat_map(|text| text.lines()).map(|line| serde_json::from_str(line).unwrap()).collect()
}

// K-54: Provenance comes along with what it is about, unless `_type` leaves it out.
#[tokio::test]
async fn provenance_comes_along() {
    let (_known, server) = serve(&[]).await;
    for (url, provenances) in [
        ("/$export", 37),
        ("/$export?_type=Provenance", 37),
        ("/$export?_type=Patient,Observation", 0),
        ("/Patient/$export", 36),
        ("/Patient/$export?_type=Observation,Provenance", 36),
        ("/Patient/$export?_type=Patient,Observation", 0),
        ("/Group/g/$export", 24),
        ("/Group/g/$export?_type=Patient&_type=Provenance", 24),
        ("/Group/g/$export?_type=Patient", 0),
    ] {
        let manifest = server.manifest(&server.kick_off(url));
        assert_eq!(count(&manifest, "Provenance"), provenances, "{url}");
        let targets = lines(&server, &manifest["output"], "Provenance");
        let targets: Vec<&str> =
            targets.iter().map(|record| record["target"][0]["reference"].as_str().unwrap()).collect();
        if types(&manifest).iter().any(|name| name == "Observation") {
            let observations = lines(&server, &manifest["output"], "Observation");
            let mut about: Vec<&str> =
                targets.iter().filter_map(|target| target.strip_prefix("Observation/")).collect();
            let mut exported: Vec<&str> = observations.iter().map(|one| one["id"].as_str().unwrap()).collect();
            about.sort_unstable();
            exported.sort_unstable();
            assert!(provenances == 0 || about == exported, "{url}: one each");
        }
        let about_practitioner = targets.iter().filter(|target| target.starts_with("Practitioner/")).count();
        assert_eq!(about_practitioner, usize::from(provenances == 37), "{url}");
    }
    let parameters = json!({"resourceType": "Parameters", "parameter": [
        {"name": "patient", "valueReference": {"reference": "Patient/a"}}]});
    let headers = [("Content-Type", "application/fhir+json")];
    let answer = server.send("POST", "/Patient/$export", &headers, parameters.to_string().as_bytes());
    let manifest = server.manifest(&answer.accepted());
    assert_eq!((count(&manifest, "Observation"), count(&manifest, "Provenance")), (12, 12));
}

/// A type of the patient compartment, and nothing in its rows says to whom they belong (M701).
const NOTES: (&str, &str) = (
    "document-reference",
    "table: notes\nkey: id\nresource:\n  resourceType: DocumentReference\n  id: \"n-{{id}}\"\n  status: current\n  \
     content:\n    - attachment: {title: $title}\n",
);

/// What belongs to nobody.
const BINARY: (&str, &str) =
    ("binary", "table: notes\nkey: id\nresource: {resourceType: Binary, id: \"b-{{id}}\", contentType: text/plain}\n");

// K-24 K-41 K-45 X-07 O-04: what cannot be restricted is left out and told, and refused to those who ask for it by name.
#[tokio::test]
async fn a_type_of_nobody_knows_whom_is_never_exported_by_patients() {
    let (known, server) = serve(&[NOTES, BINARY]).await;
    let manifest = server.manifest(&server.kick_off("/$export"));
    assert_eq!(
        (count(&manifest, "DocumentReference"), count(&manifest, "Binary")),
        (1, 1),
        "the system export has them"
    );
    for url in ["/Patient/$export", "/Group/g/$export"] {
        let manifest = server.manifest(&server.kick_off(url));
        assert_eq!(types(&manifest), ["Patient", "Condition", "Observation", "Provenance"], "{url}");
        let told = lines(&server, &manifest["error"], "OperationOutcome");
        let told: Vec<&Value> = told.iter().filter(|one| one.to_string().contains("DocumentReference")).collect();
        assert_eq!(told.len(), 1, "{url}");
        assert_eq!(told[0]["issue"][0]["severity"], "warning");
        assert_eq!(told[0]["issue"][0]["code"], "not-supported");
        let named = server.get(&format!("{url}?_type=Patient,DocumentReference"));
        assert_eq!((named.status, named.issue().as_str()), (400, "not-supported"), "{url}");
    }
    // By hand it is the same.
    let out = tempfile::tempdir().unwrap();
    let export = |args: &[&str]| {
        let done = std::process::Command::new(env!("CARGO_BIN_EXE_smelt"))
            .env_clear()
            .args(["export", "--patient", "a", "--database", known.database.dsn(), "--mappings"])
            .arg(known.mappings())
            .arg("--out")
            .arg(out.path().join(args.len().to_string()))
            .args(args)
            .output()
            .unwrap();
        (done.status.code(), String::from_utf8(done.stderr).unwrap())
    };
    assert_eq!(export(&[]).0, Some(0));
    let messages = std::fs::read_to_string(out.path().join("0/OperationOutcome.0001.ndjson")).unwrap();
    assert!(messages.contains("DocumentReference of mapping document-reference was not exported"), "{messages}");
    let (code, said) = export(&["--type", "DocumentReference"]);
    assert_ne!(code, Some(0), "{said}");
    assert!(said.contains("cannot be restricted to patients"), "{said}");
}

// M-03 K-50 X-06: patients in the query of a POST are honoured, and kept nowhere.
#[tokio::test]
async fn patients_in_a_url_are_not_repeated() {
    let (_known, server) = serve(&[]).await;
    // The ids of the store are single letters, which stand everywhere: the names of the parameter do not.
    let post = |url: &str| server.manifest(&server.send("POST", url, &[], &[]).accepted());
    for (query, kept) in [
        ("?patient=Patient/a", ""),
        ("?_type=Patient&patient=Patient%2Fa&_since=2026-01-01", "?_type=Patient&_since=2026-01-01"),
        ("?pa%74ient=a&_type=Patient", "?_type=Patient"),
        ("?_type=Patient,Observation&patient=a&patient=b", "?_type=Patient,Observation"),
    ] {
        let manifest = post(&format!("/Patient/$export{query}"));
        assert_eq!(manifest["request"], format!("{}/Patient/$export{kept}", server.base), "{query}");
        assert_eq!(count(&manifest, "Patient"), 1 + u64::from(query.contains("patient=b")), "{query}");
    }
    assert_eq!(server.get("/Patient/$export?patient=Patient/a").status, 400);
    let trail: String = server.audit().iter().map(ToString::to_string).collect();
    for record in [server.log(), trail] {
        assert!(!record.contains("Patient/a") && !record.contains("patient=") && !record.contains("%2Fa"), "{record}");
    }
}

// K-19 K-49 K-50 M-05: of a group its members, of those the patients that are named.
#[tokio::test]
async fn patients_of_another_group_are_as_unknown_ones() {
    let (_known, server) = serve(&[]).await;
    let ask = |group: &str, patients: &[&str], prefer: &str| {
        let entries: Vec<Value> =
            patients.iter().map(|id| json!({"name": "patient", "valueString": format!("Patient/{id}")})).collect();
        let body = json!({"resourceType": "Parameters", "parameter": entries}).to_string();
        let headers = [("Content-Type", "application/fhir+json"), ("Prefer", prefer)];
        server.send("POST", &format!("/Group/{group}/$export"), &headers, body.as_bytes())
    };
    let manifest = server.manifest(&ask("g", &["a"], "respond-async").accepted());
    assert_eq!((count(&manifest, "Patient"), count(&manifest, "Condition")), (1, 3));
    for (patients, named) in
        [(&["a", "c"][..], "Patient/c"), (&["c"], "Patient/c"), (&["a", "nobody"], "Patient/nobody")]
    {
        let refused = ask("g", patients, "respond-async");
        assert_eq!((refused.status, refused.issue().as_str()), (400, "not-found"), "{patients:?}");
        assert!(refused.text().contains(named) && !refused.text().contains("Patient/a"), "{}", refused.text());
    }
    let manifest = server.manifest(&ask("g", &["a", "c", "nobody"], "handling=lenient").accepted());
    assert_eq!((count(&manifest, "Patient"), count(&manifest, "Condition")), (1, 3));
    let told: Vec<String> =
        lines(&server, &manifest["error"], "OperationOutcome").iter().map(ToString::to_string).collect();
    let told: Vec<&String> = told.iter().filter(|one| one.contains("\"warning\"")).collect();
    assert!(told.len() == 1 && told[0].contains("Patient/c, Patient/nobody"), "{told:?}");
    assert_eq!(ask("g", &["c"], "handling=lenient").status, 400, "nothing would be left");
    let manifest = server.manifest(&server.kick_off("/Group/empty/$export"));
    assert_eq!(manifest["output"], json!([]));
}

/// Rows that stay when they are deleted.
const PLACES: (&str, &str) = (
    "location",
    "table: places\nkey: id\nupdated: updated_at\ndeleted: deleted_at\nresource: {resourceType: Location, id: \"l-{{id}}\"}\n",
);

// K-35 M-10 M-11 M-12 M-14 M-20 T-15 T-24 T-27: deletions are listed, can be fetched, and are what readers expect.
#[tokio::test]
async fn deletions_are_files_too() {
    let (_known, server) = serve(&[PLACES]).await;
    let whole = server.manifest(&server.kick_off("/$export?_type=Location"));
    assert_eq!((count(&whole, "Location"), whole.get("deleted")), (2, None), "without `_since` nobody asks for them");
    let asked = "/$export?_type=Location,Patient&_since=2026-02-01T00:00:00Z";
    let manifest = server.manifest(&server.kick_off(asked));
    assert_eq!(types(&manifest), ["Patient", "Location"]);
    let written: Vec<String> = lines(&server, &manifest["output"], "Location")
        .iter()
        .map(|place| format!("Location/{}", place["id"].as_str().unwrap()))
        .collect();
    assert_eq!(written, ["Location/l-2"]);
    let item = &manifest["deleted"][0];
    assert_eq!((&item["type"], &item["count"]), (&json!("Bundle"), &json!(1)));
    let file = server.get(item["url"].as_str().unwrap());
    assert_eq!((file.status, file.header("content-type")), (200, Some("application/fhir+ndjson")));
    assert_eq!(file.text().lines().count(), 1);
    let bundle: Value = serde_json::from_str(&file.text()).unwrap();
    assert_eq!((&bundle["resourceType"], &bundle["type"]), (&json!("Bundle"), &json!("transaction")));
    assert_eq!(bundle["entry"], json!([{"request": {"method": "DELETE", "url": "Location/l-3"}}]));
    // Nothing was deleted since, and that was looked at.
    let later = server.manifest(&server.kick_off("/$export?_type=Location&_since=2026-03-01"));
    assert_eq!((&later["output"], &later["deleted"]), (&json!([]), &json!([])));
    let parameters = json!({"resourceType": "Parameters", "parameter": [
        {"name": "_type", "valueString": "Location"}, {"name": "_since", "valueInstant": "2026-02-01T00:00:00Z"}]});
    let headers = [("Content-Type", "application/fhir+json")];
    let answer = server.send("POST", "/$export-v4", &headers, parameters.to_string().as_bytes());
    let strict = server.manifest(&answer.accepted());
    assert_eq!((strict["deleted"][0].get("type"), &strict["deleted"][0]["count"]), (None, &json!(1)));
    assert_eq!((strict.get("request"), strict.get("error")), (None, None));
}
