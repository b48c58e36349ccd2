//! Clients with keys, a server of key sets that counts, and an authority over them.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{IpAddr, Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{self, EcdsaKeyPair, RsaKeyPair};
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};

use super::super::*;
use crate::clock::{Clock, SetClock};

pub(super) const TOKEN_URL: &str = "https://bulk.example.org/auth/token";
/// 2026-01-15, in seconds.
pub(super) const NOW: i64 = 1_768_435_200;
pub(super) const PEER: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7));
pub(super) const FORM: &str = "application/x-www-form-urlencoded";

/// A key pair. Each algorithm has two, made once.
#[derive(Clone)]
pub(super) struct Pair {
    pub(super) algorithm: Algorithm,
    pub(super) private: EncodingKey,
}

impl Pair {
    pub(super) fn of(algorithm: Algorithm) -> Self {
        Self::made(algorithm, 0)
    }

    /// Another key of the same kind.
    pub(super) fn other(algorithm: Algorithm) -> Self {
        Self::made(algorithm, 1)
    }

    fn made(algorithm: Algorithm, number: usize) -> Self {
        static KEYS: OnceLock<[[EncodingKey; 3]; 2]> = OnceLock::new();
        let make = || {
            let rsa = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
            let ec = |algorithm| EcdsaKeyPair::generate(algorithm).unwrap().to_pkcs8v1().unwrap();
            let der: Pkcs8V1Der<'_> = rsa.as_der().unwrap();
            [
                // The library wants PKCS#1 for RSA and PKCS#8 for curves.
                EncodingKey::from_rsa_der(pkcs1(der.as_ref())),
                EncodingKey::from_ec_der(ec(&signature::ECDSA_P256_SHA256_FIXED_SIGNING).as_ref()),
                EncodingKey::from_ec_der(ec(&signature::ECDSA_P384_SHA384_FIXED_SIGNING).as_ref()),
            ]
        };
        let keys = KEYS.get_or_init(|| [make(), make()]);
        let kind = match algorithm {
            Algorithm::ES256 => 1,
            Algorithm::ES384 => 2,
            _ => 0,
        };
        Self { algorithm, private: keys[number][kind].clone() }
    }

    /// The public half, for a JWKS.
    pub(super) fn public(&self, kid: &str) -> Value {
        let mut jwk = serde_json::to_value(Jwk::from_encoding_key(&self.private, self.algorithm).unwrap()).unwrap();
        jwk["kid"] = json!(kid);
        jwk
    }

    pub(super) fn sign(&self, header: &Header, claims: &Value) -> String {
        encode(header, claims, &self.private).unwrap()
    }

    /// A header with this key's algorithm and this `kid`.
    pub(super) fn header(&self, kid: &str) -> Header {
        Header { kid: Some(kid.to_owned()), ..Header::new(self.algorithm) }
    }
}

/// The RSAPrivateKey inside a PKCS#8 document: the last OCTET STRING.
fn pkcs1(pkcs8: &[u8]) -> &[u8] {
    let start = (4..pkcs8.len()).find(|at| pkcs8[*at..].starts_with(&[0x04, 0x82])).unwrap();
    &pkcs8[start + 4..]
}

/// Claims that hold at [`NOW`].
pub(super) fn claims(client: &str) -> Value {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    let jti = format!("jti-{}", NUMBER.fetch_add(1, Ordering::Relaxed));
    json!({"iss": client, "sub": client, "aud": TOKEN_URL, "exp": NOW + 300, "jti": jti})
}

