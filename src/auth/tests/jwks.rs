//! Key sets behind URLs, over a socket.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::sync::mpsc;

use jsonwebtoken::{Algorithm, Header};
use serde_json::{Value, json};

use super::support::*;
use crate::auth::{FetchSettings, SmartSettings};

const UNREADABLE: &str = "401 invalid_client: the registered JWKS URL of this client cannot be read at the moment";
const NO_KEY: &str =
    "401 invalid_client: no registered key has the `kid` and the type that client_assertion is signed with";
const FOREIGN: &str = "401 invalid_client: `jku` of client_assertion is not a registered JWKS URL of this client";

fn es() -> Pair {
    Pair::of(Algorithm::ES384)
}

fn client(url: &str) -> Value {
    json!([{"client_id": "app", "jwks_uri": url, "scopes": ["system/*.rs"], "groups": "all"}])
}

fn assertion(pair: &Pair, kid: &str) -> String {
    pair.sign(&pair.header(kid), &claims("app"))
}

/// Claims whose time is that of the clock.
fn at(bench: &Bench, pair: &Pair, kid: &str) -> String {
    use crate::clock::Clock as _;
    let mut claims = claims("app");
    claims["exp"] = json!(bench.clock.now_seconds() + 300);
    pair.sign(&pair.header(kid), &claims)
}

/// fetched once while it may be kept, as the server says.
#[tokio::test]
async fn a_set_is_kept_as_long_as_it_may_be() {
    for (headers, still, over) in [
        ("", 299, 300),
        ("Cache-Control: max-age=20\r\n", 19, 20),
        ("Cache-Control: public, max-age=900\r\nAge: 600\r\n", 299, 300),
        ("Cache-Control: max-age=31536000\r\n", 3599, 3600),
    ] {
        let server = KeyServer::start(jwks(headers, &[es().public("k")]));
        let bench = Bench::new(&client(&server.url()));
        for _ in 0..3 {
            assert_eq!(bench.says(&assertion(&es(), "k")).await, "ok");
        }
        assert_eq!(server.count(), 1, "{headers}");
        bench.clock.advance(still);
        assert_eq!(bench.says(&at(&bench, &es(), "k")).await, "ok");
        assert_eq!(server.count(), 1, "{headers}");
        bench.clock.advance(over - still);
        assert_eq!(bench.says(&at(&bench, &es(), "k")).await, "ok");
        assert_eq!(server.count(), 2, "{headers}");
        let request = server.last();
        assert!(request.starts_with("get /jwks.json http/1.1"), "{request}");
        assert!(request.contains("accept: application/json\r\n"), "{request}");
        for secret in ["authorization", "cookie", "referer"] {
            assert!(!request.contains(secret), "{request}");
        }
    }
}

/// `no-store` is kept not at all.
#[tokio::test]
async fn a_set_that_must_not_be_kept_is_not() {
    let server = KeyServer::start(jwks("Cache-Control: no-store\r\n", &[es().public("k")]));
    let bench = Bench::new(&client(&server.url()));
    for number in 1..4 {
        assert_eq!(bench.says(&assertion(&es(), "k")).await, "ok");
        assert_eq!(server.count(), number);
    }
}

/// a new key is found at once, yet nobody can make us fetch more than once a minute.
#[tokio::test]
async fn keys_are_rotated() {
    let server = KeyServer::start(jwks("", &[es().public("old")]));
    let bench = Bench::new(&client(&server.url()));
    assert_eq!(bench.says(&assertion(&es(), "old")).await, "ok");
    let new = Pair::other(Algorithm::ES384);
    server.answers(jwks("", &[es().public("old"), new.public("new")]));
    assert_eq!(bench.says(&assertion(&new, "new")).await, NO_KEY, "fetched a moment ago");
    bench.clock.advance(60);
    assert_eq!(bench.says(&at(&bench, &new, "new")).await, "ok");
    assert_eq!(server.count(), 2);
    for _ in 0..5 {
        assert_eq!(bench.says(&at(&bench, &new, "unheard-of")).await, NO_KEY);
    }
    assert_eq!(server.count(), 2);
    // A key that was taken back ends with the set it was in.
    server.answers(jwks("", &[new.public("new")]));
    bench.clock.advance(300);
    assert_eq!(bench.says(&at(&bench, &es(), "old")).await, NO_KEY);
    assert_eq!(server.count(), 3);
}

