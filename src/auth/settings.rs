//! How access is configured, checked before the server starts.

use std::collections::BTreeSet;
use std::net::IpAddr;

use serde_json::{Map, Value};

use super::address::{self, UrlError};
use super::fetch::FetchError;
use super::keys::Algorithms;

/// How this server checks its clients itself.
#[derive(Debug, Clone, Default)]
pub struct SmartSettings {
    /// Public URL of the token endpoint; what discovery shows and `aud` names.
    pub token_url: String,
    /// Further URLs that `aud` may name, where the server has several public names.
    pub other_audiences: Vec<String>,
    /// Types that scopes can be granted for: what is mapped, and `Group`.
    pub types: BTreeSet<String>,
    /// Seconds an access token lives: 30 to 3600, or 0 for the default.
    pub token_lifetime: u32,
    /// What assertions may be signed with.
    pub algorithms: Algorithms,
    /// Members that the discovery document gets beside ours.
    pub discovery_extra: Map<String, Value>,
    /// How keys are fetched.
    pub fetch: FetchSettings,
    /// Limits of the token endpoint.
    pub rates: Rates,
}

impl SmartSettings {
    /// The lifetime where none is set, in seconds.
    pub const DEFAULT_LIFETIME: u32 = 300;

    pub(super) const fn lifetime(&self) -> u32 {
        if self.token_lifetime == 0 { Self::DEFAULT_LIFETIME } else { self.token_lifetime }
    }

    pub(super) fn check(&self) -> Result<(), SetupError> {
        // Whether plain http may be used at all is decided with the base URL.
        for url in std::iter::once(&self.token_url).chain(&self.other_audiences) {
            if !address::is_web(url) {
                return Err(SetupError::TokenUrl);
            }
        }
        if !(30..=3600).contains(&self.lifetime()) {
            return Err(SetupError::Lifetime(self.token_lifetime));
        }
        if self.rates.per_address == 0 || self.rates.per_client == 0 {
            return Err(SetupError::Rates);
        }
        extra(&self.discovery_extra)
    }
}

/// How access tokens of another server are checked.
#[derive(Debug, Clone, Default)]
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

impl ExternalSettings {
    pub(super) fn check(&self) -> Result<(), SetupError> {
        for (name, value) in [("issuer", &self.issuer), ("audience", &self.audience)] {
            if value.trim().is_empty() {
                return Err(SetupError::Empty(name));
            }
        }
        let url = address::read(&self.jwks_url)?;
        address::check(&url, &self.fetch.allow_inner_hosts)?;
        if let Some(url) = &self.token_url {
            address::read(url).or(Err(SetupError::TokenUrl))?;
        }
        extra(&self.discovery_extra)
    }
}

/// `plain` would let authorization codes be stolen.
fn extra(members: &Map<String, Value>) -> Result<(), SetupError> {
    let plain = members.get("code_challenge_methods_supported").and_then(Value::as_array);
    if plain.is_some_and(|methods| methods.iter().any(|one| one == "plain")) {
        return Err(SetupError::PlainChallenge);
    }
    Ok(())
}

/// How key sets are fetched.
#[derive(Debug, Clone, Default)]
pub struct FetchSettings {
    /// Hosts that may have an inner address. Plain http is allowed for those that are this machine.
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
    /// Not an absolute http(s) URL.
    #[error("the token URL and further audiences must be absolute https URLs")]
    TokenUrl,
    ///
    #[error("an access token lives 30 to 3600 seconds, not {0}")]
    Lifetime(u32),
    ///
    #[error("with a limit of 0 token requests nobody could ever get a token")]
    Rates,
    /// Needed to check tokens.
    #[error("{0} is empty: tokens of another server are checked by issuer, audience and keys")]
    Empty(&'static str),
    ///
    #[error("code_challenge_methods_supported must not have `plain`")]
    PlainChallenge,
    /// The key URL of the other server.
    #[error("the JWKS URL {0}")]
    JwksUrl(#[from] UrlError),
    /// Keys could never be fetched.
    #[error("failed to prepare for fetching keys")]
    Fetch(#[from] FetchError),
}
