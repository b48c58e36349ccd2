//! Kick-off requests over HTTP.

use serde_json::json;

use super::{count, demo, types};

// K-01 K-02 K-03 K-05 K-11 K-12 K-20 K-30 M-03 M-04 M-08 T-31 T-34
#[tokio::test]
async fn every_level_by_get_and_by_post() {
    let server = demo(&[]).await;
    // What strict servers ask for, and a token that nobody here wants.
    let headers =
        [("Accept", "application/fhir+json"), ("Prefer", "respond-async"), ("Authorization", "Bearer whatever")];
    let patients = |url: &str| {
        let status = server.get_with(url, &headers).accepted();
        let manifest = server.ended(&status, &headers).json();
        let file = manifest["output"][0]["url"].as_str().unwrap();
        assert_eq!(server.get_with(file, &headers).status, 200);
        assert_eq!(manifest["request"], format!("{}{}", server.base, url.replace("%24", "$").replace("/?", "?")));
        assert_eq!(manifest["requiresAccessToken"], false);
        let url = manifest["output"][0]["url"].as_str().unwrap();
        assert!(url.starts_with(&format!("{}/bulk-files/", server.base)) && url.ends_with(".ndjson"), "{url}");
        (types(&manifest), count(&manifest, "Patient"))
    };
    let only = || vec!["Patient".to_owned()];
    assert_eq!(patients("/$export?_type=Patient"), (only(), 295));
    assert_eq!(patients("/%24export?_type=Patient"), (only(), 295));
    assert_eq!(patients("/Patient/$export?_type=Patient,Patient"), (only(), 295));
    let (found, members) = patients("/Group/diabetes/$export?_type=Patient&_type=Condition");
    assert_eq!(found, ["Patient", "Condition"]);
    assert!(members > 0 && members < 295, "{members}");

    let parameters = json!({"resourceType": "Parameters", "parameter": [{"name": "_type", "valueString": "Patient"}]});
    for (url, body) in [
        ("/$export", parameters.to_string()),
        ("/Patient/$export/", parameters.to_string()),
        ("/$export-v4", parameters.to_string()),
        ("/$export?_type=Patient", String::new()),
    ] {
        let headers = [("Content-Type", "application/fhir+json"), ("Prefer", "respond-async")];
        let answer = server.send("POST", url, &headers, body.as_bytes());
        assert!(answer.body.is_empty());
        assert_eq!(answer.header("preference-applied"), None);
        let manifest = server.manifest(&answer.accepted());
        assert_eq!((types(&manifest), count(&manifest, "Patient")), (only(), 295), "{url}");
    }
}

// K-11 T-35 X-10
#[tokio::test]
async fn no_host_of_a_request_gets_into_an_answer() {
    let server = demo(&["--base-url", "https://ehr.example.org/r4"]).await;
    let headers = [("Host", "evil.example"), ("X-Forwarded-Host", "evil.example"), ("Forwarded", "host=evil.example")];
    let answer = server.raw("GET", "/r4/$export?_type=Patient", &headers, &[]);
    let location = answer.accepted();
    assert!(location.starts_with("https://ehr.example.org/r4/bulk-status/"), "{location}");
    assert_eq!(answer.header("strict-transport-security"), Some("max-age=31536000"));
    let path = location.strip_prefix("https://ehr.example.org").unwrap();
    let manifest = loop {
        let answer = server.raw("GET", path, &headers, &[]);
        if answer.status == 200 {
            break answer.text();
        }
    };
    assert!(manifest.contains("https://ehr.example.org/r4/bulk-files/") && !manifest.contains("evil"), "{manifest}");
}

// K-04 K-06 K-13 K-19 K-20 K-22 K-33 K-42 O-03 T-36 T-37
#[tokio::test]
async fn what_is_refused_is_refused_at_once() {
    let server = demo(&[]).await;
    let json = ("Content-Type", "application/fhir+json");
    let body = |text: &'static str| text.as_bytes();
    for (method, url, header, sent, status, code) in [
        ("GET", "/$export?_type=Nope", None, body(""), 400, "not-supported"),
        ("GET", "/$export?_foo=1", None, body(""), 400, "not-supported"),
        ("GET", "/$export?_elements=nope", None, body(""), 400, "value"),
        ("GET", "/$export?includeAssociatedData=x", None, body(""), 400, "not-supported"),
        ("GET", "/$export?_since=never", None, body(""), 400, "value"),
        ("GET", "/Group/nope/$export", None, body(""), 404, "not-found"),
        ("GET", "/Group/%2e%2e/$export", None, body(""), 404, "not-found"),
        ("GET", "/$export", Some(("Accept", "application/fhir+xml")), body(""), 406, "not-supported"),
        ("GET", "/$export-v4", None, body(""), 405, "not-supported"),
        ("PUT", "/$export", None, body(""), 405, "not-supported"),
        ("DELETE", "/$export", None, body(""), 405, "not-supported"),
        ("POST", "/$export", Some(("Content-Type", "text/xml")), body("<x/>"), 415, "not-supported"),
        ("POST", "/$export", Some(("Content-Encoding", "gzip")), body("x"), 415, "not-supported"),
        ("GET", "/nothing", None, body(""), 404, "not-found"),
        ("GET", "/Observation/$export", None, body(""), 404, "not-found"),
    ] {
        let answer = server.send(method, url, &header.into_iter().collect::<Vec<_>>(), sent);
        assert_eq!((answer.status, answer.issue().as_str()), (status, code), "{method} {url}");
        assert_eq!(answer.header("allow").is_some(), status == 405, "{method} {url}");
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    }
    for text in ["{", "[]", "{\"resourceType\":\"Patient\"}", "nonsense"] {
        let answer = server.send("POST", "/$export", &[json], text.as_bytes());
        assert_eq!(answer.status, 400, "{text}");
        answer.issue();
    }
    let trail = server.audit();
    assert!(trail.iter().any(|line| line["outcomeDesc"] == "404" && line["subtype"][1]["code"] == "kick-off"));
}

