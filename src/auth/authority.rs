//! Who decides: the three modes of A-01 behind one interface.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::{Arc, PoisonError, RwLock};

use serde_json::Value;

use super::access::{Access, GroupAccess, Refused};
use super::answer::{Kind, TokenError, TokenResponse};
use super::bearer::{self, Granted};
use super::client::Registry;
use super::discovery;
use super::fetch::Fetcher;
use super::jwks::{KeySets, NoKeys};
use super::replay::Replays;
use super::scope::Scopes;
use super::secret::SigningKey;
use super::settings::{ExternalSettings, SetupError, SmartSettings};
use super::token::TokenEndpoint;
use crate::clock::Clock;

/// Client of every request of an open server.
pub const ANONYMOUS: &str = "anonymous";

/// Checks who asks.
pub struct Authority {
    mode: Mode,
    clock: Arc<dyn Clock>,
}

enum Mode {
    Open,
    Smart { endpoint: Box<TokenEndpoint>, clients: RwLock<Arc<Registry>> },
    External { settings: Box<ExternalSettings>, keys: KeySets, clients: RwLock<Option<Arc<Registry>>> },
}

impl Authority {
    /// Everybody may do everything: for tests and for machines of one person. Addresses other than loopback are
    /// refused unless they are wanted.
    pub fn open(listen: &[IpAddr], open_to_network: bool, clock: Arc<dyn Clock>) -> Result<Self, SetupError> {
        match listen.iter().find(|address| !address.to_canonical().is_loopback()) {
            Some(address) if !open_to_network => return Err(SetupError::OpenToNetwork(*address)),
            _ => tracing::warn!("NO AUTHORIZATION: everybody who reaches this server can export everything"),
        }
        Ok(Self { mode: Mode::Open, clock })
    }

