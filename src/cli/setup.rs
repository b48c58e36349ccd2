//! What `smelt serve` needs and `smelt config check` looks at: settings that fit each other, and the files they name.

use std::collections::BTreeSet;
use std::error::Error;
use std::fs;
use std::io::{self, Read as _};
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Map, Value};

use super::exit::Exit;
use super::failure::Failure;
use crate::auth::{
    self, Algorithms, Authority, ExternalSettings, FetchSettings, Rates, Registry, Replays, SigningKey, SmartSettings,
};
use crate::bulk::capability::TypeFeatures;
use crate::clock::SystemClock;
use crate::config::ServerSettings;
use crate::config::server::{AuthMode, FileUrls, LenientFilters};
use crate::http::{BaseUrl, Certificate, Options, ServeError, TlsError};
use crate::job::StoreError;
use crate::mapping::tree::Pack;
use crate::plan::search::honours;

/// Larger files are no registry.
const MAX_REGISTRY: u64 = 16 * 1024 * 1024;

/// What is known before the authority is made.
pub(super) struct Facts<'a> {
    pub(super) base_url: &'a BaseUrl,
    pub(super) types: &'a [TypeFeatures],
}

/// Settings that need each other.
pub(super) fn consistent(server: &ServerSettings) -> Result<(), Failure> {
    let of_external = [
        ("issuer", &server.issuer),
        ("jwks-url", &server.jwks_url),
        ("audience", &server.audience),
        ("token-url", &server.token_url),
    ];
    if let Some((name, _)) = of_external.iter().find(|(_, given)| given.is_some())
        && server.auth != AuthMode::External
    {
        return Err(Failure::usage(
            format!("`{name}` is about another authorization server, and would have no effect"),
            "Say `auth: external`, or leave it out.",
        ));
    }
    let needs = |name: &str, why: &str, help: &str| Err(Failure::usage(format!("`{name}` is needed {why}"), help));
    match server.auth {
        AuthMode::Smart if server.clients.is_none() => needs(
            "clients",
            "for `auth: smart`",
            "Name the file of registered clients; to try the server on this machine, `--auth none` asks nobody.",
        ),
        AuthMode::External if server.issuer.is_none() => {
            needs("issuer", "for `auth: external`", "Name the authorization server as its tokens do in `iss`.")
        }
        AuthMode::External if server.jwks_url.is_none() => {
            needs("jwks-url", "for `auth: external`", "Name the URL of its keys.")
        }
        AuthMode::None if !server.listen.ip().is_loopback() && !server.open_to_network => Err(Failure::usage(
            format!("`auth: none` would open every record to whoever reaches {}", server.listen),
            "Listen on 127.0.0.1, choose another `auth`, or say `open-to-network: true`.",
        )),
        AuthMode::None if server.clients.is_some() => Err(Failure::usage(
            "`auth: none` asks nobody who they are, so what `clients` says of them would have no effect",
            "Choose another `auth`, or leave `clients` out.",
        )),
        _ => match (&server.tls_cert, &server.tls_key) {
            (Some(_), None) => needs("tls-key", "with `tls-cert`", "Name the private key of the certificate."),
            (None, Some(_)) => needs("tls-cert", "with `tls-key`", "Name the certificate chain."),
            _ => Ok(()),
        },
    }
}

/// The public base: as configured, or that of a loopback address.
pub(super) fn base_url(server: &ServerSettings, address: SocketAddr, tls: bool) -> Result<BaseUrl, Failure> {
    let Some(base) = &server.base_url else {
        let scheme = if tls { "https" } else { "http" };
        return Some(address)
            .filter(|address| address.ip().is_loopback())
            .and_then(|address| BaseUrl::parse(&format!("{scheme}://{address}/fhir")))
            .ok_or_else(|| {
                Failure::usage(
                    "`base-url` is needed where the server listens beyond this machine",
                    "Write the FHIR base URL as clients see it: https://ehr.example.org/fhir",
                )
            });
    };
    if !base.is_secure() && !base.is_loopback() && !server.open_to_network {
        return Err(Failure::usage(
            "`base-url` is plain http: tokens and records would cross the network for everybody to read",
            "Use https, by `tls-cert` or a proxy in front, or say `open-to-network: true`.",
        ));
    }
    Ok(base.clone())
}

