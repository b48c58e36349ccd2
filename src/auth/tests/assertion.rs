//! The matrix of assertions: what is accepted, and every way one can be wrong.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};

use super::support::*;
use crate::auth::assertion::{self, Flaw, MAX_ASSERTION};
use crate::auth::{Algorithms, SmartSettings};

/// Replaces members of valid claims; `null` takes one away.
fn changed(change: &Value) -> Value {
    let mut all = claims("app");
    for (name, value) in change.as_object().unwrap() {
        if value.is_null() {
            all.as_object_mut().unwrap().remove(name);
        } else {
            all[name] = value.clone();
        }
    }
    all
}

/// A-08: each algorithm with the key that fits it.
#[tokio::test]
async fn every_algorithm_that_is_allowed_works() {
    use Algorithm::*;
    for algorithm in [RS384, ES384, RS256, RS512, ES256, PS256, PS384, PS512] {
        let pair = Pair::of(algorithm);
        let bench = Bench::new(&app(&pair));
        assert_eq!(bench.says(&pair.sign(&pair.header("k"), &claims("app"))).await, "ok", "{algorithm:?}");
    }
}

/// A-08: only two without configuration.
#[tokio::test]
async fn other_algorithms_are_off_by_default() {
    use Algorithm::*;
    for (algorithm, works) in [(RS384, true), (ES384, true), (RS256, false), (ES256, false), (PS384, false)] {
        let pair = Pair::of(algorithm);
        let bench = Bench::with(SmartSettings { algorithms: Algorithms::default(), ..settings() }, &app(&pair));
        let says = bench.says(&pair.sign(&pair.header("k"), &claims("app"))).await;
        let refused =
            format!("401 invalid_client: client_assertion is signed with {algorithm:?}, allowed are: RS384, ES384");
        assert_eq!(says, if works { "ok".to_owned() } else { refused });
    }
    for name in ["none", "HS256", "EdDSA", "ES512", "rs256", ""] {
        assert_eq!(Algorithms::with([name]), Err(name), "cannot be allowed");
    }
}

/// A-12, A-13, A-14, T-07: each claim on its own.
#[tokio::test]
async fn every_claim_is_checked() {
    let pair = Pair::of(Algorithm::ES384);
    let missing = |name: &str| format!("401 invalid_client: client_assertion has no `{name}`, or not in its form");
    let ok = || "ok".to_owned();
    let client = |what: &str| format!("401 invalid_client: {what}");
    let audience = || client(&format!("`aud` of client_assertion must be the URL of this token endpoint: {TOKEN_URL}"));
    let ahead = || client("`exp` of client_assertion is more than 300 s ahead");
    let early = || client("client_assertion is not valid yet: check the clock");
    let expired = || client("client_assertion has expired");
    let subject = || client("`sub` of client_assertion must equal its `iss`, the client id");
    for (change, want) in [
        (json!({}), ok()),
        // A-12
        (json!({"iss": null}), missing("iss")),
        (json!({"iss": 7}), missing("iss")),
        (json!({"iss": ["app"]}), missing("iss")),
        (json!({"iss": "a".repeat(300)}), missing("iss")),
        (json!({"iss": "stranger"}), client("client_assertion is of a client that is not registered here")),
        (json!({"iss": "APP"}), client("client_assertion is of a client that is not registered here")),
        (json!({"sub": null}), missing("sub")),
        (json!({"sub": "other"}), subject()),
        (json!({"sub": "app "}), subject()),
        (json!({"jti": null}), missing("jti")),
        (json!({"jti": ""}), missing("jti")),
        (json!({"jti": 7}), missing("jti")),
        (json!({"jti": "j".repeat(256)}), missing("jti")),
        (json!({"jti": "j".repeat(255)}), ok()),
        // A-13
        (json!({"exp": null}), missing("exp")),
        (json!({"exp": "soon"}), missing("exp")),
        (json!({"exp": (NOW + 300).to_string()}), missing("exp")),
        (json!({"exp": 1e300}), missing("exp")),
        (json!({"exp": NOW + 299}), ok()),
        (json!({"exp": NOW as f64 + 299.5}), ok()),
        (json!({"exp": NOW + 301}), ok()),
        (json!({"exp": NOW + 359}), ok()),
        (json!({"exp": NOW + 361}), ahead()),
        (json!({"exp": NOW + 400}), ahead()),
        (json!({"exp": NOW + 3600}), ahead()),
        (json!({"exp": i64::MAX}), ahead()),
        (json!({"exp": u64::MAX}), missing("exp")),
        (json!({"exp": NOW - 59}), ok()),
        (json!({"exp": NOW - 60}), expired()),
        (json!({"exp": 0}), expired()),
        (json!({"exp": -1}), expired()),
        (json!({"exp": i64::MIN}), expired()),
        (json!({"nbf": NOW + 60, "iat": NOW - 5}), ok()),
        (json!({"nbf": NOW + 61}), early()),
        (json!({"iat": NOW + 61}), early()),
        (json!({"iat": "now"}), missing("iat")),
        // A-14
        (json!({"aud": null}), audience()),
        (json!({"aud": []}), audience()),
        (json!({"aud": "https://bulk.example.org/"}), audience()),
        (json!({"aud": "https://bulk.example.org/auth/token/x"}), audience()),
        (json!({"aud": "https://BULK.example.org/auth/token"}), audience()),
        (json!({"aud": "http://bulk.example.org/auth/token"}), audience()),
        (json!({"aud": "https://bulk.example.org/auth/token//"}), audience()),
        (json!({"aud": {"url": TOKEN_URL}}), audience()),
        (json!({"aud": [TOKEN_URL, 7]}), audience()),
        (json!({"aud": format!("{TOKEN_URL}/")}), ok()),
        (json!({"aud": ["https://elsewhere.example.org", TOKEN_URL]}), ok()),
        (json!({"aud": "https://alias.example.org/token"}), ok()),
    ] {
        let settings =
            SmartSettings { other_audiences: vec!["https://alias.example.org/token/".to_owned()], ..settings() };
        let bench = Bench::with(settings, &app(&pair));
        assert_eq!(bench.says(&pair.sign(&pair.header("k"), &changed(&change))).await, want, "{change}");
    }
}

