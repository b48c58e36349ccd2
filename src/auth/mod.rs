//! Who may ask, and for what: SMART Backend Services, tokens of another server, or nobody is asked.
//!
//! Everything fails closed: what cannot be checked is refused. This room does not know what an export or a request over
//! HTTP is; it gets header values and form fields and answers with values. No assertion and no token leaves it in a log
//! line or an error.

mod access;
mod address;
mod answer;
pub mod assertion;
mod authority;
mod bearer;
pub mod capability;
mod client;
mod discovery;
mod fetch;
mod jwks;
mod keys;
mod rate;
pub mod registry;
mod replay;
mod scope;
mod secret;
mod settings;
#[cfg(test)]
mod tests;
mod token;

pub use access::{Access, GroupAccess, INSUFFICIENT_SCOPE, Refused};
pub use address::UrlError;
pub use answer::{TokenError, TokenResponse};
pub use authority::{ANONYMOUS, Authority};
pub use client::{Client, Keys, Registry};
pub use fetch::FetchError;
pub use keys::{Algorithms, KeySet, KeySetError};
pub use replay::{RedbReplays, ReplayError, Replays};
pub use scope::{ScopeError, Scopes};
pub use secret::{KeyError, SigningKey};
pub use settings::{ExternalSettings, FetchSettings, Rates, SetupError, SmartSettings};