/// Says loudly what an operator should not overlook.
pub(super) fn warn(server: &ServerSettings, base: &BaseUrl) {
    if !base.is_secure() && !base.is_loopback() {
        tracing::warn!("PLAIN HTTP: tokens and health records cross the network for everybody to read");
    }
    if base.is_secure() && server.tls_cert.is_none() && !server.listen.ip().is_loopback() {
        tracing::warn!(
            listen = %server.listen,
            "the base URL is https and there is no `tls-cert`: only a proxy that ends TLS may reach this address"
        );
    }
}

/// The certificate, if there is one.
pub(super) fn certificate(server: &ServerSettings) -> Result<Option<Arc<Certificate>>, Failure> {
    match (&server.tls_cert, &server.tls_key) {
        (Some(chain), Some(key)) => Ok(Some(Certificate::load(chain, key)?)),
        _ => Ok(None),
    }
}

/// The registry of clients.
pub(super) fn registry(path: &Path, external: bool) -> Result<Registry, Failure> {
    let mut text = String::new();
    fs::File::open(path)
        .and_then(|file| file.take(MAX_REGISTRY).read_to_string(&mut text))
        .map_err(|error| file("read", path, &error))?;
    let parsed = if external { auth::registry::parse_external(&text) } else { auth::registry::parse(&text) };
    parsed.map_err(|error| {
        let chain = vec![format!(
            "the registry of clients has mistakes\n{}",
            error.render(&path.display().to_string()).trim_end()
        )];
        Failure { exit: Exit::Usage, chain, help: None }
    })
}

/// The registry that the settings name.
pub(super) fn clients(server: &ServerSettings) -> Result<Option<Registry>, Failure> {
    let external = server.auth == AuthMode::External;
    server.clients.as_deref().map(|path| registry(path, external)).transpose()
}

/// Whether the pack can honour every rule of the registry: one that is not understood would withhold nothing.
pub(super) fn rules(clients: &Registry, pack: &Pack) -> Result<(), Failure> {
    let mut chain = Vec::new();
    for client in clients.clients() {
        for error in client.withheld.iter().filter_map(|rule| honours(pack, rule).err()) {
            chain.push(format!("`withhold` of client {}: {error}", client.id));
        }
    }
    if chain.is_empty() {
        return Ok(());
    }
    let help =
        "A rule uses a search parameter whose element a mapping writes; for `_security` that is `meta: {security: …}`.";
    Err(Failure { exit: Exit::Usage, chain, help: Some(help.to_owned()) })
}

/// What assertions may be signed with, beside what SMART asks for.
pub(super) fn algorithms(server: &ServerSettings) -> Result<Algorithms, Failure> {
    Algorithms::with(server.more_algorithms.iter().map(String::as_str)).map_err(|name| {
        Failure::usage(
            format!("`more-algorithms` names `{name}`, which is none that can be allowed"),
            "Names are those of JSON Web Algorithms with asymmetric keys: RS256, ES256, PS384.",
        )
    })
}

/// What the site adds to the discovery document.
pub(super) fn discovery_extra(server: &ServerSettings) -> Result<Map<String, Value>, Failure> {
    let Some(path) = &server.discovery_extra else { return Ok(Map::new()) };
    let text = fs::read(path).map_err(|error| file("read", path, &error))?;
    serde_json::from_slice(&text).map_err(|error| Failure {
        exit: Exit::Usage,
        chain: vec![format!("{} is no JSON object", path.display()), error.to_string()],
        help: None,
    })
}