/// A-08, A-12, A-16: headers.
#[tokio::test]
async fn every_header_is_checked() {
    let pair = Pair::of(Algorithm::ES384);
    let plain = || pair.header("k");
    let client = |what: &str| format!("401 invalid_client: {what}");
    for (header, want) in [
        (Header { typ: None, ..plain() }, "ok".to_owned()),
        (Header { typ: Some("jwt".to_owned()), ..plain() }, "ok".to_owned()),
        (Header { typ: Some("at+jwt".to_owned()), ..plain() }, client("`typ` of client_assertion must be JWT")),
        (
            Header { crit: Some(vec!["b64".to_owned()]), ..plain() },
            client("client_assertion has `crit`, which is not understood here"),
        ),
        (
            Header { kid: None, ..plain() },
            client("client_assertion has no `kid`: name the registered key it is signed with"),
        ),
        (
            pair.header("other"),
            client("no registered key has the `kid` and the type that client_assertion is signed with"),
        ),
        (
            Header { jku: Some("https://evil.example.org/jwks.json".to_owned()), ..plain() },
            client("`jku` of client_assertion is not a registered JWKS URL of this client"),
        ),
        // A key that the assertion brings along proves nothing.
        (
            Header {
                jwk: serde_json::from_value(pair.public("mine")).unwrap(),
                kid: Some("mine".to_owned()),
                ..plain()
            },
            client("no registered key has the `kid` and the type that client_assertion is signed with"),
        ),
    ] {
        let bench = Bench::new(&app(&pair));
        assert_eq!(bench.says(&pair.sign(&header, &claims("app"))).await, want, "{header:?}");
    }
}

/// A-08: the classic ways to make a verifier use the wrong key or none.
#[tokio::test]
async fn signatures_cannot_be_confused() {
    let b64 = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    for algorithm in [Algorithm::RS384, Algorithm::ES384] {
        let pair = Pair::of(algorithm);
        let bench = Bench::new(&app(&pair));
        let good = pair.sign(&pair.header("k"), &claims("app"));
        let (signed, signature) = good.rsplit_once('.').unwrap();
        let (_, payload) = signed.split_once('.').unwrap();
        let mut attacks = Vec::new();
        for name in ["none", "None", "NONE", "nOnE", "", "HS256", "HS384", "ES512", "EdDSA", "XX"] {
            let header = b64(&json!({"alg": name, "kid": "k", "typ": "JWT"}));
            attacks.extend([format!("{header}.{payload}."), format!("{header}.{payload}.{signature}")]);
        }
        // HMAC with everything that is public about the key.
        let public = pair.public("k");
        let mut secrets = vec![public.to_string().into_bytes(), b"k".to_vec(), Vec::new()];
        for member in ["n", "e", "x", "y"] {
            if let Some(text) = public[member].as_str() {
                secrets.extend([text.as_bytes().to_vec(), URL_SAFE_NO_PAD.decode(text).unwrap()]);
            }
        }
        for secret in secrets {
            for hmac in [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512] {
                let header = Header { kid: Some("k".to_owned()), ..Header::new(hmac) };
                attacks.push(encode(&header, &claims("app"), &EncodingKey::from_secret(&secret)).unwrap());
            }
        }
        // The same key under another algorithm, another key under the same name.
        let other = Pair::other(algorithm);
        attacks.push(other.sign(&other.header("k"), &claims("app")));
        for of_header in [Algorithm::RS256, Algorithm::PS384, Algorithm::ES256] {
            let header = b64(&json!({"alg": format!("{of_header:?}"), "kid": "k"}));
            attacks.push(format!("{header}.{payload}.{signature}"));
        }
        // Changed, cut and stretched.
        let other_claims = b64(&claims("app"));
        let header = signed.split_once('.').unwrap().0;
        let zeros = URL_SAFE_NO_PAD.encode(vec![0; URL_SAFE_NO_PAD.decode(signature).unwrap().len()]);
        attacks.extend([
            format!("{header}.{other_claims}.{signature}"),
            format!("{signed}."),
            format!("{signed}.{}", &signature[1..]),
            format!("{signed}.{signature}AAAA"),
            format!("{signed}.{signature}="),
            format!("{signed}.{zeros}"),
            format!("{good}.{signature}"),
            format!(".{payload}.{signature}"),
            signed.to_owned(),
            format!(" {good}"),
            format!("{good}\n"),
        ]);
        for attack in attacks {
            let says = bench.says(&attack).await;
            assert!(says.starts_with("401 invalid_client: "), "{says}: {attack}");
        }
        assert_eq!(bench.says(&good).await, "ok", "and nothing of it has used the jti up");
    }
}

