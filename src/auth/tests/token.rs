//! The token endpoint: its form, its answers, its limits.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use jsonwebtoken::Algorithm;
use serde_json::{Value, json};

use super::support::*;
use crate::auth::{Rates, RedbReplays, Replays, SmartSettings};

fn es() -> Pair {
    Pair::of(Algorithm::ES384)
}

fn good() -> String {
    es().sign(&es().header("k"), &claims("app"))
}

///
#[tokio::test]
async fn every_field_is_checked() {
    type Change = fn(&mut Vec<(String, String)>);
    fn set(form: &mut Vec<(String, String)>, name: &str, value: &str) {
        form.retain(|(known, _)| known != name);
        form.push((name.to_owned(), value.to_owned()));
    }
    let cases: [(&str, &str, Change, &str); 22] = [
        ("as it should be", FORM, |_| {}, "ok"),
        ("with a parameter", "Application/X-WWW-Form-URLEncoded; charset=UTF-8", |_| {}, "ok"),
        ("JSON", "application/json", |_| {}, "400 invalid_request"),
        ("multipart", "multipart/form-data; boundary=x", |_| {}, "400 invalid_request"),
        ("no type", "", |_| {}, "400 invalid_request"),
        ("almost", "application/x-www-form-urlencodedx", |_| {}, "400 invalid_request"),
        ("no fields", FORM, Vec::clear, "400 invalid_request"),
        ("no grant_type", FORM, |form| form.retain(|(name, _)| name != "grant_type"), "400 invalid_request"),
        ("A-10", FORM, |form| set(form, "grant_type", "not_a_grant_type"), "400 unsupported_grant_type"),
        ("a code", FORM, |form| set(form, "grant_type", "authorization_code"), "400 unsupported_grant_type"),
        ("refresh, A-24", FORM, |form| set(form, "grant_type", "refresh_token"), "400 unsupported_grant_type"),
        ("A-11", FORM, |form| set(form, "client_assertion_type", "not_an_assertion_type"), "400 invalid_request"),
        ("no type", FORM, |form| form.retain(|(n, _)| n != "client_assertion_type"), "400 invalid_request"),
        ("no assertion", FORM, |form| form.retain(|(n, _)| n != "client_assertion"), "400 invalid_request"),
        ("empty assertion", FORM, |form| set(form, "client_assertion", ""), "400 invalid_request"),
        ("bad assertion", FORM, |form| set(form, "client_assertion", "a.b.c"), "401 invalid_client"),
        ("no scope", FORM, |form| form.retain(|(name, _)| name != "scope"), "400 invalid_request"),
        ("long scope", FORM, |form| set(form, "scope", &"system/*.rs ".repeat(1000)), "400 invalid_scope"),
        ("twice", FORM, |form| form.push(("scope".to_owned(), "system/*.rs".to_owned())), "400 invalid_request"),
        ("client_id", FORM, |form| set(form, "client_id", "app"), "ok"),
        ("other client_id", FORM, |form| set(form, "client_id", "other"), "401 invalid_client"),
        ("unknown field", FORM, |form| set(form, "resource", "x"), "ok"),
    ];
    let bench = Bench::new(&app(&es()));
    for (name, content_type, change, want) in cases {
        let mut form = form(&good(), "system/Patient.rs");
        change(&mut form);
        let says = match bench.authority.token(&form, content_type, PEER).await {
            Ok(_) => "ok".to_owned(),
            Err(error) => {
                let body: Value = serde_json::from_slice(&error.to_json()).unwrap();
                assert!(!body["error_description"].as_str().unwrap().is_empty(), "A-25: {name}");
                format!("{} {}", error.status(), body["error"].as_str().unwrap())
            }
        };
        assert_eq!(says, want, "{name}");
    }
}