    /// Clients are registered here and get their tokens here (SMART Backend Services).
    pub fn smart(
        settings: SmartSettings,
        clients: Registry,
        key: SigningKey,
        replays: Arc<dyn Replays>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, SetupError> {
        settings.check()?;
        let fetcher = Fetcher::new(settings.fetch.allow_inner_hosts.clone())?;
        let keys = KeySets::new(fetcher, Arc::clone(&clock));
        let endpoint = Box::new(TokenEndpoint::new(settings, keys, key, replays, Arc::clone(&clock)));
        Ok(Self { mode: Mode::Smart { endpoint, clients: RwLock::new(Arc::new(clients)) }, clock })
    }

    /// Tokens come from another server. With `clients`, only those have access, within their scopes and Groups.
    pub fn external(
        settings: ExternalSettings,
        clients: Option<Registry>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, SetupError> {
        settings.check()?;
        let fetcher = Fetcher::new(settings.fetch.allow_inner_hosts.clone())?;
        let keys = KeySets::new(fetcher, Arc::clone(&clock));
        let clients = RwLock::new(clients.map(Arc::new));
        Ok(Self { mode: Mode::External { settings: Box::new(settings), keys, clients }, clock })
    }

    /// Answers `POST` to the token endpoint. `form` is the decoded body with its fields in any order,
    /// `peer` the client's address.
    pub async fn token(
        &self,
        form: &[(String, String)],
        content_type: &str,
        peer: IpAddr,
    ) -> Result<TokenResponse, TokenError> {
        match &self.mode {
            Mode::Smart { endpoint, clients } => {
                let clients = current(clients);
                endpoint.answer(&clients, form, content_type, peer).await
            }
            Mode::Open | Mode::External { .. } => {
                Err(TokenError::new(Kind::InvalidRequest, "this server gives out no tokens"))
            }
        }
    }

    /// Checks the `Authorization` header of a request. A request with several such headers has none.
    pub async fn access(&self, authorization: Option<&str>) -> Result<Access, Refused> {
        match &self.mode {
            Mode::Open => Ok(Access {
                client: ANONYMOUS.to_owned(),
                scopes: Scopes::everything(),
                groups: GroupAccess::All,
                admin: false,
                max_running: None,
                withheld: Vec::new(),
            }),
            Mode::Smart { endpoint, clients } => {
                let granted = bearer::check(endpoint.key(), bearer::token(authorization)?, self.clock.now_seconds())?;
                let clients = current(clients);
                of_client(granted, &clients, endpoint.types())
            }
            Mode::External { settings, keys, clients } => {
                let foreign = bearer::read_foreign(bearer::token(authorization)?)?;
                let keys = match keys.get(&settings.jwks_url, |keys| foreign.has_key(keys)).await {
                    Ok(keys) => keys,
                    Err(NoKeys(error)) => {
                        if let Some(error) = error {
                            tracing::warn!(%error, "failed to fetch the keys of the authorization server");
                        }
                        return Err(Refused::Unavailable);
                    }
                };
                let now = self.clock.now_seconds();
                let granted = foreign.check(&keys, &settings.issuer, &settings.audience, now)?;
                // Jobs of a time without authorization belong to nobody who has a token.
                if granted.client == ANONYMOUS {
                    return Err(Refused::Invalid);
                }
                match current(clients) {
                    Some(clients) => of_client(granted, &clients, &settings.types),
                    None => Ok(Access {
                        client: granted.client,
                        scopes: granted.scopes.intersection(&Scopes::everything(), Some(&settings.types)),
                        groups: GroupAccess::All,
                        admin: false,
                        max_running: None,
                        withheld: Vec::new(),
                    }),
                }
            }
        }
    }

    /// Whether requests need a token; `requiresAccessToken` follows from it.
    pub const fn protects(&self) -> bool {
        !matches!(self.mode, Mode::Open)
    }

    /// The discovery document, where there is one.
    pub fn smart_configuration(&self) -> Option<Value> {
        match &self.mode {
            Mode::Open => None,
            Mode::Smart { endpoint, .. } => Some(endpoint.discovery()),
            Mode::External { settings, .. } => {
                let url = settings.token_url.as_deref()?;
                Some(discovery::external(url, &settings.types, &settings.discovery_extra))
            }
        }
    }

    /// URL of the token endpoint, for the CapabilityStatement (C-08).
    pub fn token_url(&self) -> Option<&str> {
        match &self.mode {
            Mode::Open => None,
            Mode::Smart { endpoint, .. } => Some(endpoint.url()),
            Mode::External { settings, .. } => settings.token_url.as_deref(),
        }
    }

    /// Takes the clients of a registry file that was read again: from the next request on. Tokens of clients
    /// that are gone end at once, and key sets are fetched anew.
    pub fn replace_clients(&self, new: Registry) {
        match &self.mode {
            Mode::Open => {}
            Mode::Smart { endpoint, clients } => {
                *clients.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(new);
                endpoint.forget_keys();
            }
            Mode::External { keys, clients, .. } => {
                *clients.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(new));
                keys.forget();
            }
        }
    }

    /// Web origins of all clients.
    pub fn origins(&self) -> BTreeSet<String> {
        let of = |clients: &Registry| clients.clients().flat_map(|client| client.origins.iter().cloned()).collect();
        match &self.mode {
            Mode::Open => BTreeSet::new(),
            Mode::Smart { clients, .. } => {
                let clients = current(clients);
                of(&clients)
            }
            Mode::External { clients, .. } => current(clients).map(|clients| of(&clients)).unwrap_or_default(),
        }
    }
}

fn current<T: Clone>(shared: &RwLock<T>) -> T {
    shared.read().unwrap_or_else(PoisonError::into_inner).clone()
}

/// What a token gives to the client it was made for, as that client is registered now (K-15, A-27).
fn of_client(granted: Granted, clients: &Registry, types: &BTreeSet<String>) -> Result<Access, Refused> {
    let client = clients.get(&granted.client).ok_or(Refused::Invalid)?;
    Ok(Access {
        client: granted.client,
        scopes: granted.scopes.intersection(&client.scopes, Some(types)),
        groups: client.groups.clone(),
        admin: client.admin,
        max_running: client.max_running,
        withheld: client.withheld.clone(),
    })
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mode = match self.mode {
            Mode::Open => "open",
            Mode::Smart { .. } => "smart",
            Mode::External { .. } => "external",
        };
        f.debug_struct("Authority").field("mode", &mode).finish_non_exhaustive()
    }
}
