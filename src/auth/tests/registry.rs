//! The registry file: what it can say, and where each mistake is told (A-06, A-07).

use jsonwebtoken::Algorithm;
use serde_json::{Value, json};

use super::support::*;
use crate::auth::{GroupAccess, Keys, registry};

const PAGE: &str = include_str!("../../../docs/src/how-to/register-a-client.md");

/// The sample of the page with this label.
fn sample(label: &str) -> &'static str {
    let (_, rest) = PAGE.split_once(&format!("```yaml,{label}\n")).unwrap();
    rest.split_once("```").unwrap().0
}

/// A-06: the page shows a file that works, with keys of both kinds.
#[test]
fn the_documented_file_is_read() {
    let clients = registry::parse(sample("clients")).unwrap();
    assert_eq!(clients.len(), 3);
    let warehouse = clients.get("research-warehouse").unwrap();
    assert!(matches!(&warehouse.keys, Keys::Url(url) if url == "https://warehouse.example.org/jwks.json"));
    assert!(warehouse.scopes.reads_everything() && !warehouse.admin);
    assert_eq!((&warehouse.groups, warehouse.max_running), (&GroupAccess::All, None));
    let diabetes = clients.get("diabetes-registry").unwrap();
    assert!(matches!(&diabetes.keys, Keys::Inline(_)));
    assert!(diabetes.scopes.reads("Patient") && !diabetes.scopes.reads("Condition"));
    assert_eq!(diabetes.groups, GroupAccess::Only(["diab-2025", "diab-2026"].map(str::to_owned).into()));
    assert_eq!((diabetes.max_running, diabetes.allow_missing_kid), (Some(1), false));
    assert_eq!((warehouse.withheld.len(), diabetes.withheld.len()), (0, 2));
    let kit = clients.get("conformance-kit").unwrap();
    assert!(kit.allow_missing_kid);
    assert_eq!(kit.allowed_jku, ["https://kit.example.org/jwks.json".to_owned()].into());
    assert_eq!(kit.origins, ["https://kit.example.org".to_owned()].into());

    let external = registry::parse_external(sample("clients-external")).unwrap();
    assert!(matches!(external.get("research-warehouse").unwrap().keys, Keys::Elsewhere));
    assert!(registry::parse("clients: []").unwrap().is_empty());
}

/// Ids of digits are texts, whatever YAML takes them for.
#[test]
fn ids_of_digits_keep_their_zeros() {
    let text =
        "clients:\n- client_id: 007\n  jwks_uri: https://a.example/\n  scopes: [system/*.rs]\n  groups: [0042, 1e3]";
    let clients = registry::parse(text).unwrap();
    let groups = &clients.get("007").unwrap().groups;
    assert_eq!(*groups, GroupAccess::Only(["0042", "1e3"].map(str::to_owned).into()));
}

