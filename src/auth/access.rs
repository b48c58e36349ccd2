//! What a request may do, and why one may not.

use std::collections::BTreeSet;

use super::scope::Scopes;
use crate::bulk::{Level, TypeFilter};

/// Which Groups a client may export (K-17).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GroupAccess {
    /// Every Group, and exports that are not about a Group.
    All,
    /// These Groups and nothing beyond them: an export of everything would contain the others.
    Only(BTreeSet<String>),
}

impl GroupAccess {
    /// Whether this Group may be seen and exported; one that may not is to be answered like one that does not exist.
    pub fn allows(&self, group: &str) -> bool {
        match self {
            Self::All => true,
            Self::Only(groups) => groups.contains(group),
        }
    }

    /// Whether an export of this level stays within the Groups (K-15, K-17).
    pub fn reaches(&self, level: &Level) -> bool {
        match level {
            Level::System | Level::Patient => *self == Self::All,
            Level::Group(group) => self.allows(group),
        }
    }
}

/// Who asks, and what for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    /// Id of the client; jobs belong to it (S-12).
    pub client: String,
    /// What was granted and still is: the scopes of the token that the client is registered for today (K-15).
    pub scopes: Scopes,
    /// Its Groups.
    pub groups: GroupAccess,
    /// Whether it may see and delete the jobs of others.
    pub admin: bool,
    /// Exports it may run at once, where it differs from everybody's limit (K-14).
    pub max_running: Option<u32>,
    /// What is withheld from the client.
    pub withheld: Vec<TypeFilter>,
}

/// Why a request has no access. A scope that is lacking is not among them: that is `403`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// No `Authorization`, or another scheme than `Bearer`.
    #[error("an access token is needed: `Authorization: Bearer …`")]
    Missing,
    /// Not a token of this server, or its client is not registered any more.
    #[error("the access token is not valid here")]
    Invalid,
    /// It was a good one.
    #[error("the access token has expired")]
    Expired,
    /// Nobody can tell: the keys of the authorization server cannot be read.
    #[error("the keys of the authorization server cannot be read at the moment")]
    Unavailable,
}

impl Refused {
    /// Status of the answer: clients ask for a new token on `401` only.
    pub const fn status(self) -> u16 {
        match self {
            Self::Missing | Self::Invalid | Self::Expired => 401,
            Self::Unavailable => 503,
        }
    }

    /// `WWW-Authenticate` of the answer, where it has one.
    pub const fn www_authenticate(self) -> Option<&'static str> {
        match self {
            Self::Missing => Some("Bearer error=\"invalid_token\", error_description=\"an access token is needed\""),
            Self::Invalid => {
                Some("Bearer error=\"invalid_token\", error_description=\"the access token is not valid here\"")
            }
            Self::Expired => Some("Bearer error=\"invalid_token\", error_description=\"the access token has expired\""),
            Self::Unavailable => None,
        }
    }

    /// `issue.code` of the OperationOutcome.
    pub const fn issue_code(self) -> &'static str {
        match self {
            Self::Missing | Self::Invalid => "login",
            Self::Expired => "expired",
            Self::Unavailable => "transient",
        }
    }
}

/// `WWW-Authenticate` of a `403` that lacks a scope.
pub const INSUFFICIENT_SCOPE: &str = "Bearer error=\"insufficient_scope\"";

#[cfg(test)]
mod tests {
    use super::*;

    /// An export of everything is not a way around a restriction to Groups.
    #[test]
    fn groups_bound_every_level() {
        let only = GroupAccess::Only(BTreeSet::from(["a".to_owned()]));
        let group = |id: &str| Level::Group(id.to_owned());
        for (access, level, want) in [
            (&GroupAccess::All, Level::System, true),
            (&GroupAccess::All, Level::Patient, true),
            (&GroupAccess::All, group("b"), true),
            (&only, Level::System, false),
            (&only, Level::Patient, false),
            (&only, group("a"), true),
            (&only, group("b"), false),
            (&only, group(""), false),
            (&GroupAccess::Only(BTreeSet::new()), group("a"), false),
        ] {
            assert_eq!(access.reaches(&level), want, "{access:?} {level:?}");
        }
    }

    /// Clients ask for a new token on 401 only.
    #[test]
    fn refusals_say_how_to_go_on() {
        for (refused, status, code) in [
            (Refused::Missing, 401, "login"),
            (Refused::Invalid, 401, "login"),
            (Refused::Expired, 401, "expired"),
            (Refused::Unavailable, 503, "transient"),
        ] {
            assert_eq!((refused.status(), refused.issue_code()), (status, code));
            let header = refused.www_authenticate();
            assert_eq!(header.is_some(), status == 401);
            assert!(header.is_none_or(|header| header.starts_with("Bearer error=\"invalid_token\"")));
        }
    }
}
