//! Access tokens of ours, and who has access with them (A-26, A-27, K-15, K-17, S-11, S-12).

use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};

use super::support::*;
use crate::auth::{ANONYMOUS, Authority, GroupAccess, Rates, Refused, SetupError, SmartSettings};
use crate::clock::SetClock;

fn es() -> Pair {
    Pair::of(Algorithm::ES384)
}

async fn token(bench: &Bench, client: &str, scope: &str) -> String {
    let assertion = es().sign(&es().header("k"), &claims(client));
    bench.post(&assertion, scope).await.unwrap().access_token
}

/// 401 for each, so that clients ask for a new token.
#[tokio::test]
async fn what_is_no_token_is_refused() {
    let bench = Bench::new(&app(&es()));
    let good = token(&bench, "app", "system/*.rs").await;
    let (signed, signature) = good.rsplit_once('.').unwrap();
    let (header, payload) = signed.split_once('.').unwrap();
    let none = URL_SAFE_NO_PAD.encode(r#"{"alg":"none","typ":"at+jwt"}"#);
    let assertion = es().sign(&es().header("k"), &claims("app"));
    let mut typed = Header::new(Algorithm::HS256);
    typed.typ = Some("at+jwt".to_owned());
    let body = json!({"client_id": "app", "scope": "system/*.rs", "exp": NOW + 100});
    let forged = encode(&typed, &body, &EncodingKey::from_secret(b"")).unwrap();
    for (header, want) in [
        (None, Err(Refused::Missing)),
        (Some(String::new()), Err(Refused::Missing)),
        (Some("Bearer".to_owned()), Err(Refused::Missing)),
        (Some(good.clone()), Err(Refused::Missing)),
        (Some(format!("Basic {good}")), Err(Refused::Missing)),
        (Some("Bearer  ".to_owned()), Err(Refused::Missing)),
        (Some(format!("Bearer {good}")), Ok(())),
        (Some(format!("bearer {good}")), Ok(())),
        (Some(format!("BEARER   {good} ")), Ok(())),
        (Some(format!("Bearer {good} {good}")), Err(Refused::Invalid)),
        (Some(format!("Bearer {good}, Bearer {good}")), Err(Refused::Invalid)),
        (Some(format!("Bearer {good}A")), Err(Refused::Invalid)),
        (Some(format!("Bearer {signed}.")), Err(Refused::Invalid)),
        (Some(format!("Bearer {signed}")), Err(Refused::Invalid)),
        (Some(format!("Bearer {none}.{payload}.")), Err(Refused::Invalid)),
        (Some(format!("Bearer {none}.{payload}.{signature}")), Err(Refused::Invalid)),
        (
            Some(format!("Bearer {header}.{}.{signature}", URL_SAFE_NO_PAD.encode(body.to_string()))),
            Err(Refused::Invalid),
        ),
        (Some(format!("Bearer {forged}")), Err(Refused::Invalid)),
        (Some(format!("Bearer {assertion}")), Err(Refused::Invalid)),
        (Some(format!("Bearer {}", "a".repeat(1 << 20))), Err(Refused::Invalid)),
        (Some("Bearer \u{e9}.\u{e9}.\u{e9}".to_owned()), Err(Refused::Invalid)),
    ] {
        let access = bench.authority.access(header.as_deref()).await;
        assert_eq!(access.map(|_| ()), want, "{header:?}");
    }
}

/// A-23: to the second, and 401 for what was good once.
#[tokio::test]
async fn a_token_expires() {
    let bench = Bench::new(&app(&es()));
    let good = token(&bench, "app", "system/*.rs").await;
    bench.clock.advance(299);
    assert!(bench.bearer(&good).await.is_ok());
    bench.clock.advance(1);
    assert_eq!(bench.bearer(&good).await, Err(Refused::Expired));
}

/// What is in a token, and that another server's are worth nothing.
#[tokio::test]
async fn a_token_says_no_more_than_it_must() {
    let bench = Bench::new(&app(&es()));
    let good = token(&bench, "app", "system/Patient.read").await;
    let payload = URL_SAFE_NO_PAD.decode(good.split('.').nth(1).unwrap()).unwrap();
    let payload: Value = serde_json::from_slice(&payload).unwrap();
    assert_eq!(payload, json!({"client_id": "app", "scope": "system/Patient.read", "exp": NOW + 300}));
    assert_eq!(Bench::new(&app(&es())).bearer(&good).await, Err(Refused::Invalid), "a server with another key");
}

/// What counts is what the client is registered for when it asks.
#[tokio::test]
async fn a_registration_that_changes_changes_access_at_once() {
    let pair = es();
    let registered = |scopes: &str, groups: Value| json!([{"client_id": "app", "jwks": {"keys": [pair.public("k")]}, "scopes": [scopes], "groups": groups}]);
    let bench = Bench::new(&registered("system/*.rs", json!("all")));
    let good = token(&bench, "app", "system/*.read").await;
    let access = bench.bearer(&good).await.unwrap();
    assert_eq!((access.client.as_str(), access.admin, access.max_running), ("app", false, None));
    assert!(access.scopes.reads("Patient") && access.scopes.reads_everything());
    assert_eq!(access.groups, GroupAccess::All);

    bench.authority.replace_clients(clients(&registered("system/Patient.rs", json!(["a"]))));
    let access = bench.bearer(&good).await.unwrap();
    assert!(access.scopes.reads("Patient") && !access.scopes.reads("Observation"));
    assert!(access.groups.allows("a") && !access.groups.allows("b"));

    bench.authority.replace_clients(clients(&registered("system/Binary.rs", json!([]))));
    assert!(bench.bearer(&good).await.unwrap().scopes.is_empty());

    bench.authority.replace_clients(clients(&json!([])));
    assert_eq!(bench.bearer(&good).await, Err(Refused::Invalid), "a client that is gone");
    let assertion = es().sign(&es().header("k"), &claims("app"));
    assert!(bench.says(&assertion).await.starts_with("401 invalid_client"));
}

/// What the registry says of each client reaches the request.
#[tokio::test]
async fn clients_differ() {
    let keys = json!({"keys": [es().public("k")]});
    let bench = Bench::new(&json!([
        {"client_id": "one", "jwks": keys, "scopes": ["system/Patient.rs"], "groups": ["a"], "max_running": 2,
         "origins": ["https://one.example.org"]},
        {"client_id": "boss", "jwks": keys, "scopes": ["system/*.rs"], "groups": "all", "admin": true,
         "origins": ["https://one.example.org", "http://localhost:3000"]},
    ]));
    let one = bench.bearer(&token(&bench, "one", "system/*.rs").await).await.unwrap();
    assert_eq!((one.client.as_str(), one.admin, one.max_running), ("one", false, Some(2)));
    assert!(!one.scopes.reads("Condition"));
    let boss = bench.bearer(&token(&bench, "boss", "system/*.rs").await).await.unwrap();
    assert_eq!((boss.client.as_str(), boss.admin, boss.groups), ("boss", true, GroupAccess::All));
    assert_eq!(
        bench.authority.origins(),
        ["http://localhost:3000", "https://one.example.org"].map(str::to_owned).into()
    );
}

/// A-01: without authorization only this machine is served, unless somebody insists.
#[tokio::test]
async fn an_open_server_stays_at_home() {
    let clock = || Arc::new(SetClock::at(0));
    for (listen, force, works) in [
        (vec!["127.0.0.1", "::1"], false, true),
        (vec!["::ffff:127.0.0.1"], false, true),
        (vec!["0.0.0.0"], false, false),
        (vec!["127.0.0.1", "::"], false, false),
        (vec!["192.0.2.1"], false, false),
        (vec!["192.0.2.1"], true, true),
    ] {
        let addresses: Vec<_> = listen.iter().map(|address| address.parse().unwrap()).collect();
        let authority = Authority::open(&addresses, force, clock());
        assert_eq!(authority.is_ok(), works, "{listen:?}");
        assert!(works || matches!(authority, Err(SetupError::OpenToNetwork(_))));
    }
    let authority = Authority::open(&[], false, clock()).unwrap();
    let access = authority.access(None).await.unwrap();
    assert_eq!(access, authority.access(Some("Bearer anything")).await.unwrap(), "F-08: a token sent anyway");
    assert_eq!((access.client.as_str(), access.admin), (ANONYMOUS, false));
    assert!(access.scopes.reads("Patient") && !authority.protects());
    assert_eq!((authority.smart_configuration(), authority.token_url()), (None, None));
    assert_eq!(authority.token(&form("a.b.c", "system/*.rs"), FORM, PEER).await.unwrap_err().status(), 400);
}

/// A-03.
#[test]
fn discovery_names_the_token_endpoint() {
    let bench = Bench::new(&app(&es()));
    let document = bench.authority.smart_configuration().unwrap();
    assert_eq!(document["token_endpoint"], TOKEN_URL);
    assert_eq!(bench.authority.token_url(), Some(TOKEN_URL));
    assert!(bench.authority.protects());
}

/// A-03, A-23: settings that cannot be meant.
#[test]
fn settings_are_checked_before_the_start() {
    let with = |change: fn(&mut SmartSettings)| {
        let mut settings = settings();
        change(&mut settings);
        settings.check()
    };
    assert!(with(|_| {}).is_ok());
    assert!(with(|s| s.token_url = "http://localhost:8080/auth/token".to_owned()).is_ok());
    for (name, checked) in [
        ("empty", with(|s| s.token_url.clear())),
        ("user", with(|s| s.token_url = "https://me@bulk.example.org/auth/token".to_owned())),
        ("scheme", with(|s| s.token_url = "ftp://bulk.example.org/auth/token".to_owned())),
        ("relative", with(|s| s.token_url = "/auth/token".to_owned())),
        ("audience", with(|s| s.other_audiences.push("bulk.example.org".to_owned()))),
        ("short", with(|s| s.token_lifetime = 29)),
        ("long", with(|s| s.token_lifetime = 3601)),
        ("address", with(|s| s.rates = Rates { per_address: 0, ..s.rates })),
        ("client", with(|s| s.rates = Rates { per_client: 0, ..s.rates })),
        (
            "plain",
            with(|s| {
                s.discovery_extra.insert("code_challenge_methods_supported".to_owned(), json!(["plain"]));
            }),
        ),
    ] {
        assert!(checked.is_err(), "{name}");
    }
}
