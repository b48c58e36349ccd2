//! Tokens of another authorization server.

use std::sync::Arc;

use jsonwebtoken::{Algorithm, Header};
use serde_json::{Value, json};

use super::support::*;
use crate::auth::{
    Access, Authority, ExternalSettings, FetchSettings, GroupAccess, Refused, Registry, SetupError, registry,
};
use crate::clock::{Clock, SetClock};

const ISSUER: &str = "https://login.example.org/realms/hospital";
const AUDIENCE: &str = "https://bulk.example.org/r4";

fn external(jwks_url: String) -> ExternalSettings {
    ExternalSettings {
        issuer: ISSUER.to_owned(),
        jwks_url,
        audience: AUDIENCE.to_owned(),
        token_url: Some("https://login.example.org/token".to_owned()),
        types: ["Patient", "Observation"].map(str::to_owned).into(),
        fetch: FetchSettings { allow_inner_hosts: ["127.0.0.1".to_owned()].into() },
        ..ExternalSettings::default()
    }
}

fn authority(settings: ExternalSettings, clients: Option<Registry>) -> (Authority, Arc<SetClock>) {
    let clock = Arc::new(SetClock::at(NOW * 1_000_000));
    (Authority::external(settings, clients, Arc::clone(&clock) as Arc<dyn Clock>).unwrap(), clock)
}

fn good() -> Value {
    json!({"iss": ISSUER, "aud": AUDIENCE, "exp": NOW + 600, "client_id": "app", "scope": "system/*.read openid"})
}

async fn access(authority: &Authority, token: &str) -> Result<Access, Refused> {
    authority.access(Some(&format!("Bearer {token}"))).await
}

/// the part of another server.
#[tokio::test]
async fn every_claim_of_a_foreign_token_is_checked() {
    let pair = Pair::of(Algorithm::RS256);
    let server = KeyServer::start(jwks("", &[pair.public("k")]));
    let (authority, _) = authority(external(server.url()), None);
    for (change, want) in [
        (json!({}), Ok("app")),
        (json!({"client_id": null, "azp": "app"}), Ok("app")),
        (json!({"aud": ["account", AUDIENCE]}), Ok("app")),
        (json!({"exp": NOW - 59}), Ok("app")),
        (json!({"nbf": NOW + 60}), Ok("app")),
        (json!({"exp": NOW - 60}), Err(Refused::Expired)),
        (json!({"exp": null}), Err(Refused::Invalid)),
        (json!({"exp": "later"}), Err(Refused::Invalid)),
        (json!({"nbf": NOW + 61}), Err(Refused::Invalid)),
        (json!({"nbf": "now"}), Err(Refused::Invalid)),
        (json!({"iss": null}), Err(Refused::Invalid)),
        (json!({"iss": "https://login.example.org/realms/other"}), Err(Refused::Invalid)),
        (json!({"iss": format!("{ISSUER}/")}), Err(Refused::Invalid)),
        (json!({"aud": null}), Err(Refused::Invalid)),
        (json!({"aud": "account"}), Err(Refused::Invalid)),
        // For somebody else and over: not ours to say that it has expired.
        (json!({"aud": "account", "exp": 0}), Err(Refused::Invalid)),
        (json!({"client_id": null}), Err(Refused::Invalid)),
        (json!({"client_id": ""}), Err(Refused::Invalid)),
        (json!({"client_id": "anonymous"}), Err(Refused::Invalid)),
        (json!({"client_id": null, "sub": "app"}), Err(Refused::Invalid)),
    ] {
        let mut claims = good();
        for (name, value) in change.as_object().unwrap() {
            claims[name] = value.clone();
        }
        claims.as_object_mut().unwrap().retain(|_, value| !value.is_null());
        let access = access(&authority, &pair.sign(&pair.header("k"), &claims)).await;
        assert_eq!(access.as_ref().map(|access| access.client.as_str()).map_err(|error| *error), want, "{change}");
        if let Ok(access) = access {
            assert_eq!((access.groups, access.admin), (GroupAccess::All, false));
            assert!(access.scopes.reads("Patient"));
        }
    }
    assert_eq!(server.count(), 1);
}

#[tokio::test]
async fn headers_and_signatures_of_foreign_tokens_are_checked() {
    let pair = Pair::of(Algorithm::RS256);
    let server = KeyServer::start(jwks("", &[pair.public("k")]));
    let (authority, _) = authority(external(server.url()), None);
    let typed = |typ: &str| Header { typ: Some(typ.to_owned()), ..pair.header("k") };
    for (header, works) in [
        (typed("at+jwt"), true),
        (typed("application/at+jwt"), true),
        (typed("JWT"), true),
        (Header { typ: None, kid: None, ..pair.header("k") }, true),
        (typed("dpop+jwt"), false),
        (typed("logout+jwt"), false),
        (Header { crit: Some(vec!["x".to_owned()]), ..pair.header("k") }, false),
        (pair.header("unknown"), false),
    ] {
        let access = access(&authority, &pair.sign(&header, &good())).await;
        assert_eq!(access.is_ok(), works, "{header:?}");
        assert!(works || access == Err(Refused::Invalid));
    }
    let other = Pair::other(Algorithm::RS256);
    let hmac = jsonwebtoken::EncodingKey::from_secret(pair.public("k").to_string().as_bytes());
    let confused = Header { kid: Some("k".to_owned()), ..Header::new(Algorithm::HS256) };
    for token in [
        other.sign(&other.header("k"), &good()),
        jsonwebtoken::encode(&confused, &good(), &hmac).unwrap(),
        "a.b.c".to_owned(),
        "opaque".to_owned(),
    ] {
        assert_eq!(access(&authority, &token).await, Err(Refused::Invalid), "{token}");
    }
    assert_eq!(authority.access(None).await, Err(Refused::Missing));
}

