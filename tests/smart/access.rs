//! What a token opens, and for whom.

use std::io::{Read as _, Write as _};
use std::time::Instant;

use serde_json::{Value, json};

use super::{Client, serve};
use crate::support::eventually;
use crate::support::server::Server;

/// A kick-off that is accepted, and its manifest.
fn export(server: &Server, url: &str, token: &str) -> (String, Value) {
    let headers = [("Authorization", token)];
    let status = server.get_with(url, &headers).accepted();
    let answer = server.ended(&status, &headers);
    assert_eq!(answer.status, 200, "{}", answer.text());
    (status, answer.json())
}

fn types(manifest: &Value) -> Vec<&str> {
    let mut types: Vec<&str> =
        manifest["output"].as_array().unwrap().iter().map(|item| item["type"].as_str().unwrap()).collect();
    types.dedup();
    types
}

// A-26 S-11 X-02 F-07 O-03 T-41
#[tokio::test]
async fn nothing_is_open_without_a_token() {
    let lab = Client::new("lab");
    let (server, _settings) = serve(&[lab.entry("scopes: [system/*.rs]\ngroups: all")], &[]).await;
    let token = lab.token(&server, "system/*.rs");
    let (status, manifest) = export(&server, "/$export?_type=Patient", &token);
    assert_eq!(manifest["requiresAccessToken"], true);
    let file = manifest["output"][0]["url"].as_str().unwrap();
    for (method, url) in [
        ("GET", "/$export"),
        ("POST", "/Patient/$export"),
        ("GET", "/Group/diabetes/$export"),
        ("POST", "/$export-v4"),
        ("GET", "/Group"),
        ("GET", "/Group/diabetes"),
        ("GET", &status),
        ("DELETE", &status),
        ("GET", file),
        ("HEAD", file),
    ] {
        for wrong in ["", "Bearer x", "Basic eDp5", "Bearer", "Bearer a.b.c", &format!("{token}x")] {
            let headers = [("Authorization", wrong)];
            let answer = server.send(method, url, if wrong.is_empty() { &[] } else { &headers }, &[]);
            assert_eq!(answer.status, 401, "{method} {url} {wrong}");
            assert!(answer.header("www-authenticate").is_some_and(|value| value.starts_with("Bearer")));
            if method != "HEAD" {
                assert_eq!(answer.issue(), "login");
            }
        }
    }
    for url in ["/metadata", "/.well-known/smart-configuration"] {
        assert_eq!(server.get(url).status, 200, "{url}");
    }
    let twice = [("Authorization", token.as_str()), ("Authorization", "Bearer x")];
    assert_eq!(server.get_with("/$export", &twice).status, 400);
    assert_eq!(server.get_with(file, &[("Authorization", &token)]).status, 200);
    assert_eq!(server.send("DELETE", &status, &[("Authorization", &token)], &[]).status, 202);
}

// A-20 A-28 O-03 K-15 K-16 K-18 K-41 O-04 T-38
#[tokio::test]
async fn scopes_limit_what_is_asked_for_and_what_is_written() {
    let lab = Client::new("lab");
    let entries = [lab.entry("scopes: [system/Patient.rs, system/Condition.rs]\ngroups: all")];
    let (server, _settings) = serve(&entries, &[]).await;
    let token = lab.token(&server, "system/*.rs");
    let (status, manifest) = export(&server, "/$export", &token);
    assert_eq!(types(&manifest), ["Patient", "Condition"]);
    let messages = server.get_with(manifest["error"][0]["url"].as_str().unwrap(), &[("Authorization", &token)]).json();
    let issue = &messages["issue"][0];
    assert_eq!((&issue["severity"], &issue["code"]), (&json!("information"), &json!("suppressed")));
    let text = issue["details"]["text"].as_str().unwrap();
    assert!(text.contains("Observation") && !text.contains("Condition"), "{text}");
    let refused = |url: &str, token: &str| {
        let answer = server.get_with(url, &[("Authorization", token)]);
        assert_eq!((answer.status, answer.issue().as_str()), (403, "forbidden"), "{url}");
        assert!(answer.header("www-authenticate").unwrap().contains("insufficient_scope"));
    };
    refused("/$export?_type=Observation", &token);
    refused("/$export?_type=Patient,Observation", &token);
    refused("/Group", &token);
    // A token of the same client that allows less does not open what it does not allow.
    let narrow = lab.token(&server, "system/Condition.rs");
    refused(&status, &narrow);
    let file = |name: &str| {
        let items = manifest["output"].as_array().unwrap();
        items.iter().find(|item| item["type"] == name).unwrap()["url"].as_str().unwrap().to_owned()
    };
    refused(&file("Patient"), &narrow);
    assert_eq!(server.get_with(&file("Condition"), &[("Authorization", &narrow)]).status, 200);
    // Blocks hold every type of the export.
    let (_, blocks) = export(&server, "/$export?organizeOutputBy=Patient", &token);
    let url = blocks["output"][0]["url"].as_str().unwrap();
    refused(url, &narrow);
    refused(url, &lab.token(&server, "system/Patient.rs"));
    assert_eq!(server.get_with(url, &[("Authorization", &token)]).status, 200);
    let search_only = lab.token(&server, "system/Patient.s");
    refused("/$export?_type=Patient", &search_only);
    assert_eq!(server.send("DELETE", &status, &[("Authorization", &narrow)], &[]).status, 202);

    let (server, _settings) = serve(&entries, &["--require-group-scope", "true"]).await;
    let token = lab.token(&server, "system/*.rs");
    let answer = server.get_with("/Group/diabetes/$export", &[("Authorization", &token)]);
    assert_eq!(answer.status, 403);
}