// K-21 K-51 O-03
#[tokio::test]
async fn large_requests() {
    let server = demo(&["--max-body", "2MiB"]).await;
    let post =
        |body: &str| server.send("POST", "/Patient/$export", &[("Content-Type", "application/json")], body.as_bytes());
    let entry = |n: usize| format!("{{\"name\":\"patient\",\"valueReference\":{{\"reference\":\"Patient/p-{n}\"}}}}");
    let many: Vec<String> = (0..20_000).map(entry).collect();
    let answer = post(&format!("{{\"resourceType\":\"Parameters\",\"parameter\":[{}]}}", many.join(",")));
    // All of it was read, and nobody of that name is here.
    assert_eq!((answer.status, answer.issue().as_str()), (400, "not-found"));
    assert!(answer.text().contains("Patient/p-0, Patient/p-1") && answer.text().contains("and 19980 more"));
    let answer = post(&format!("{{\"x\":\"{}\"}}", "y".repeat(3 << 20)));
    assert_eq!((answer.status, answer.issue().as_str()), (413, "too-long"));
    // So long as nobody says how long it is.
    let chunk = format!("{:x}\r\n{}\r\n", 1 << 20, " ".repeat(1 << 20));
    let head = format!(
        "POST {}/$export HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n",
        server.prefix()
    );
    let answer = server.bytes(format!("{head}{chunk}{chunk}{chunk}0\r\n\r\n").as_bytes(), false);
    assert_eq!((answer.status, answer.issue().as_str()), (413, "too-long"));
    let answer = server.get(&format!("/$export?_type=Patient,{}", "Patient,".repeat(2_500)));
    assert_eq!(answer.status, 202, "20 kB of URL are read");
    let answer = server.get(&format!("/$export?_type={}", "Patient,".repeat(5_000)));
    assert_eq!((answer.status, answer.issue().as_str()), (414, "too-long"));
}

// K-07 K-08
#[tokio::test]
async fn prefer_may_be_required() {
    let server = demo(&["--require-prefer", "true"]).await;
    let kick_off = |headers: &[(&str, &str)]| server.get_with("/$export?_type=Patient", headers);
    let refused = kick_off(&[]);
    assert_eq!((refused.status, refused.issue().as_str()), (400, "required"));
    assert_eq!(kick_off(&[("Prefer", "handling=lenient")]).status, 400);
    kick_off(&[("Prefer", "handling=lenient"), ("Prefer", "Respond-Async")]).accepted();
}

// K-09 K-10 K-50 O-04 T-29
#[tokio::test]
async fn a_lenient_client_is_told_in_the_message_file() {
    let server = demo(&[]).await;
    let headers = [("Prefer", "respond-async, handling=lenient, separate-export-status")];
    let answer = server.get_with("/$export?_type=Patient,Nope&_foo=1", &headers);
    assert_eq!(answer.header("preference-applied"), Some("respond-async, separate-export-status"));
    let ended = server.ended(&answer.accepted(), &[]);
    assert_eq!((ended.status, ended.header("x-export-status")), (200, Some("200 OK")));
    let manifest = ended.json();
    assert_eq!(manifest["error"], manifest["outcome"]);
    let messages = server.get(manifest["error"][0]["url"].as_str().unwrap());
    let lines: Vec<serde_json::Value> =
        messages.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(manifest["error"][0]["count"].as_u64(), Some(lines.len() as u64));
    assert!(lines.iter().all(|line| line["issue"][0]["severity"] == "warning"), "{lines:?}");
    for name in ["Nope", "_foo"] {
        assert!(lines.iter().any(|line| line.to_string().contains(name)), "{name}: {lines:?}");
    }

    let one = server.manifest(&server.kick_off("/$export?_type=Patient"));
    let patient = server.get(&super::url(&one, "Patient")).text();
    let id = serde_json::from_str::<serde_json::Value>(patient.lines().next().unwrap()).unwrap()["id"].clone();
    let body = json!({"resourceType": "Parameters", "parameter": [
        {"name": "patient", "valueReference": {"reference": format!("Patient/{}", id.as_str().unwrap())}},
        {"name": "patient", "valueReference": {"reference": "Patient/nobody"}},
        {"name": "_type", "valueString": "Patient"}]});
    let headers = [("Prefer", "handling=lenient"), ("Content-Type", "application/fhir+json")];
    let answer = server.send("POST", "/Patient/$export", &headers, body.to_string().as_bytes());
    let manifest = server.manifest(&answer.accepted());
    assert_eq!(count(&manifest, "Patient"), 1);
    assert!(server.get(manifest["error"][0]["url"].as_str().unwrap()).text().contains("Patient/nobody"));
}