/// A-16: of several keys exactly one has to fit.
#[tokio::test]
async fn one_key_is_chosen() {
    let (es, rs) = (Pair::of(Algorithm::ES384), Pair::of(Algorithm::RS384));
    let more = Pair::other(Algorithm::ES384);
    let mut for_one = rs.public("k");
    for_one["alg"] = json!("RS256");
    let no_key =
        "401 invalid_client: no registered key has the `kid` and the type that client_assertion is signed with";
    let no_kid = "401 invalid_client: client_assertion has no `kid`: name the registered key it is signed with";
    let several = "401 invalid_client: several registered keys fit client_assertion: give each its own `kid`";
    for (keys, without_kid, pair, kid, want) in [
        (vec![es.public("k"), rs.public("k")], false, &es, Some("k"), "ok"),
        (vec![es.public("k"), rs.public("k")], false, &rs, Some("k"), "ok"),
        (vec![more.public("a"), es.public("b")], false, &es, Some("b"), "ok"),
        (vec![rs.public("k")], false, &es, Some("k"), no_key),
        (vec![for_one], false, &rs, Some("k"), no_key),
        // T-20
        (vec![es.public("k")], false, &es, None, no_kid),
        (vec![es.public("k")], true, &es, None, "ok"),
        (vec![es.public("k"), rs.public("r")], true, &es, None, "ok"),
        (vec![es.public("k"), more.public("l")], true, &es, None, several),
        (vec![rs.public("k")], true, &es, None, no_key),
        (vec![es.public("k")], true, &es, Some("other"), no_key),
    ] {
        let bench = Bench::new(&json!([{
            "client_id": "app", "jwks": {"keys": keys}, "scopes": ["system/*.rs"], "groups": "all",
            "allow_missing_kid": without_kid,
        }]));
        let header = Header { kid: kid.map(str::to_owned), ..Header::new(pair.algorithm) };
        assert_eq!(bench.says(&pair.sign(&header, &claims("app"))).await, want, "{keys:?} {kid:?}");
    }
}

#[test]
fn size_is_bounded_and_depth_too() {
    let allowed = Algorithms::default();
    assert_eq!(assertion::read(&"a".repeat(MAX_ASSERTION + 1), &allowed), Err(Flaw::TooLong));
    let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
    let header = part(r#"{"alg":"ES384","kid":"k"}"#);
    let deep = format!(r#"{{"iss":"app","x":{}}}"#, "[".repeat(5000));
    for token in [
        format!("{header}.{}.c2ln", part(&deep)),
        format!("{}.{header}.c2ln", part(&"[".repeat(5000))),
        format!("{}.e30.c2ln", part(r#"{"alg":["ES384"]}"#)),
        format!("{}.e30.c2ln", part("\u{0}")),
        "..".to_owned(),
        "...".to_owned(),
        String::new(),
        "\u{e9}.\u{e9}.\u{e9}".to_owned(),
    ] {
        assert!(assertion::read(&token, &allowed).is_err(), "{token}");
    }
}

proptest::proptest! {
    /// What the fuzz target does, in small.
    #[test]
    fn no_bytes_break_the_reader(text in "\\PC{0,300}", header in "\\PC{0,60}", claims in "\\PC{0,60}") {
        let allowed = Algorithms::default();
        let _ = assertion::read(&text, &allowed);
        let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
        let _ = assertion::read(&format!("{}.{}.c2ln", part(&header), part(&claims)), &allowed);
        let good = part(r#"{"alg":"ES384","kid":"k"}"#);
        let _ = assertion::read(&format!("{good}.{}.c2ln", part(&claims)), &allowed);
    }
}