/// Every mistake with its line, and with what to write instead.
#[test]
fn mistakes_are_told_with_line_and_remedy() {
    let client = |lines: &str| format!("clients:\n- client_id: a\n{lines}");
    let complete = "  scopes: [system/*.rs]\n  groups: all\n";
    let keyed = format!("  jwks_uri: https://a.example/\n{complete}");
    let scoped =
        |scope: &str| client(&format!("  jwks_uri: https://a.example/\n  groups: all\n  scopes:\n  - {scope}\n"));
    for (text, want) in [
        (client(complete), "2: client has no keys: write jwks_uri with the https URL of its JWKS, or jwks"),
        (
            client(&format!("  jwks_uri: http://a.example/\n{complete}")),
            "3: jwks_uri is not https; plain http is for this machine only, when its host is listed in inner-hosts",
        ),
        (
            client(&format!("  jwks_uri: a.json\n{complete}")),
            "3: jwks_uri is not an https URL without user and password",
        ),
        (
            client(&format!("  jwks: {{keys: []}}\n{keyed}")),
            "4: client has both jwks_uri and jwks: keep one, better jwks_uri",
        ),
        (
            client(&format!("{keyed}  allowed_jku: [\"https://b:c@a.example/\"]\n")),
            "6: allowed_jku is not an https URL without user and password",
        ),
        (
            client("  jwks_uri: https://a.example/\n  groups: all\n  scopes: []\n"),
            "5: scopes is empty: write what the client may read, as `system/*.rs`",
        ),
        (scoped("patient/*.rs"), "6: scope `patient/*.rs` is not a system scope: write `system/TYPE.rs`"),
        (
            scoped("system/Patient"),
            "6: scope `system/Patient` is not of the form `system/TYPE.rs`, `system/*.rs` or `system/TYPE.read`",
        ),
        (scoped("system/*.sr"), "6: scope `system/*.sr` has letters other than `cruds` in this order"),
        (
            scoped("system/*.cruds"),
            "6: scope `system/*.cruds` writes, which this server does to Group alone: end it in `.rs`",
        ),
        (
            scoped("system/Observation.rs?code=x"),
            "6: scope `system/Observation.rs?code=x` has a query, which is not enforced here and therefore never granted",
        ),
        (
            client(&format!("{keyed}  origins:\n  - https://a.example/app\n")),
            "7: origins has an entry that is not `https://host` or `https://host:port` in lower case",
        ),
        (
            client(&format!("{keyed}  origins: [\"*\"]\n")),
            "6: origins has an entry that is not `https://host` or `https://host:port` in lower case",
        ),
        (client(&format!("{keyed}  withhold: []\n")), "6: withhold is empty: remove it, or write what is withheld"),
        (
            client(&format!("{keyed}  admin: true\n  withhold: [\"*?_security=R\"]\n")),
            "7: withhold does not go with `admin: true`, which opens the jobs of other clients",
        ),
        (
            client(&format!("{keyed}  withhold:\n  - \"*?_security=R\"\n  - Observation?date=24\n")),
            "8: withhold `Observation?date=24` must compare with a value of its parameter's kind",
        ),
        (client(&format!("{keyed}  max_running: 0\n")), "6: max_running is 0: remove the client to lock it out"),
        (
            format!("clients:\n- client_id: anonymous\n{keyed}"),
            "2: client_id `anonymous` stands for everybody on an open server: choose another",
        ),
        (format!("clients:\n- client_id: \"a b\"\n{keyed}"), "2: client_id must be 1 to 255 visible ASCII characters"),
        (
            format!("clients:\n- client_id: a\n{keyed}\n- client_id: a\n{keyed}"),
            "7: client_id is that of the client in line 2: give each its own",
        ),
    ] {
        let error = registry::parse(&text).unwrap_err();
        assert_eq!(error.render("f"), format!("f:{want}"), "{text}");
    }
    // Nothing is told of keys that another server checks.
    let error = registry::parse_external(&client(&keyed)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "line 3: keys are checked by the authorization server: remove jwks, jwks_uri, allowed_jku and \
         allow_missing_kid here"
    );
    let several = client("  scopes: [x, system/*.cruds]\n  groups: all\n");
    assert_eq!(registry::parse(&several).unwrap_err().mistakes.len(), 3, "all at once");
}

/// What is not understood is never passed over.
#[test]
fn the_form_is_checked_with_its_line() {
    let complete = "  jwks_uri: https://a.example/\n  scopes: [system/*.rs]\n  groups: all\n";
    for (text, line, says) in [
        (String::new(), 1, "the file is empty"),
        ("clients:\n".to_owned(), 1, "a list is needed"),
        ("clients: {}\n".to_owned(), 1, ""),
        ("client:\n- client_id: a\n".to_owned(), 1, "clients"),
        (format!("clients:\n- client_id: a\n{complete}  scope: x\n"), 6, "scope"),
        (format!("clients:\n- client_id: a\n{complete}  groups: all\n"), 6, "duplicate mapping key: groups;"),
        (format!("clients:\n- client_id: a\n{complete}  admin: perhaps\n"), 6, ""),
        (format!("clients:\n- client_id: a\n{complete}  max_running: -1\n"), 6, ""),
        ("clients:\n- client_id: a\n  jwks_uri: https://a.example/\n  scopes: [system/*.rs]\n".to_owned(), 2, "groups"),
        ("clients:\n- client_id: a\n  scopes: [system/*.rs]\n  groups: some\n".to_owned(), 4, "`all` or a list"),
        ("clients:\n- client_id: a\n  scopes: system/*.rs\n  groups: all\n".to_owned(), 3, ""),
        ("clients:\n- client_id: [\n".to_owned(), 2, ""),
        ("clients: []\nextra: 1\n".to_owned(), 2, "extra"),
    ] {
        let error = registry::parse(&text).unwrap_err();
        let mistake = &error.mistakes[0];
        assert!(mistake.line.abs_diff(line) <= 2, "{} is not near {line}: {text}\n{error}", mistake.line);
        assert!(mistake.message.contains(says), "{error} does not name {says}");
        assert!(mistake.message.ends_with("the file is described under \"Register a client\""), "{error}");
    }
}