/// T-19: a long wish list is met as far as it can be.
#[tokio::test]
async fn the_grantable_part_is_granted() {
    let client = |scopes: Value| json!([{"client_id": "app", "jwks": {"keys": [es().public("k")]}, "scopes": scopes, "groups": "all"}]);
    let twenty = "system/AllergyIntolerance.read system/Binary.read system/Condition.read system/Device.read \
                  system/DiagnosticReport.read system/DocumentReference.read system/Encounter.read \
                  system/EpisodeOfCare.read system/Immunization.read system/Location.read system/Medication.read \
                  system/MedicationRequest.read system/Observation.read system/Organization.read system/Patient.read \
                  system/Practitioner.read system/PractitionerRole.read system/Procedure.read \
                  system/ServiceRequest.read";
    for (registered, asked, want) in [
        (json!(["system/*.rs"]), twenty, Ok("system/Condition.read system/Observation.read system/Patient.read")),
        (json!(["system/*.read"]), "system/*.rs", Ok("system/*.rs")),
        (json!(["system/Patient.rs"]), "system/*.read", Ok("system/Patient.read")),
        (json!(["system/Patient.rs"]), "system/Observation.rs", Err("invalid_scope")),
        (json!(["system/*.rs"]), "system/Binary.rs openid launch", Err("invalid_scope")),
        (json!(["system/*.rs"]), "system/Observation.rs?category=laboratory", Err("invalid_scope")),
        (json!(["system/*.rs"]), "nonsense", Err("invalid_scope")),
    ] {
        let bench = Bench::new(&client(registered));
        let answer = bench.post(&good(), asked).await;
        match (&answer, want) {
            (Ok(response), Ok(scope)) => assert_eq!(response.scope, scope),
            (Err(error), Err(code)) => assert_eq!((error.status(), error.code()), (400, code)),
            _ => panic!("{answer:?} to {asked}"),
        }
    }
}

///
#[tokio::test]
async fn an_assertion_works_once() {
    let bench = Bench::new(&app(&es()));
    let assertion = good();
    assert_eq!(bench.says(&assertion).await, "ok");
    let again = "401 invalid_client: jti was already used: make a new assertion for each request";
    assert_eq!(bench.says(&assertion).await, again);
    bench.clock.advance(200);
    assert_eq!(bench.says(&assertion).await, again);
}

/// the record outlives the process, on the real store.
#[tokio::test]
async fn a_replay_is_refused_after_a_restart() {
    use crate::auth::{Authority, SigningKey};
    use crate::clock::{Clock, SetClock};

    let dir = tempfile::tempdir().unwrap();
    let assertion = good();
    for want in [true, false] {
        let database = Arc::new(redb::Database::create(dir.path().join("state.redb")).unwrap());
        let replays: Arc<dyn Replays> = Arc::new(RedbReplays::new(database));
        let clock: Arc<dyn Clock> = Arc::new(SetClock::at(NOW * 1_000_000));
        let key = SigningKey::load_or_create(dir.path()).unwrap();
        let authority = Authority::smart(settings(), clients(&app(&es())), key, replays, clock).unwrap();
        let answer = authority.token(&form(&assertion, "system/*.rs"), FORM, PEER).await;
        assert_eq!(answer.is_ok(), want);
    }
}

/// What cannot be recorded is refused, and the client may try again later.
#[tokio::test]
async fn a_broken_store_lets_nobody_in() {
    let bench = Bench::new(&app(&es()));
    bench.replays.broken.store(true, Ordering::SeqCst);
    let says = bench.says(&good()).await;
    assert_eq!(says, "503 temporarily_unavailable: the assertion cannot be recorded at the moment");
    bench.replays.broken.store(false, Ordering::SeqCst);
    assert_eq!(bench.says(&good()).await, "ok");
}

