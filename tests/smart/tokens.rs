//! Discovery and the token endpoint.

use serde_json::json;

use super::{Client, serve, serve_in, token_url};

// A-02 A-03 A-04 C-08 T-05 T-06 T-39
#[tokio::test]
async fn discovery_stands_in_both_places_and_in_metadata() {
    let lab = Client::new("lab");
    let (server, _settings) = serve(&[lab.entry("scopes: [system/*.rs]\ngroups: all")], &[]).await;
    let below = server.get_with("/.well-known/smart-configuration", &[("Accept", "text/html")]);
    let root = server.raw("GET", "/.well-known/smart-configuration", &[], &[]);
    assert_eq!((below.status, below.header("content-type")), (200, Some("application/json")));
    assert_eq!(below.json(), root.json());
    let json = below.json();
    assert_eq!(json["token_endpoint"], token_url(&server));
    for (name, value) in [
        ("grant_types_supported", "client_credentials"),
        ("token_endpoint_auth_methods_supported", "private_key_jwt"),
        ("token_endpoint_auth_signing_alg_values_supported", "ES384"),
        ("capabilities", "client-confidential-asymmetric"),
        ("code_challenge_methods_supported", "S256"),
    ] {
        assert!(json[name].as_array().unwrap().contains(&json!(value)), "{name}: {json}");
    }
    let metadata = server.get("/metadata").json();
    let extension = &metadata["rest"][0]["security"]["extension"][0]["extension"][0];
    assert_eq!((&extension["url"], &extension["valueUri"]), (&json!("token"), &json!(token_url(&server))));
}

// A-09 A-15 A-18 A-22 A-25 A-31 X-10
#[tokio::test]
async fn tokens_are_granted_once_per_assertion_even_after_a_restart() {
    let lab = Client::new("lab");
    let entries = [lab.entry("scopes: [system/Patient.rs, system/Observation.rs]\ngroups: all")];
    let (server, _settings) = serve(&entries, &["--listen", "127.0.0.1:0"]).await;
    let aud = token_url(&server);
    let assertion = lab.sign(&lab.claims(&aud));
    let granted = Client::ask(&server, &assertion, "system/*.rs system/Condition.rs");
    assert_eq!((granted.status, granted.header("content-type")), (200, Some("application/json")));
    assert_eq!((granted.header("cache-control"), granted.header("pragma")), (Some("no-store"), Some("no-cache")));
    let json = granted.json();
    assert_eq!((&json["token_type"], &json["expires_in"]), (&json!("bearer"), &json!(300)));
    assert_eq!(json["scope"], "system/Patient.rs system/Observation.rs");
    let again = Client::ask(&server, &assertion, "system/*.rs");
    assert_eq!((again.status, &again.json()["error"]), (401, &json!("invalid_client")));

    let home = server.kill();
    let base_url = format!("{}/fhir", aud.strip_suffix("/auth/token").unwrap());
    let (server, _settings) = serve_in(&entries, &["--base-url", &base_url], home).await;
    let replayed = Client::ask(&server, &assertion, "system/*.rs");
    assert_eq!((replayed.status, &replayed.json()["error"]), (401, &json!("invalid_client")), "{}", replayed.text());
    let fresh = Client::ask(&server, &lab.sign(&lab.claims(&aud)), "system/Patient.read");
    assert_eq!(fresh.json()["scope"], "system/Patient.read");
    // A token outlives the restart too: its key is kept.
    let token = format!("Bearer {}", json["access_token"].as_str().unwrap());
    server.get_with("/$export?_type=Patient", &[("Authorization", &token)]).accepted();
    for text in [server.log(), server.audit().iter().map(ToString::to_string).collect()] {
        assert!(!text.contains(&assertion) && !text.contains(&token[7..]), "{text}");
    }
}

