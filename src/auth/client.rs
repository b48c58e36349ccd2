//! Who is registered.

use std::collections::{BTreeMap, BTreeSet};

use super::access::GroupAccess;
use super::keys::KeySet;
use super::scope::Scopes;
use crate::bulk::TypeFilter;

/// One registered client.
#[derive(Debug, Clone)]
pub struct Client {
    /// What it calls itself: `iss` and `sub` of its assertions.
    pub id: String,
    /// What its assertions are signed with.
    pub keys: Keys,
    /// The most it can be granted.
    pub scopes: Scopes,
    /// Its Groups.
    pub groups: GroupAccess,
    /// Whether it may see and delete the jobs of others.
    pub admin: bool,
    /// Further JWKS URLs its assertions may name (T-18).
    pub allowed_jku: BTreeSet<String>,
    /// Whether an assertion may leave out `kid` where exactly one key fits (T-20).
    pub allow_missing_kid: bool,
    /// Web origins that may call the server from a browser.
    pub origins: BTreeSet<String>,
    /// Exports it may run at once, where it differs from everybody's limit.
    pub max_running: Option<u32>,
    /// What is withheld from it.
    pub withheld: Vec<TypeFilter>,
}

/// Where the keys of a client are.
#[derive(Debug, Clone)]
pub enum Keys {
    /// In the registration.
    Inline(KeySet),
    /// Behind a URL of the client.
    Url(String),
    /// Nowhere: another server checks this client.
    Elsewhere,
}

/// All registered clients, by id.
#[derive(Debug, Clone, Default)]
pub struct Registry(pub(super) BTreeMap<String, Client>);

impl Registry {
    /// The client with this id.
    pub fn get(&self, id: &str) -> Option<&Client> {
        self.0.get(id)
    }

    /// All of them, ordered by id.
    pub fn clients(&self) -> impl Iterator<Item = &Client> {
        self.0.values()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