/// per address before anything is looked at, per client after it is proven.
#[tokio::test]
async fn requests_are_limited() {
    let rates = Rates { per_address: 5, per_client: 3 };
    let bench = Bench::with(SmartSettings { rates, ..settings() }, &app(&es()));
    for _ in 0..3 {
        assert_eq!(bench.says(&good()).await, "ok");
    }
    let error = bench.post(&good(), "system/*.rs").await.unwrap_err();
    assert_eq!((error.status(), error.code()), (429, "invalid_request"));
    assert!(error.retry_after().is_some_and(|seconds| (1..=60).contains(&seconds)));
    assert!(bench.says("rubbish").await.starts_with("401 invalid_client"));
    assert!(bench.says("rubbish").await.starts_with("429 "), "the address has had its five");
    // Another address is another matter, the client is not.
    let elsewhere = "198.51.100.1".parse().unwrap();
    let answer = bench.authority.token(&form(&good(), "system/*.rs"), FORM, elsewhere).await;
    assert_eq!(answer.unwrap_err().status(), 429);
    bench.clock.advance(60);
    let fresh = es().sign(&es().header("k"), &claims("app"));
    assert_eq!(bench.says(&fresh).await, "ok");
}

/// whoever is not the client cannot use its limit up.
#[tokio::test]
async fn strangers_do_not_lock_a_client_out() {
    let rates = Rates { per_address: 100, per_client: 2 };
    let bench = Bench::with(SmartSettings { rates, ..settings() }, &app(&es()));
    let forged = Pair::other(Algorithm::ES384);
    for _ in 0..10 {
        assert!(bench.says(&forged.sign(&forged.header("k"), &claims("app"))).await.starts_with("401 "));
    }
    assert_eq!(bench.says(&good()).await, "ok");
}

/// T-17.
#[tokio::test]
async fn the_answer_is_what_clients_expect() {
    for (set, want) in [(0, 300), (30, 30), (3600, 3600)] {
        let bench = Bench::with(SmartSettings { token_lifetime: set, ..settings() }, &app(&es()));
        let response = bench.post(&good(), "system/Patient.read").await.unwrap();
        let body: Value = serde_json::from_slice(&response.to_json()).unwrap();
        assert_eq!(body["token_type"], "bearer");
        assert_eq!(body["expires_in"], want);
        assert_eq!(body["scope"], "system/Patient.read");
        assert_eq!(body["refresh_token"], Value::Null);
    }
}

thread_local! {
    /// What this thread has logged.
    static LOGGED: std::cell::RefCell<Vec<u8>> = const { std::cell::RefCell::new(Vec::new()) };
}

/// Writes to [`LOGGED`].
struct Lines;

impl std::io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        LOGGED.with_borrow_mut(|logged| logged.extend_from_slice(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// who, which key, which assertion and how it ended; never the assertion or the token, and never a line that a
/// client has made up.
#[tokio::test]
async fn the_log_names_clients_and_holds_no_secret() {
    let log = tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_ansi(false).with_writer(|| Lines);
    // One for the whole process: with one of this thread's own, a test at the same time that meets a log line first
    // switches it off.
    log.try_init().unwrap();
    let bench = Bench::new(&app(&es()));
    let forged = Pair::other(Algorithm::ES384);
    let wrong = forged.sign(&forged.header("k\nINFO token granted"), &claims("app\r\nforged"));
    let good = good();
    LOGGED.take();
    let token = bench.post(&good, "system/*.rs").await.unwrap().access_token;
    assert!(bench.says(&good).await.starts_with("401"));
    assert!(bench.says(&wrong).await.starts_with("401"));
    assert!(bench.bearer(&token).await.is_ok());
    assert!(bench.bearer(&format!("{token}x")).await.is_err());
    let log = String::from_utf8(LOGGED.take()).unwrap();
    let ours: Vec<&str> = log.lines().filter(|line| line.contains("smelt::auth")).collect();
    assert_eq!(ours.len(), 3, "{log}");
    assert!(ours[0].contains("token granted") && ours[0].contains("client=\"app\""), "{log}");
    assert!(ours[0].contains("kid=Some(\"k\")") && ours[0].contains("jti=\"jti-"), "{log}");
    assert!(ours[1].contains("jti was already used"), "{log}");
    assert!(ours[2].contains("token refused") && ours[2].contains("\\r\\n"), "{log}");
    for secret in [&good, &token, &wrong] {
        for part in secret.split('.').skip(1) {
            assert!(!log.contains(part), "{log}");
        }
    }
}
