//! Who may ask, and for what: SMART Backend Services, tokens of another server, or nobody is asked.
//!
//! Everything fails closed: what cannot be checked is refused. This room does not know what an export or a request over
//! HTTP is; it gets header values and form fields and answers with values. No assertion and no token leaves it in a log
//! line or an error.

#![expect(dead_code, reason = "the parts are being put in")]

mod access;
mod answer;
mod authority;
pub mod capability;
mod client;
mod keys;
pub mod registry;
mod replay;
mod scope;
mod secret;

pub use access::{Access, GroupAccess, INSUFFICIENT_SCOPE, Refused};
pub use answer::{TokenError, TokenResponse};
pub use authority::{ANONYMOUS, Authority, ExternalSettings, FetchSettings, Rates, SetupError, SmartSettings};
pub use client::{Client, Keys, Registry};
pub use keys::KeySet;
pub use replay::{ReplayError, Replays};
pub use scope::{ScopeError, Scopes};
pub use secret::{KeyError, SigningKey};
