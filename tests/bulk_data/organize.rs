//! Output organized by patient, as a client sees it.

use serde_json::{Value, json};

use super::demo;

// K-66 M-15 M-16 M-17 F-01 F-20 F-21 S-02
#[tokio::test]
async fn files_of_blocks() {
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("smelt.yaml"), "compression: gzip\nfile-size: 64 KiB\n").unwrap();
    let server = demo(&["--config", home.path().join("smelt.yaml").to_str().unwrap()]).await;
    let asked = "/Patient/$export?organizeOutputBy=Patient&_type=Patient,Observation,Encounter";
    let manifest = server.manifest(&server.kick_off(asked));
    assert_eq!(manifest["outputOrganizedBy"], "Patient");
    assert!(manifest.get("outputOrganizedByDetail").is_none());
    assert!(manifest["request"].as_str().unwrap().ends_with(asked));
    let output = manifest["output"].as_array().unwrap();
    let mut goes_on = None;
    let mut last = String::new();
    let mut continued = 0;
    for item in output {
        assert_eq!(item.get("type"), None, "{item}");
        let url = item["url"].as_str().unwrap();
        if let Some(expected) = goes_on.take() {
            assert_eq!(Some(url), expected, "the file that goes on says where");
        }
        let answer = server.get(url);
        assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/fhir+ndjson")));
        let text = answer.text();
        assert_eq!(text.len() as u64, item["fileSize"].as_u64().unwrap());
        let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let headers = lines.iter().filter(|line| line["resourceType"] == "Parameters").count();
        assert_eq!(lines.len() - headers, item["count"].as_u64().unwrap() as usize);
        let first = &lines[0];
        let patient = first["parameter"][0]["valueReference"]["reference"].as_str().unwrap();
        let header = json!({"resourceType": "Parameters",
                            "parameter": [{"name": "header", "valueReference": {"reference": patient}}]});
        assert_eq!(*first, header);
        if continued > 0 && last == patient {
            assert_ne!(lines[1]["resourceType"], "Patient", "a block that goes on");
        }
        last = lines
            .iter()
            .filter_map(|line| line["parameter"][0]["valueReference"]["reference"].as_str())
            .next_back()
            .unwrap()
            .to_owned();
        goes_on = item.get("continuesInFile").map(|url| url.as_str());
        continued += u32::from(goes_on.is_some());
    }
    assert!(continued > 0 && goes_on.is_none(), "{continued} of {}", output.len());

    // By POST, and by the strict service.
    let body = json!({"resourceType": "Parameters", "parameter": [
        {"name": "organizeOutputBy", "valueString": "Patient"}, {"name": "_type", "valueString": "Patient"}]});
    for url in ["/$export", "/Group/diabetes/$export-v4"] {
        let headers = [("Content-Type", "application/fhir+json")];
        let status = server.send("POST", url, &headers, body.to_string().as_bytes()).accepted();
        let manifest = server.manifest(&status);
        assert_eq!(manifest["outputOrganizedBy"], "Patient", "{url}");
        assert_eq!(manifest["output"][0].get("type"), None, "{url}");
    }
}

// K-66 K-09 K-33 K-43
#[tokio::test]
async fn other_values_are_refused_or_told() {
    let server = demo(&[]).await;
    for refused in ["organizeOutputBy=Group", "organizeOutputBy=Patient&_type=Organization"] {
        assert_eq!(server.get(&format!("/$export?{refused}")).status, 400, "{refused}");
    }
    let lenient = [("Prefer", "respond-async, handling=lenient")];
    let status = server.get_with("/$export?organizeOutputBy=Group&_type=Patient", &lenient).accepted();
    let manifest = server.manifest(&status);
    assert_eq!((manifest.get("outputOrganizedBy"), &manifest["output"][0]["type"]), (None, &json!("Patient")));
    let told = server.get(manifest["error"][0]["url"].as_str().unwrap()).text();
    assert!(told.contains("organizeOutputBy"), "{told}");
}