/// 30 seconds, then again; what may still be kept survives a failure.
#[tokio::test]
async fn failures_are_remembered_for_a_while() {
    let server = KeyServer::start(http("500 Internal Server Error", "", "{}"));
    let bench = Bench::new(&client(&server.url()));
    for _ in 0..3 {
        assert_eq!(bench.says(&assertion(&es(), "k")).await, UNREADABLE);
    }
    assert_eq!(server.count(), 1);
    server.answers(jwks("", &[es().public("k")]));
    bench.clock.advance(29);
    assert_eq!(bench.says(&at(&bench, &es(), "k")).await, UNREADABLE);
    bench.clock.advance(1);
    assert_eq!(bench.says(&at(&bench, &es(), "k")).await, "ok");
    assert_eq!(server.count(), 2);
    server.answers(http("503 Service Unavailable", "", ""));
    bench.clock.advance(100);
    assert_eq!(bench.says(&at(&bench, &es(), "other")).await, NO_KEY, "asked again, without success");
    assert_eq!(server.count(), 3);
    assert_eq!(bench.says(&at(&bench, &es(), "k")).await, "ok", "the set we have is still good");
    bench.clock.advance(200);
    assert_eq!(bench.says(&at(&bench, &es(), "k")).await, UNREADABLE, "and now it is over");
}

/// Reading the registry again makes us look again.
#[tokio::test]
async fn a_reload_fetches_anew() {
    let server = KeyServer::start(http("404 Not Found", "", ""));
    let bench = Bench::new(&client(&server.url()));
    assert_eq!(bench.says(&assertion(&es(), "k")).await, UNREADABLE);
    server.answers(jwks("", &[es().public("k")]));
    bench.authority.replace_clients(clients(&client(&server.url())));
    assert_eq!(bench.says(&assertion(&es(), "k")).await, "ok");
}

/// what is not a set of public keys within the limits.
#[tokio::test]
async fn bad_sets_open_nothing() {
    let mut private = es().public("k");
    private["d"] = json!("c2VjcmV0");
    let mut encryption = es().public("k");
    encryption["use"] = json!("enc");
    let mut short = Pair::of(Algorithm::RS384).public("k");
    short["n"] = json!("AQAB");
    let set = |keys: Value| http("200 OK", "", &keys.to_string());
    let long = "x".repeat(1024 * 1024);
    let many: Vec<Value> = (0..101).map(|number| es().public(&number.to_string())).collect();
    for (answer, want) in [
        (set(json!({"keys": [es().public("k")]})), "ok"),
        // Keys for other purposes and of other kinds may stand beside.
        (set(json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "x": "AA"}, encryption, es().public("k")]})), "ok"),
        (set(json!({"keys": [es().public("k")], "padding": "x".repeat(1000)})), "ok"),
        (set(json!({"keys": [private, es().public("k2")]})), UNREADABLE),
        (set(json!({"keys": [{"kty": "oct", "k": "c2VjcmV0"}, es().public("k")]})), UNREADABLE),
        (set(json!({"keys": [encryption]})), NO_KEY),
        (set(json!({"keys": [short]})), NO_KEY),
        (set(json!({"keys": []})), NO_KEY),
        (set(json!({"keys": {}})), UNREADABLE),
        (set(json!({"keys": ["k"]})), UNREADABLE),
        (set(json!({"keys": many})), UNREADABLE),
        (set(json!([es().public("k")])), UNREADABLE),
        (set(json!({"keys": [es().public("k")], "padding": long})), UNREADABLE),
        (http("200 OK", "", "<html>"), UNREADABLE),
        (http("200 OK", "", &"[".repeat(100_000)), UNREADABLE),
        (http("200 OK", "", ""), UNREADABLE),
        (http("204 No Content", "", ""), UNREADABLE),
        ("HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n{}".to_owned(), UNREADABLE),
        ("SSH-2.0-OpenSSH\r\n".to_owned(), UNREADABLE),
        (String::new(), UNREADABLE),
    ] {
        let server = KeyServer::start(answer.clone());
        let bench = Bench::new(&client(&server.url()));
        let says = bench.says(&assertion(&es(), "k")).await;
        assert_eq!(says, want, "{}", &answer[..answer.len().min(200)]);
    }
}

/// redirects stay with their host.
#[tokio::test]
async fn redirects_lead_nowhere_else() {
    let other = KeyServer::start(jwks("", &[es().public("k")]));
    let redirect = |to: &str| http("302 Found", &format!("Location: {to}\r\n"), "");
    for to in [
        other.url(),
        format!("http://localhost:{}/jwks.json", other.port()),
        "https://127.0.0.1/".to_owned(),
        "file:///etc/passwd".to_owned(),
    ] {
        let server = KeyServer::start(redirect(&to));
        let bench = Bench::new(&client(&server.url()));
        assert_eq!(bench.says(&assertion(&es(), "k")).await, UNREADABLE, "{to}");
        assert_eq!((server.count(), other.count()), (1, 0), "{to}");
    }
    // On the same host it is followed, but not for ever.
    let server = KeyServer::start(redirect("/moved"));
    let bench = Bench::new(&client(&server.url()));
    assert_eq!(bench.says(&assertion(&es(), "k")).await, UNREADABLE);
    assert_eq!(server.count(), 4);
}