// S-12 X-03 D-05 K-17 G-01
#[tokio::test]
async fn jobs_and_groups_are_those_of_a_client() {
    let (lab, other, admin) = (Client::new("lab"), Client::new("other"), Client::new("admin"));
    let entries = [
        lab.entry("scopes: [system/*.rs]\ngroups: all"),
        other.entry("scopes: [system/*.rs]\ngroups: [diabetes]"),
        admin.entry("scopes: [system/*.rs]\ngroups: all\nadmin: true"),
    ];
    let (server, _settings) = serve(&entries, &[]).await;
    let tokens = [&lab, &other, &admin].map(|client| client.token(&server, "system/*.rs"));
    let [lab, other, admin] = &tokens;
    let (status, manifest) = export(&server, "/$export?_type=Patient", lab);
    let file = manifest["output"][0]["url"].as_str().unwrap();
    for (method, url) in [("GET", status.as_str()), ("DELETE", &status), ("GET", file)] {
        let answer = server.send(method, url, &[("Authorization", other)], &[]);
        assert_eq!((answer.status, answer.issue().as_str()), (404, "not-found"), "{method} {url}");
        if method == "GET" {
            assert_eq!(server.get_with(url, &[("Authorization", admin)]).status, 200, "{url}");
        }
    }
    let get = |url: &str| server.get_with(url, &[("Authorization", other)]);
    assert_eq!(get("/Group").json()["total"], 1);
    assert_eq!(get("/Group/diabetes").status, 200);
    for (url, status) in [
        ("/Group/hypertension", 404),
        ("/Group/hypertension/$export", 404),
        ("/Group/nope/$export", 404),
        ("/$export", 403),
        ("/Patient/$export", 403),
    ] {
        let answer = get(url);
        assert_eq!(answer.status, status, "{url}: {}", answer.text());
        answer.issue();
    }
    let (_, manifest) = export(&server, "/Group/diabetes/$export?_type=Patient", other);
    assert!(manifest["output"][0]["count"].as_u64().unwrap() > 0);
    assert_eq!(server.send("DELETE", &status, &[("Authorization", admin)], &[]).status, 202);
    let trail = server.audit();
    assert!(
        trail.iter().any(|line| line["agent"][0]["who"]["identifier"]["value"] == "admin" && line["action"] == "D")
    );
}