/// The fields of a token request.
pub(super) fn form(assertion: &str, scope: &str) -> Vec<(String, String)> {
    [
        ("grant_type", "client_credentials"),
        ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
        ("client_assertion", assertion),
        ("scope", scope),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into()
}

/// Remembers in memory, or cannot.
#[derive(Default)]
pub(super) struct Memory {
    known: Mutex<std::collections::HashSet<(String, String)>>,
    pub(super) broken: std::sync::atomic::AtomicBool,
}

impl Replays for Memory {
    fn first(&self, issuer: &str, jti: &str, _until: i64, _now: i64) -> Result<bool, ReplayError> {
        if self.broken.load(Ordering::SeqCst) {
            return Err(ReplayError("the disk is full".into()));
        }
        Ok(self.known.lock().unwrap().insert((issuer.to_owned(), jti.to_owned())))
    }
}

/// An authority with the clients of a registry file, and what it stands on.
pub(super) struct Bench {
    pub(super) authority: Authority,
    pub(super) clock: Arc<SetClock>,
    pub(super) replays: Arc<Memory>,
}

pub(super) fn settings() -> SmartSettings {
    SmartSettings {
        token_url: TOKEN_URL.to_owned(),
        types: ["Patient", "Observation", "Condition", "Group"].map(str::to_owned).into(),
        algorithms: Algorithms::with(["RS256", "RS512", "ES256", "PS256", "PS384", "PS512"]).unwrap(),
        fetch: FetchSettings { allow_inner_hosts: ["127.0.0.1".to_owned()].into() },
        ..SmartSettings::default()
    }
}

impl Bench {
    pub(super) fn new(registry: &Value) -> Self {
        Self::with(settings(), registry)
    }

    pub(super) fn with(settings: SmartSettings, clients: &Value) -> Self {
        let clock = Arc::new(SetClock::at(NOW * 1_000_000));
        let replays = Arc::new(Memory::default());
        let authority = Authority::smart(
            settings,
            self::clients(clients),
            SigningKey::random().unwrap(),
            Arc::clone(&replays) as Arc<dyn Replays>,
            Arc::clone(&clock) as Arc<dyn Clock>,
        );
        Self { authority: authority.unwrap(), clock, replays }
    }

    pub(super) async fn post(&self, assertion: &str, scope: &str) -> Result<TokenResponse, TokenError> {
        self.authority.token(&form(assertion, scope), FORM, PEER).await
    }

    /// `ok`, or the error code and its description.
    pub(super) async fn says(&self, assertion: &str) -> String {
        match self.post(assertion, "system/*.rs").await {
            Ok(_) => "ok".to_owned(),
            Err(error) => format!("{} {}: {}", error.status(), error.code(), error.description()),
        }
    }

    pub(super) async fn bearer(&self, token: &str) -> Result<Access, Refused> {
        self.authority.access(Some(&format!("Bearer {token}"))).await
    }
}

/// A registry from JSON, which is YAML.
pub(super) fn clients(list: &Value) -> Registry {
    super::super::registry::parse(&json!({ "clients": list }).to_string()).unwrap()
}

/// A client `app` with one key `k`, and everything allowed.
pub(super) fn app(pair: &Pair) -> Value {
    json!([{"client_id": "app", "jwks": {"keys": [pair.public("k")]}, "scopes": ["system/*.rs"], "groups": "all"}])
}

/// A server of key sets on this machine. It counts requests and answers what it was last told to.
pub(super) struct KeyServer {
    port: u16,
    answer: Arc<Mutex<String>>,
    requests: Arc<Mutex<Vec<String>>>,
}

impl KeyServer {
    pub(super) fn start(answer: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let answer = Arc::new(Mutex::new(answer));
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (to_give, seen) = (Arc::clone(&answer), Arc::clone(&requests));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { return };
                let mut head = String::new();
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                while reader.read_line(&mut head).is_ok_and(|read| read > 2) {}
                seen.lock().unwrap().push(head);
                let answer = to_give.lock().unwrap().clone();
                // A client that has read enough hangs up.
                let _ = stream.write_all(answer.as_bytes());
            }
        });
        Self { port, answer, requests }
    }

    pub(super) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/jwks.json", self.port)
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    pub(super) fn answers(&self, answer: String) {
        *self.answer.lock().unwrap() = answer;
    }

    pub(super) fn count(&self) -> usize {
        self.requests.lock().unwrap().len()
    }

    /// The last request, line and headers in lower case.
    pub(super) fn last(&self) -> String {
        self.requests.lock().unwrap().last().unwrap().to_ascii_lowercase()
    }
}

/// An answer with a body; `headers` end in CRLF each.
pub(super) fn http(status: &str, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n{headers}\r\n{body}", body.len())
}

/// An answer with these keys.
pub(super) fn jwks(headers: &str, keys: &[Value]) -> String {
    http("200 OK", headers, &json!({ "keys": keys }).to_string())
}
