//! Who decides: the three modes of A-01 behind one interface.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::{Arc, PoisonError, RwLock};

use serde_json::{Map, Value};

use super::access::{Access, GroupAccess, Refused};
use super::answer::{Kind, TokenError, TokenResponse};
use super::client::Registry;
use super::replay::Replays;
use super::scope::Scopes;
use super::secret::SigningKey;
use crate::clock::Clock;

/// Client of every request of an open server.
pub const ANONYMOUS: &str = "anonymous";

/// How this server checks its clients itself.
#[derive(Debug, Clone)]
pub struct SmartSettings {
    /// Public URL of the token endpoint; what discovery shows and `aud` names.
    pub token_url: String,
    /// Further URLs that `aud` may name, where the server has several public names.
    pub other_audiences: Vec<String>,
    /// Types that scopes can be granted for: what is mapped, and `Group`.
    pub types: BTreeSet<String>,
    /// Seconds an access token lives: 30 to 3600.
    pub token_lifetime: u32,
    /// Members that the discovery document gets beside ours.
    pub discovery_extra: Map<String, Value>,
    /// How keys are fetched.
    pub fetch: FetchSettings,
    /// Limits of the token endpoint.
    pub rates: Rates,
}

/// How access tokens of another server are checked.
#[derive(Debug, Clone)]
pub struct ExternalSettings {
    /// `iss` of its tokens.
    pub issuer: String,
    /// Where its keys are.
    pub jwks_url: String,
    /// `aud` of the tokens that are for this server.
    pub audience: String,
    /// Its token endpoint, for discovery; without it there is no discovery document.
    pub token_url: Option<String>,
    /// Types that scopes can be granted for: what is mapped, and `Group`.
    pub types: BTreeSet<String>,
    /// Members that the discovery document gets beside ours.
    pub discovery_extra: Map<String, Value>,
    /// How keys are fetched.
    pub fetch: FetchSettings,
}

/// How key sets are fetched.
#[derive(Debug, Clone, Default)]
pub struct FetchSettings {
    /// Hosts that may have an inner address. Plain http is allowed for those of them that are this machine.
    pub allow_inner_hosts: BTreeSet<String>,
}

/// Token requests a minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rates {
    /// From one address.
    pub per_address: u32,
    /// Of one client.
    pub per_client: u32,
}

impl Default for Rates {
    fn default() -> Self {
        Self { per_address: 300, per_client: 120 }
    }
}

/// Settings that cannot work.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SetupError {
    /// An open server would be reachable by others.
    #[error("without authorization the server listens on this machine only: {0} is reachable by others")]
    OpenToNetwork(IpAddr),
}

/// Checks who asks.
pub struct Authority {
    mode: Mode,
    clients: RwLock<Arc<Registry>>,
    clock: Arc<dyn Clock>,
}

enum Mode {
    Open,
    Smart,
    External,
}

impl Authority {
    /// Everybody may do everything: for tests and for machines of one person. Addresses other than loopback are
    /// refused unless they are wanted.
    pub fn open(listen: &[IpAddr], open_to_network: bool, clock: Arc<dyn Clock>) -> Result<Self, SetupError> {
        match listen.iter().find(|address| !address.to_canonical().is_loopback()) {
            Some(address) if !open_to_network => return Err(SetupError::OpenToNetwork(*address)),
            _ => tracing::warn!("NO AUTHORIZATION: everybody who reaches this server can export everything"),
        }
        Ok(Self { mode: Mode::Open, clients: RwLock::default(), clock })
    }

    /// Clients are registered here and get their tokens here (SMART Backend Services).
    pub fn smart(
        _settings: SmartSettings,
        clients: Registry,
        _key: SigningKey,
        _replays: Arc<dyn Replays>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, SetupError> {
        Ok(Self { mode: Mode::Smart, clients: RwLock::new(Arc::new(clients)), clock })
    }

    /// Tokens come from another server. With `clients`, only those have access, within their scopes and Groups.
    pub fn external(
        _settings: ExternalSettings,
        clients: Option<Registry>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, SetupError> {
        Ok(Self { mode: Mode::External, clients: RwLock::new(Arc::new(clients.unwrap_or_default())), clock })
    }

    /// Answers `POST` to the token endpoint. `form` is the decoded body, `peer` the client's address.
    #[expect(clippy::unused_async, reason = "the skeleton asks nobody yet")]
    pub async fn token(
        &self,
        _form: &[(String, String)],
        _content_type: &str,
        _peer: IpAddr,
    ) -> Result<TokenResponse, TokenError> {
        Err(TokenError::new(Kind::InvalidRequest, "this server has no token endpoint"))
    }

    /// Checks the `Authorization` header of a request.
    #[expect(clippy::unused_async, reason = "the skeleton asks nobody yet")]
    pub async fn access(&self, _authorization: Option<&str>) -> Result<Access, Refused> {
        match self.mode {
            Mode::Open => Ok(Access {
                client: ANONYMOUS.to_owned(),
                scopes: Scopes::everything(),
                groups: GroupAccess::All,
                admin: false,
                max_running: None,
            }),
            Mode::Smart | Mode::External => Err(Refused::Missing),
        }
    }

    /// Whether requests need a token; `requiresAccessToken` follows from it.
    pub fn protects(&self) -> bool {
        !matches!(self.mode, Mode::Open)
    }

    /// The discovery document, where there is one.
    pub fn smart_configuration(&self) -> Option<Value> {
        None
    }

    /// URL of the token endpoint, for the CapabilityStatement (C-08).
    pub fn token_url(&self) -> Option<&str> {
        None
    }

    /// Takes the clients of a registry file that was read again: from the next request on.
    pub fn replace_clients(&self, clients: Registry) {
        *self.clients.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(clients);
    }

    /// Web origins of all clients.
    pub fn origins(&self) -> BTreeSet<String> {
        self.registry().clients().flat_map(|client| client.origins.iter().cloned()).collect()
    }

    fn registry(&self) -> Arc<Registry> {
        Arc::clone(&self.clients.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority").field("now", &self.clock.now_seconds()).finish_non_exhaustive()
    }
}