// F-08 F-09 M-04 M-20 S-17
#[tokio::test]
async fn signed_urls_open_files_without_a_token() {
    let lab = Client::new("lab");
    let entries = [lab.entry("scopes: [system/*.rs]\ngroups: all")];
    let (server, _settings) = serve(&entries, &["--file-urls", "signed", "--file-url-lifetime", "30s"]).await;
    let token = lab.token(&server, "system/*.rs");
    let (status, manifest) = export(&server, "/$export?_type=Patient,Organization", &token);
    assert_eq!(manifest["requiresAccessToken"], false);
    // No URL is promised for longer than it works (M-20).
    let expires = server.get_with(&status, &[("Authorization", &token)]).header("expires").unwrap().to_owned();
    let expires = jiff::fmt::rfc2822::parse(&expires).unwrap().timestamp().as_second();
    assert!((1..=30).contains(&(expires - super::now() as i64)), "{expires}");
    let url = |place: usize| manifest["output"][place]["url"].as_str().unwrap();
    assert_eq!(server.get(url(0)).status, 200);
    assert_eq!(server.get_with(url(0), &[("Authorization", "Bearer nonsense")]).status, 200, "it is not looked at");
    assert!(url(0).ends_with("/Patient.0001.ndjson"));
    // The signature is for this job alone, and every sign of it counts.
    let (_, second) = export(&server, "/$export?_type=Patient", &token);
    let steps: Vec<&str> = url(0).split('/').collect();
    let signature = steps[steps.len() - 3];
    let of_second = second["output"][0]["url"].as_str().unwrap();
    let other_signature = of_second.split('/').rev().nth(2).unwrap();
    let last = if signature.ends_with('A') { "B" } else { "A" };
    let forged = format!("{}{last}", &signature[..signature.len() - 1]);
    for wrong in [other_signature, &forged, "x", &signature[1..]] {
        let answer = server.get(&url(0).replace(signature, wrong));
        assert_eq!((answer.status, answer.issue().as_str()), (404, "not-found"), "{wrong}");
    }
    // Without a signature the token counts.
    let bare = url(0).replace(&format!("{signature}/"), "");
    assert_eq!(server.get(&bare).status, 401);
    assert_eq!(server.get_with(&bare, &[("Authorization", &token)]).status, 200);
    assert_eq!(server.send("DELETE", &status, &[("Authorization", &token)], &[]).status, 202);
    assert_eq!(server.get(url(0)).status, 404);
    // Elsewhere nobody signs, and a signature of this server opens nothing.
    let (plain, _settings) = serve(&entries, &[]).await;
    let token = lab.token(&plain, "system/*.rs");
    let (_, manifest) = export(&plain, "/$export?_type=Patient", &token);
    let file =
        manifest["output"][0]["url"].as_str().unwrap().replace("bulk-files/", &format!("bulk-files/{signature}/"));
    assert_eq!(plain.get(&file).status, 404);
}

// A-06 A-27
#[tokio::test]
async fn a_client_that_is_removed_has_no_access_from_then_on() {
    let (lab, other) = (Client::new("lab"), Client::new("other"));
    let of = |client: &Client| client.entry("scopes: [system/*.rs]\ngroups: all");
    let (server, settings) = serve(&[of(&lab)], &[]).await;
    let token = lab.token(&server, "system/*.rs");
    server.get_with("/$export?_type=Patient", &[("Authorization", &token)]).accepted();
    let path = settings.path().join("clients.yaml");
    std::fs::write(&path, "clients: nonsense").unwrap();
    server.signal("-HUP");
    eventually("it is told", || async { server.log().contains("the old registry of clients stays in force") }).await;
    server.get_with("/$export?_type=Patient", &[("Authorization", &token)]).accepted();
    // A download that has begun, of more than the buffers between both ends hold.
    let (_, manifest) = export(&server, "/$export?_type=Observation", &token);
    let item = &manifest["output"][0];
    let file = item["url"].as_str().unwrap().strip_prefix(&format!("http://{}", server.authority())).unwrap();
    let mut download = server.connect();
    let head = format!("GET {file} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: {token}\r\n\r\n");
    download.write_all(head.as_bytes()).unwrap();
    download.read_exact(&mut [0; 1000]).unwrap();
    // Nobody has to send a signal: the file is looked at.
    std::fs::write(&path, format!("clients:\n{}", of(&other))).unwrap();
    let began = Instant::now();
    let gone = || async { server.get_with("/Group", &[("Authorization", &token)]).status == 401 };
    eventually("the client is gone", gone).await;
    assert!(began.elapsed().as_secs() < 15);
    other.token(&server, "system/*.rs");
    let mut rest = Vec::new();
    download.read_to_end(&mut rest).unwrap();
    assert!(rest.len() as u64 + 1000 > item["fileSize"].as_u64().unwrap() && rest.ends_with(b"}\n"), "it is not cut");
}
