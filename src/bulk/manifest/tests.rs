//! Manifests as a directory and as HTTP tell them.

use serde_json::{Value, json};

use super::*;

fn file(resource_type: &str, url: &str) -> ManifestFile {
    let stored = Stored { stored_size: 7, sha256: Some("ab".to_owned()), content_encoding: Some("gzip".to_owned()) };
    let (resource_type, url) = (resource_type.to_owned(), url.to_owned());
    ManifestFile { resource_type, url, continues_in_file: None, count: 1, file_size: 20, stored }
}

fn manifest() -> Manifest {
    Manifest {
        transaction_time: "2026-02-02T09:12:40.118Z".to_owned(),
        request: "http://localhost/$export".to_owned(),
        requires_access_token: false,
        output_organized_by: None,
        output: Vec::new(),
        deleted: None,
        outcome: Vec::new(),
        extension: ManifestExtension {
            software: "smelt 0.1.0".to_owned(),
            pack: "synthea".to_owned(),
            pack_digest: "cd".to_owned(),
        },
    }
}

fn json(manifest: &Manifest) -> Value {
    serde_json::from_slice(&manifest.to_file_json().unwrap()).unwrap()
}

#[test]
fn an_empty_export_still_has_output_and_error() {
    let json = json(&manifest());
    assert_eq!((&json["output"], &json["error"], &json["outcome"]), (&json!([]), &json!([]), &json!([])));
    assert_eq!(json.get("deleted"), None, "deletions were not computed");
    assert_eq!(json["requiresAccessToken"], json!(false));
}

#[test]
fn deletions_computed_and_none_found_are_an_empty_list() {
    assert_eq!(json(&Manifest { deleted: Some(Vec::new()), ..manifest() })["deleted"], json!([]));
}

#[test]
fn items_carry_what_a_client_checks() {
    let outcome = vec![file("OperationOutcome", "OperationOutcome.001.ndjson.gz")];
    let json = json(&Manifest { output: vec![file("Patient", "Patient.001.ndjson.gz")], outcome, ..manifest() });
    assert_eq!(
        json["output"],
        json!([{
            "type": "Patient", "url": "Patient.001.ndjson.gz", "count": 1, "fileSize": 20,
            "extension": {"storedSize": 7, "sha256": "ab", "contentEncoding": "gzip"}
        }])
    );
    assert_eq!(json["error"], json["outcome"]);
    assert_eq!(json["error"][0]["type"], json!("OperationOutcome"));
}

/// What `GET [status]` answers.
fn public(manifest: &Manifest, dialect: Dialect, file_base: &str) -> Value {
    let form = Form { dialect, file_base, requires_access_token: true, next: None };
    serde_json::from_slice(&manifest.to_json(&form).unwrap()).unwrap()
}

fn whole() -> Manifest {
    let mut plain = file("Bundle", "deleted.001.ndjson");
    plain.stored.content_encoding = None;
    let mut zstd = file("OperationOutcome", "OperationOutcome.001.ndjson.zst");
    zstd.stored.content_encoding = Some("zstd".to_owned());
    let output = vec![file("Patient", "Patient.001.ndjson.gz")];
    Manifest { output, deleted: Some(vec![plain]), outcome: vec![zstd], ..manifest() }
}

// M-03 M-04 M-07 M-08 M-09 M-13 M-17 M-18 T-02 T-13 T-24
#[test]
fn the_compatible_service_has_what_every_reader_needs() {
    for base in ["https://h/r4/bulk-files/j", "https://h/r4/bulk-files/j/"] {
        let message = json!([{
            "type": "OperationOutcome", "url": "https://h/r4/bulk-files/j/OperationOutcome.001.ndjson",
            "count": 1, "fileSize": 20
        }]);
        let want = json!({
            "manifestType": MANIFEST_TYPE,
            "transactionTime": "2026-02-02T09:12:40.118Z",
            "request": "http://localhost/$export",
            "requiresAccessToken": true,
            "outputFormat": "application/fhir+ndjson",
            "output": [{
                "type": "Patient", "url": "https://h/r4/bulk-files/j/Patient.001.ndjson", "count": 1, "fileSize": 20
            }],
            "deleted": [{
                "type": "Bundle", "url": "https://h/r4/bulk-files/j/deleted.001.ndjson", "count": 1, "fileSize": 20
            }],
            "error": message,
            "outcome": message,
        });
        assert_eq!(public(&whole(), Dialect::Compatible, base), want);
    }
}