/// without being listed, this machine and the network around it are not called, by address or by name.
#[tokio::test]
async fn inner_addresses_are_not_called() {
    let server = KeyServer::start(jwks("", &[es().public("k")]));
    for (inner, url, works) in [
        (vec!["127.0.0.1"], format!("http://127.0.0.1:{}/", server.port()), true),
        (vec!["localhost"], format!("http://localhost:{}/", server.port()), true),
        (vec!["localhost"], format!("http://127.0.0.1:{}/", server.port()), false),
        (vec!["127.0.0.1"], format!("http://localhost:{}/", server.port()), false),
        (vec![], format!("http://127.0.0.1:{}/", server.port()), false),
        // Over TLS it is the resolver that refuses.
        (vec![], format!("https://localhost:{}/", server.port()), false),
        (vec![], format!("https://127.0.0.1:{}/", server.port()), false),
    ] {
        let before = server.count();
        let fetch = FetchSettings { allow_inner_hosts: inner.iter().map(|host| (*host).to_owned()).collect() };
        let bench = Bench::with(SmartSettings { fetch, ..settings() }, &client(&url));
        assert_eq!(bench.says(&assertion(&es(), "k")).await, if works { "ok" } else { UNREADABLE }, "{inner:?} {url}");
        assert_eq!(server.count() - before, usize::from(works), "{inner:?} {url}");
    }
}

/// A-16, T-18: `jku` chooses among registered URLs and never brings in another.
#[tokio::test]
async fn jku_must_be_registered() {
    let (registered, allowed, evil) = (Pair::of(Algorithm::ES384), Pair::other(Algorithm::ES384), es());
    let at_uri = KeyServer::start(jwks("", &[registered.public("k")]));
    let at_jku = KeyServer::start(jwks("", &[allowed.public("k")]));
    let elsewhere = KeyServer::start(jwks("", &[evil.public("k")]));
    let by_url = json!([{"client_id": "app", "jwks_uri": at_uri.url(), "allowed_jku": [at_jku.url()],
        "scopes": ["system/*.rs"], "groups": "all"}]);
    let inline = json!([{"client_id": "app", "jwks": {"keys": [registered.public("k")]},
        "allowed_jku": [at_jku.url()], "scopes": ["system/*.rs"], "groups": "all"}]);
    let signature = "401 invalid_client: the signature of client_assertion does not match the registered key";
    for (client, jku, pair, want) in [
        (&by_url, None, &registered, "ok"),
        (&by_url, Some(at_uri.url()), &registered, "ok"),
        (&by_url, Some(at_jku.url()), &allowed, "ok"),
        (&by_url, Some(at_jku.url()), &registered, signature),
        (&by_url, Some(at_uri.url()), &allowed, signature),
        (&by_url, Some(elsewhere.url()), &evil, FOREIGN),
        (&by_url, Some(format!("{}?x", at_uri.url())), &registered, FOREIGN),
        (&by_url, Some(String::new()), &registered, FOREIGN),
        (&inline, None, &registered, "ok"),
        (&inline, Some(at_jku.url()), &allowed, "ok"),
        (&inline, Some(at_uri.url()), &registered, FOREIGN),
    ] {
        let bench = Bench::new(client);
        let header = Header { jku: jku.clone(), ..pair.header("k") };
        assert_eq!(bench.says(&pair.sign(&header, &claims("app"))).await, want, "{jku:?}");
    }
    assert_eq!(elsewhere.count(), 0);
}

/// whoever comes while keys are fetched waits for that fetch.
#[tokio::test]
async fn requests_at_once_fetch_once() {
    let server = KeyServer::start(jwks("", &[es().public("k")]));
    let bench = Bench::new(&client(&server.url()));
    let (a, b, c) = (assertion(&es(), "k"), assertion(&es(), "k"), assertion(&es(), "k"));
    let says = tokio::join!(bench.says(&a), bench.says(&b), bench.says(&c));
    assert_eq!(says, ("ok".to_owned(), "ok".to_owned(), "ok".to_owned()));
    assert_eq!(server.count(), 1);
}

/// whoever hangs up while keys are fetched does not keep others from learning them.
#[tokio::test]
async fn a_caller_that_hangs_up_spoils_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let (asked, mut is_asked) = tokio::sync::mpsc::unbounded_channel();
    let (go, may_go) = mpsc::channel::<()>();
    let server = std::thread::spawn(move || {
        let mut stream = listener.accept().unwrap().0;
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let mut head = String::new();
        while reader.read_line(&mut head).is_ok_and(|read| read > 2) {}
        asked.send(()).unwrap();
        may_go.recv().unwrap();
        stream.write_all(jwks("", &[es().public("k")]).as_bytes()).unwrap();
    });
    let bench = Bench::new(&client(&url));
    let (first, second) = (assertion(&es(), "k"), assertion(&es(), "k"));
    tokio::select! {
        says = bench.says(&first) => panic!("answered before the server did: {says}"),
        _ = is_asked.recv() => {}
    }
    go.send(()).unwrap();
    assert_eq!(bench.says(&second).await, "ok", "from the one fetch there was");
    server.join().unwrap();
}