/// Whoever decides who may ask.
pub(super) fn authority(
    server: &ServerSettings,
    facts: &Facts<'_>,
    clients: Option<Registry>,
    key: SigningKey,
    replays: Arc<dyn Replays>,
) -> Result<Authority, Failure> {
    let clock = Arc::new(SystemClock);
    let mut types: BTreeSet<String> = facts.types.iter().map(|one| one.name.clone()).collect();
    types.insert("Group".to_owned());
    let allow_inner_hosts = server.allow_inner_hosts.iter().cloned().collect();
    let fetch = FetchSettings { allow_inner_hosts };
    let made = match server.auth {
        AuthMode::None => {
            let addresses: Vec<IpAddr> = vec![server.listen.ip()];
            Authority::open(&addresses, server.open_to_network, clock)
        }
        AuthMode::Smart => {
            let settings = SmartSettings {
                token_url: format!("{}/auth/token", facts.base_url.origin()),
                other_audiences: vec![facts.base_url.at("/auth/token")],
                types,
                token_lifetime: server.token_lifetime.as_secs() as u32,
                algorithms: algorithms(server)?,
                discovery_extra: discovery_extra(server)?,
                fetch,
                rates: Rates {
                    per_address: server.token_requests_per_address.get(),
                    per_client: server.token_requests_per_client.get(),
                },
            };
            Authority::smart(settings, clients.unwrap_or_default(), key, replays, clock)
        }
        AuthMode::External => {
            let settings = ExternalSettings {
                issuer: server.issuer.clone().unwrap_or_default(),
                jwks_url: server.jwks_url.clone().unwrap_or_default(),
                audience: server.audience.clone().unwrap_or_else(|| facts.base_url.as_str().to_owned()),
                token_url: server.token_url.clone(),
                types,
                discovery_extra: discovery_extra(server)?,
                fetch,
            };
            Authority::external(settings, clients, clock)
        }
    };
    made.map_err(|error| Failure::new(Exit::Usage, &error, None))
}

/// What the operator decides about requests.
pub(super) fn options(server: &ServerSettings, base_url: BaseUrl) -> Options {
    Options {
        base_url,
        trusted_proxies: server.trusted_proxies.clone(),
        cors_origins: server.cors_origins.clone(),
        signed_files: (server.file_urls == FileUrls::Signed).then_some(server.file_url_lifetime),
        max_body: server.max_body,
        max_group: server.max_group_size,
        status_hold: server.status_hold,
        polls_per_minute: server.polls_per_minute.get(),
        strict_filters: server.typefilter_lenient == LenientFilters::Reject,
        require_prefer: server.require_prefer,
        require_group_scope: server.require_group_scope,
        metrics_apart: server.metrics_listen.is_some(),
        contact: server.contact.clone(),
    }
}

/// The state directory, made for the owner alone where it is not.
pub(super) fn state_dir(path: &Path) -> Result<PathBuf, Failure> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .and_then(|()| fs::canonicalize(path))
        .map_err(|error| file("make", path, &error))
}

/// The key of tokens and file URLs.
pub(super) fn signing_key(state: &Path) -> Result<SigningKey, Failure> {
    SigningKey::load_or_create(state).map_err(|error| Failure::new(Exit::Failed, &error, None))
}

/// A file of ours that does not do what it should.
pub(super) fn file(action: &str, path: &Path, error: &io::Error) -> Failure {
    Failure {
        exit: Exit::Usage,
        chain: vec![format!("failed to {action} {}", path.display()), error.to_string()],
        help: None,
    }
}

/// The job store cannot be opened.
pub(super) fn in_use(error: &StoreError) -> Failure {
    let help =
        "One server uses a state directory at a time; name another one by `--state-dir`, or end the other server.";
    Failure::new(Exit::Failed, error as &dyn Error, Some(help.to_owned()))
}

impl From<TlsError> for Failure {
    fn from(error: TlsError) -> Self {
        Self::new(Exit::Usage, &error, Some("Both files are PEM: the chain, server first, and its key.".to_owned()))
    }
}

impl From<ServeError> for Failure {
    fn from(error: ServeError) -> Self {
        match error {
            ServeError::Tls(error) => error.into(),
            error @ ServeError::Listen { .. } => {
                let help = "Choose another address by `--listen`; port 0 takes a free one.";
                Self::new(Exit::Usage, &error, Some(help.to_owned()))
            }
            error => Self::new(Exit::Failed, &error, None),
        }
    }
}