/// Scopes in all the forms servers send, and never more than there is.
#[tokio::test]
async fn scopes_of_foreign_tokens_are_read() {
    let pair = Pair::of(Algorithm::ES256);
    let server = KeyServer::start(jwks("", &[pair.public("k")]));
    let (authority, _) = authority(external(server.url()), None);
    for (scope, want) in [
        (json!({"scope": "system/Patient.rs profile"}), "system/Patient.rs"),
        (json!({"scope": ["system/Patient.rs", "system/Binary.rs", 7]}), "system/Patient.rs"),
        (json!({"scp": "system/Observation.read"}), "system/Observation.read"),
        (json!({"scp": ["system/*.cruds"]}), "system/*.rs"),
        (json!({"scope": "patient/*.rs user/*.rs"}), ""),
        (json!({"scope": "system/Observation.rs?category=laboratory"}), ""),
        (json!({"scope": 7}), ""),
        (json!({}), ""),
    ] {
        let mut claims = good();
        claims.as_object_mut().unwrap().remove("scope");
        claims.as_object_mut().unwrap().extend(scope.as_object().unwrap().clone());
        let access = access(&authority, &pair.sign(&pair.header("k"), &claims)).await.unwrap();
        assert_eq!(access.scopes.to_string(), want, "{scope}");
    }
}

/// A registry bounds what the other server grants.
#[tokio::test]
async fn registered_clients_of_another_server_are_bounded() {
    let pair = Pair::of(Algorithm::ES256);
    let server = KeyServer::start(jwks("", &[pair.public("k")]));
    let text = "clients: [{client_id: app, scopes: [system/Patient.rs], groups: [a], admin: true, max_running: 1}]";
    let (authority, _) = authority(external(server.url()), Some(registry::parse_external(text).unwrap()));
    let token = pair.sign(&pair.header("k"), &good());
    let found = access(&authority, &token).await.unwrap();
    assert_eq!(found.scopes.to_string(), "system/Patient.read");
    assert_eq!(
        (found.groups, found.admin, found.max_running),
        (GroupAccess::Only(["a".to_owned()].into()), true, Some(1))
    );
    let mut stranger = good();
    stranger["client_id"] = json!("stranger");
    assert_eq!(access(&authority, &pair.sign(&pair.header("k"), &stranger)).await, Err(Refused::Invalid));
    authority.replace_clients(registry::parse_external("clients: []").unwrap());
    assert_eq!(access(&authority, &token).await, Err(Refused::Invalid));
}

/// Nobody is let in, and nobody is told that a token is bad, while the keys cannot be read.
#[tokio::test]
async fn keys_that_cannot_be_read_are_an_outage() {
    let pair = Pair::of(Algorithm::ES256);
    let server = KeyServer::start(http("503 Service Unavailable", "", ""));
    let (authority, clock) = authority(external(server.url()), None);
    let token = pair.sign(&pair.header("k"), &good());
    assert_eq!(access(&authority, &token).await, Err(Refused::Unavailable));
    server.answers(jwks("", &[pair.public("k")]));
    assert_eq!(access(&authority, &token).await, Err(Refused::Unavailable));
    clock.advance(30);
    assert!(access(&authority, &token).await.is_ok());
    assert_eq!(server.count(), 2);
}

#[tokio::test]
async fn discovery_leads_to_the_other_server() {
    let (authority, _) = authority(external("https://login.example.org/keys".to_owned()), None);
    assert_eq!(authority.token_url(), Some("https://login.example.org/token"));
    assert_eq!(authority.smart_configuration().unwrap()["token_endpoint"], "https://login.example.org/token");
    assert_eq!(authority.token(&form("a.b.c", "system/*.rs"), FORM, PEER).await.unwrap_err().status(), 400);
}

#[test]
fn external_settings_are_checked_before_the_start() {
    let with = |change: fn(&mut ExternalSettings)| {
        let mut settings = external("https://login.example.org/keys".to_owned());
        change(&mut settings);
        settings.check()
    };
    assert!(with(|_| {}).is_ok());
    assert!(matches!(with(|s| s.issuer.clear()), Err(SetupError::Empty("issuer"))));
    assert!(matches!(with(|s| s.audience = " ".to_owned()), Err(SetupError::Empty("audience"))));
    assert!(matches!(with(|s| s.jwks_url.clear()), Err(SetupError::JwksUrl(_))));
    assert!(matches!(with(|s| s.jwks_url = "https://10.0.0.1/".to_owned()), Err(SetupError::JwksUrl(_))));
    assert!(matches!(with(|s| s.token_url = Some("http://x.example/".to_owned())), Err(SetupError::TokenUrl)));
}
