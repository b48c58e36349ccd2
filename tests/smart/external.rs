//! Access tokens of another authorization server.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::thread;

use serde_json::json;

use super::{Client, now};
use crate::packs::store;
use crate::support::server::Server;

/// Serves a key set on this machine for as long as the test process lives; its URL.
fn key_server(keys: &serde_json::Value) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/keys", listener.local_addr().unwrap());
    let body = json!({"keys": [keys]}).to_string();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { continue };
            let mut head = [0; 4096];
            let _ = stream.read(&mut head);
            let length = body.len();
            let head = format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n");
            let _ = stream.write_all(format!("{head}Connection: close\r\n\r\n{body}").as_bytes());
        }
    });
    url
}

// A-01 A-17 A-26
#[tokio::test]
async fn tokens_of_another_server_open_what_they_say() {
    let issuer = Client::new("issuer");
    let url = key_server(&issuer.jwk);
    let args = ["--auth", "external", "--issuer", "https://id.example.org", "--jwks-url", &url];
    let more = ["--audience", "https://ehr.example.org/fhir", "--allow-inner-hosts", "127.0.0.1"];
    let first = [&["--database", store::demo().await.dsn()][..], &args, &more].concat();
    let server = Server::start(&first, &[], tempfile::tempdir().unwrap());
    let token = |change: (&str, serde_json::Value)| {
        let mut claims = json!({
            "iss": "https://id.example.org", "aud": "https://ehr.example.org/fhir", "exp": now() + 300,
            "client_id": "warehouse", "scope": "system/Patient.rs",
        });
        claims[change.0] = change.1;
        format!("Bearer {}", issuer.sign(&claims))
    };
    let good = token(("iat", json!(now())));
    let ask = |url: &str, token: &str| server.get_with(url, &[("Authorization", token)]);
    let status = ask("/$export", &good).accepted();
    let manifest = server.ended(&status, &[("Authorization", &good)]).json();
    assert_eq!((&manifest["output"][0]["type"], manifest["output"].as_array().unwrap().len()), (&json!("Patient"), 1));
    assert_eq!(ask("/$export?_type=Condition", &good).status, 403);
    for (name, value) in [
        ("iss", json!("https://evil.example")),
        ("aud", json!("https://elsewhere.example.org")),
        ("exp", json!(now() - 300)),
    ] {
        let answer = ask("/$export", &token((name, value)));
        assert_eq!(answer.status, 401, "{name}");
        answer.issue();
    }
    // Whose job it is follows from the token.
    assert_eq!(ask(&status, &token(("client_id", json!("other")))).status, 404);
    let trail = server.audit();
    assert!(trail.iter().any(|line| line["agent"][0]["who"]["identifier"]["value"] == "warehouse"));
}