// M-05 M-11 M-13 T-02
#[test]
fn an_empty_export_keeps_its_keys() {
    let empty = public(&manifest(), Dialect::Compatible, "https://h");
    assert_eq!((&empty["output"], &empty["error"], &empty["outcome"]), (&json!([]), &json!([]), &json!([])));
    assert_eq!(empty.get("deleted"), None, "deletions were not computed");
    let none = Manifest { deleted: Some(Vec::new()), ..manifest() };
    assert_eq!(public(&none, Dialect::Compatible, "https://h")["deleted"], json!([]));
}

// S-15 T-04
#[test]
fn a_page_says_where_the_next_one_is() {
    for dialect in [Dialect::Compatible, Dialect::V4] {
        let next = Some("https://h/r4/bulk-status/j/page/2");
        let form = Form { dialect, file_base: "", requires_access_token: true, next };
        let page: Value = serde_json::from_slice(&manifest().to_json(&form).unwrap()).unwrap();
        assert_eq!(page["link"], json!([{"relation": "next", "url": "https://h/r4/bulk-status/j/page/2"}]));
        assert_eq!(public(&manifest(), dialect, "").get("link"), None);
    }
}

// M-14
#[test]
fn the_strict_service_has_what_version_4_has() {
    let strict = public(&whole(), Dialect::V4, "");
    assert_eq!((strict.get("request"), strict.get("error")), (None, None));
    assert_eq!(strict["output"][0]["type"], "Patient");
    assert_eq!(strict["deleted"], json!([{"url": "deleted.001.ndjson", "count": 1, "fileSize": 20}]));
    assert_eq!(strict["outcome"], json!([{"url": "OperationOutcome.001.ndjson", "count": 1, "fileSize": 20}]));
}

// M-15 F-21
#[test]
fn files_of_blocks_have_no_type_and_say_where_a_block_goes_on() {
    let mut first = file("", "blocks.0001.ndjson.gz");
    first.continues_in_file = Some("blocks.0002.ndjson.gz".to_owned());
    let output = vec![first, file("", "blocks.0002.ndjson.gz")];
    let organized = Manifest { output_organized_by: Some("Patient".to_owned()), output, ..manifest() };
    let name = |number: u32, ending: &str| format!("blocks.000{number}.ndjson{ending}");
    for dialect in [Dialect::Compatible, Dialect::V4] {
        let json = public(&organized, dialect, "https://h/j");
        assert_eq!(json["outputOrganizedBy"], "Patient");
        let of = |number: u32| format!("https://h/j/{}", name(number, ""));
        assert_eq!(
            json["output"],
            json!([
                {"url": of(1), "continuesInFile": of(2), "count": 1, "fileSize": 20},
                {"url": of(2), "count": 1, "fileSize": 20}
            ])
        );
    }
    let file = json(&organized);
    assert_eq!((&file["outputOrganizedBy"], &file["output"][1].get("type")), (&json!("Patient"), &None));
    assert_eq!(file["output"][0]["continuesInFile"], name(2, ".gz"));
    // A record of a version that knew neither.
    let mut old = serde_json::to_value(manifest()).unwrap();
    old.as_object_mut().unwrap().remove("output_organized_by");
    assert_eq!(serde_json::from_value::<Manifest>(old).unwrap(), manifest());
}

// M-19
#[test]
fn patients_and_encounters_come_first_and_files_count_up() {
    let given = [
        ("Observation", "Observation.1000.ndjson"),
        ("Observation", "Observation.999.ndjson"),
        ("Condition", "Condition.001.ndjson"),
        ("Encounter", "Encounter.001.ndjson"),
        ("Patient", "Patient.002.ndjson"),
        ("Patient", "Patient.001.ndjson"),
    ];
    let output = given.iter().map(|(name, url)| file(name, url)).collect();
    let sorted = Manifest { output, ..manifest() }.sorted();
    let urls: Vec<&str> = sorted.output.iter().map(|file| file.url.as_str()).collect();
    assert_eq!(
        urls,
        [
            "Patient.001.ndjson",
            "Patient.002.ndjson",
            "Encounter.001.ndjson",
            "Condition.001.ndjson",
            "Observation.999.ndjson",
            "Observation.1000.ndjson"
        ]
    );
}