// A-10 A-11 A-12 A-13 A-14 T-41
#[tokio::test]
async fn what_is_no_good_assertion() {
    let (lab, stranger) = (Client::new("lab"), Client::new("stranger"));
    let (server, _settings) = serve(&[lab.entry("scopes: [system/*.rs]\ngroups: all")], &[]).await;
    let aud = token_url(&server);
    let with = |name: &str, value: serde_json::Value| {
        let mut claims = lab.claims(&aud);
        claims[name] = value;
        lab.sign(&claims)
    };
    let good = lab.sign(&lab.claims(&aud));
    let unsigned = {
        let parts: Vec<&str> = good.split('.').collect();
        // {"alg":"none","typ":"JWT"}
        format!("eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.{}.", parts[1])
    };
    for (what, assertion) in [
        ("another audience", with("aud", json!("https://elsewhere.example/token"))),
        ("another issuer", with("iss", json!("stranger"))),
        ("another subject", with("sub", json!("stranger"))),
        ("expired", with("exp", json!(super::now() - 120))),
        ("an hour ahead", with("exp", json!(super::now() + 3600))),
        ("no jti", with("jti", json!(null))),
        ("nobody's key", stranger.sign(&stranger.claims(&aud))),
        ("no signature", unsigned),
        ("no JWT", "nonsense".to_owned()),
        ("nothing", String::new()),
        ("too long", "x".repeat(40_000)),
    ] {
        let answer = Client::ask(&server, &assertion, "system/*.rs");
        let error = answer.json()["error"].as_str().unwrap().to_owned();
        assert!(matches!(answer.status, 400 | 401), "{what}: {}", answer.text());
        assert!(["invalid_client", "invalid_request"].contains(&error.as_str()), "{what}: {}", answer.text());
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{what}");
    }
    let scope = Client::ask(&server, &good, "user/*.read openid");
    assert_eq!((scope.status, &scope.json()["error"]), (400, &json!("invalid_scope")));
    for (content_type, body, error) in [
        ("application/x-www-form-urlencoded", "grant_type=password", "unsupported_grant_type"),
        ("application/json", "{}", "invalid_request"),
        ("application/x-www-form-urlencoded", "%zz=1&grant_type", "invalid_request"),
    ] {
        let answer = server.raw("POST", "/auth/token", &[("Content-Type", content_type)], body.as_bytes());
        assert_eq!((answer.status, &answer.json()["error"]), (400, &json!(error)), "{body}");
    }
    assert_eq!(server.raw("GET", "/auth/token", &[], &[]).status, 405);
    let large = server.raw(
        "POST",
        "/auth/token",
        &[("Content-Type", "application/x-www-form-urlencoded")],
        &vec![b'x'; 100_000],
    );
    assert_eq!(large.status, 413);
}

// A-31 R-01
#[tokio::test]
async fn token_requests_are_limited_by_client_and_by_address() {
    let (lab, other) = (Client::new("lab"), Client::new("other"));
    let entries = [&lab, &other].map(|client| client.entry("scopes: [system/*.rs]\ngroups: all"));
    let limits = ["--token-requests-per-client", "2", "--token-requests-per-address", "5"];
    let (server, _settings) = serve(&entries, &[&limits[..], &["--trusted-proxies", "127.0.0.1"]].concat()).await;
    let ask = |client: &Client| {
        let assertion = client.sign(&client.claims(&token_url(&server)));
        Client::ask(&server, &assertion, "system/*.rs")
    };
    let limited = |answer: &crate::support::server::Answer| {
        let seconds = answer.header("retry-after").and_then(|text| text.parse::<u32>().ok());
        answer.status == 429 && seconds.is_some_and(|seconds| seconds > 0)
    };
    assert_eq!((ask(&lab).status, ask(&lab).status), (200, 200));
    assert!(limited(&ask(&lab)));
    assert_eq!(ask(&other).status, 200, "others are not concerned");
    assert_eq!(Client::ask(&server, "nonsense", "system/*.rs").status, 401);
    assert!(limited(&ask(&other)), "the address has had its share");
    let headers = [("X-Forwarded-For", "198.51.100.7"), ("Content-Type", "application/x-www-form-urlencoded")];
    assert_eq!(server.raw("POST", "/auth/token", &headers, b"grant_type=x").status, 400, "another address");
}

// the pages of a registered client may ask for tokens and call the service; those of others may read metadata.
#[tokio::test]
async fn pages_of_registered_clients_may_ask() {
    let lab = Client::new("lab");
    let entry = lab.entry("scopes: [system/*.rs]\ngroups: all\norigins: [\"https://lab.example.org\"]");
    let (server, _settings) = serve(&[entry], &[]).await;
    let allowed = |path: &str, origin: &str| {
        let headers = [
            ("Origin", origin),
            ("Access-Control-Request-Method", "POST"),
            ("Access-Control-Request-Headers", "authorization, content-type"),
        ];
        let answer = server.raw("OPTIONS", path, &headers, &[]);
        answer.header("access-control-allow-origin").map(str::to_owned)
    };
    for path in ["/auth/token", "/fhir/$export", "/fhir/Group"] {
        assert_eq!(allowed(path, "https://lab.example.org").as_deref(), Some("https://lab.example.org"), "{path}");
        assert_eq!(allowed(path, "https://other.example.org"), None, "{path}");
    }
    assert!(allowed("/.well-known/smart-configuration", "https://other.example.org").is_some());
}