/// A-07: every kind of key set that must not be registered.
#[test]
fn key_sets_are_checked_at_load() {
    let (es, rs) = (Pair::of(Algorithm::ES384).public("k"), Pair::of(Algorithm::RS384).public("k"));
    let with = |key: &Value, change: Value| {
        let mut key = key.clone();
        for (name, value) in change.as_object().unwrap() {
            key[name] = value.clone();
        }
        key.as_object_mut().unwrap().retain(|_, value| !value.is_null());
        json!({"keys": [key]})
    };
    let set = |keys: Value| json!({ "keys": keys });
    let key = |reason: &str| Some(format!("has a key that cannot be used: keys[0] {reason}"));
    let private = || {
        let remedy = "make a new key pair and register its public half only";
        Some(format!("holds a private or shared key in keys[0]: {remedy}"))
    };
    let form = || Some("is not a JWKS: write an object with a list `keys`".to_owned());
    for (jwks, want) in [
        (set(json!([es, rs])), None),
        (with(&es, json!({"use": "sig", "key_ops": ["verify"]})), None),
        (with(&rs, json!({"alg": null})), None),
        // Private and shared keys.
        (with(&es, json!({"d": "AAAA"})), private()),
        (with(&rs, json!({"d": "AAAA", "p": "AAAA"})), private()),
        (with(&rs, json!({"dp": "AAAA"})), private()),
        (set(json!([{"kty": "oct", "kid": "k", "k": "AAAA"}])), private()),
        // Forms.
        (json!({}), form()),
        (json!([es]), form()),
        (set(json!(es)), form()),
        (set(json!(["k"])), form()),
        (set(json!([])), Some("has 0 keys: 1 to 100 can be used".to_owned())),
        // Each member.
        (with(&es, json!({"kid": null})), key("has no `kid`: give it a name of your choice")),
        (with(&es, json!({"kid": 2026})), key("has a `kid` that is not a text: put it in quotes")),
        (with(&es, json!({"kid": ""})), key("has a `kid` that is not a text: put it in quotes")),
        (with(&es, json!({"kty": null})), key("has a `kty` other than RSA and EC")),
        (with(&es, json!({"kty": "OKP"})), key("has a `kty` other than RSA and EC")),
        (with(&es, json!({"use": "enc"})), key("is not for signatures: `use` must be `sig` or left out")),
        (
            with(&es, json!({"key_ops": ["sign"]})),
            key("is not for verifying: `key_ops` must have `verify` or be left out"),
        ),
        (with(&es, json!({"alg": "RS384"})), key("has an `alg` that does not fit its `kty`")),
        (with(&es, json!({"alg": "ES256"})), key("has an `alg` that does not fit its `kty`")),
        (with(&rs, json!({"alg": "HS256"})), key("has an `alg` that does not fit its `kty`")),
        (with(&es, json!({"crv": "P-521"})), key("is on a curve other than P-256 and P-384")),
        (with(&es, json!({"crv": "P-256", "alg": null})), key("has coordinates of another length than its curve")),
        (with(&es, json!({"x": null})), key("has no `x` and `y` in base64url without padding")),
        (with(&es, json!({"y": "+/+/"})), key("has no `x` and `y` in base64url without padding")),
        (with(&rs, json!({"n": null})), key("has no `n` in base64url without padding")),
        (with(&rs, json!({"n": "AQAB"})), key("is an RSA key of a size other than 2048 to 8192 bits")),
        (with(&rs, json!({"n": "A".repeat(344)})), key("is an RSA key of a size other than 2048 to 8192 bits")),
        (with(&rs, json!({"e": null})), key("has no `e` in base64url without padding")),
        (with(&rs, json!({"e": "AQ"})), key("has an `e` that is no RSA exponent: 65537 is the usual one")),
        (with(&rs, json!({"e": "AQAA"})), key("has an `e` that is no RSA exponent: 65537 is the usual one")),
    ] {
        let text = json!({"clients": [
            {"client_id": "app", "jwks": jwks, "scopes": ["system/*.rs"], "groups": "all"}
        ]});
        let found = registry::parse(&text.to_string()).err().map(|error| error.mistakes[0].message.clone());
        assert_eq!(found, want.map(|reason| format!("jwks {reason}")), "{jwks}");
    }
    let twice = json!({"clients": [{"client_id": "app", "jwks": {"keys": [es, es]}, "scopes": ["system/*.rs"], "groups": "all"}]});
    let error = registry::parse(&twice.to_string()).unwrap_err().to_string();
    assert!(error.ends_with("keys[1] has the `kid` of another key: give it its own"), "{error}");
}

proptest::proptest! {
    #[test]
    fn no_text_breaks_the_reader(text in "(clients:|- |client_id: |jwks: |groups: |\\[|\\{|&a|\\*a|\n|\\PC){0,40}") {
        let _ = registry::parse(&text);
    }
}
