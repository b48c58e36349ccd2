//! SMART Backend Services over HTTP: registered clients, their tokens, and what each may see.

mod access;
mod along;
mod cohorts;
mod external;
mod tokens;
mod withheld;

use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::packs::store;
use crate::rust_text::root;
use crate::support::database::Database;
use crate::support::server::{Answer, Server};

/// A client with a key on P-384.
struct Client {
    id: &'static str,
    key: EncodingKey,
    jwk: Value,
}

impl Client {
    fn new(id: &'static str) -> Self {
        let openssl = |args: &[&str], input: &[u8]| {
            let home = tempfile::tempdir().unwrap();
            let file = home.path().join("in");
            std::fs::write(&file, input).unwrap();
            let mut command = Command::new("openssl");
            command.args(args);
            if !input.is_empty() {
                command.arg("-in").arg(&file);
            }
            let done = command.output().expect("openssl runs");
            assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
            done.stdout
        };
        let pem = openssl(&["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"], &[]);
        let public = openssl(&["pkey", "-pubout", "-outform", "DER"], &pem);
        // The point stands at the end: 4, x, y.
        let point = &public[public.len() - 96..];
        let coordinate = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let jwk = json!({"kty": "EC", "crv": "P-384", "kid": format!("{id}-1"), "alg": "ES384",
                         "x": coordinate(&point[..48]), "y": coordinate(&point[48..])});
        Self { id, key: EncodingKey::from_ec_pem(&pem).unwrap(), jwk }
    }

    /// An entry of the registry; `rest` are lines of it.
    fn entry(&self, rest: &str) -> String {
        let keys = json!({"keys": [self.jwk]});
        format!("  - client_id: {}\n    jwks: {keys}\n    {}\n", self.id, rest.replace('\n', "\n    "))
    }

    /// Claims of a good assertion.
    fn claims(&self, token_url: &str) -> Value {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let jti = format!("{}-{}-{}", self.id, now(), COUNT.fetch_add(1, Ordering::Relaxed));
        json!({"iss": self.id, "sub": self.id, "aud": token_url, "exp": now() + 300, "jti": jti})
    }

    fn sign(&self, claims: &Value) -> String {
        let mut header = Header::new(Algorithm::ES384);
        header.kid = Some(format!("{}-1", self.id));
        encode(&header, claims, &self.key).unwrap()
    }

    /// Asks for a token with an assertion.
    fn ask(server: &Server, assertion: &str, scope: &str) -> Answer {
        let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
        let form = [
            ("grant_type", "client_credentials"),
            ("client_assertion_type", kind),
            ("client_assertion", assertion),
            ("scope", scope),
        ];
        let body: Vec<String> = form.iter().map(|(name, value)| format!("{name}={}", escaped(value))).collect();
        let headers = [("Content-Type", "application/x-www-form-urlencoded")];
        server.raw("POST", "/auth/token", &headers, body.join("&").as_bytes())
    }

    /// A token as the value of `Authorization`.
    fn token(&self, server: &Server, scope: &str) -> String {
        let answer = Self::ask(server, &self.sign(&self.claims(&token_url(server))), scope);
        assert_eq!(answer.status, 200, "{}", answer.text());
        format!("Bearer {}", answer.json()["access_token"].as_str().unwrap())
    }
}

fn token_url(server: &Server) -> String {
    format!("http://{}/auth/token", server.authority())
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn escaped(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes().fold(String::new(), |all, byte| {
        if plain(byte) { all + char::from(byte).encode_utf8(&mut [0; 4]) } else { all + &format!("%{byte:02X}") }
    })
}

/// A server on the demo store that knows these entries.
async fn serve(entries: &[String], args: &[&str]) -> (Server, TempDir) {
    serve_in(entries, args, tempfile::tempdir().unwrap()).await
}

/// The same in a directory that an earlier server has left.
async fn serve_in(entries: &[String], args: &[&str], home: TempDir) -> (Server, TempDir) {
    start(store::demo().await, &root().join("mappings/synthea"), entries, args, home)
}

/// The same for a pack on a database.
fn serve_pack(database: &Database, mappings: &Path, entries: &[String], home: TempDir) -> (Server, TempDir) {
    start(database, mappings, entries, &[], home)
}

fn start(database: &Database, mappings: &Path, entries: &[String], args: &[&str], home: TempDir) -> (Server, TempDir) {
    let settings = tempfile::tempdir().unwrap();
    let path = settings.path().join("clients.yaml");
    std::fs::write(&path, format!("clients:\n{}", entries.concat())).unwrap();
    let mappings = mappings.to_str().unwrap();
    let first = ["--database", database.dsn(), "--clients", path.to_str().unwrap(), "--mappings", mappings];
    (Server::start(&first, args, home), settings)
}
