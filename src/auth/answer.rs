//! What the token endpoint answers, in the words of RFC 6749 §5.

use serde::Serialize;

/// A token was granted: status `200`, with `Cache-Control: no-store` and `Pragma: no-cache`.
///
/// `Debug` does not show the token.
#[derive(Clone, PartialEq, Eq)]
pub struct TokenResponse {
    /// Whose it is; for the audit trail, not part of the answer.
    pub client: String,
    /// The access token.
    pub access_token: String,
    /// Seconds until it expires.
    pub expires_in: u32,
    /// What was granted; never empty.
    pub scope: String,
}

impl TokenResponse {
    /// The body, as `application/json`.
    pub fn to_json(&self) -> Vec<u8> {
        #[derive(Serialize)]
        struct Wire<'a> {
            access_token: &'a str,
            token_type: &'a str,
            expires_in: u32,
            scope: &'a str,
        }
        let Self { client: _, access_token, expires_in, scope } = self;
        json(&Wire { access_token, token_type: "bearer", expires_in: *expires_in, scope })
    }
}

impl std::fmt::Debug for TokenResponse {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { client, access_token: _, expires_in, scope } = self;
        f.debug_struct("TokenResponse")
            .field("client", client)
            .field("expires_in", expires_in)
            .field("scope", scope)
            .finish_non_exhaustive()
    }
}

/// No token: status and body say why. Send it with `Cache-Control: no-store` and `Pragma: no-cache`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{description}")]
pub struct TokenError {
    kind: Kind,
    description: String,
    retry_after: Option<u32>,
}

/// The codes of RFC 6749 that fit a client that has no user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    InvalidRequest,
    InvalidClient,
    UnsupportedGrantType,
    InvalidScope,
    TooMany,
    Unavailable,
}

impl TokenError {
    /// `description` names no part of an assertion that could be secret.
    pub(super) fn new(kind: Kind, description: impl Into<String>) -> Self {
        Self { kind, description: description.into(), retry_after: None }
    }

    /// Too many requests.
    pub(super) fn too_many(seconds: u32) -> Self {
        let description = format!("too many token requests: try again in {seconds} s");
        Self { kind: Kind::TooMany, description, retry_after: Some(seconds) }
    }

    /// Status of the answer.
    pub const fn status(&self) -> u16 {
        match self.kind {
            Kind::InvalidRequest | Kind::UnsupportedGrantType | Kind::InvalidScope => 400,
            Kind::InvalidClient => 401,
            Kind::TooMany => 429,
            Kind::Unavailable => 503,
        }
    }

    /// `error` of the body.
    pub const fn code(&self) -> &'static str {
        match self.kind {
            Kind::InvalidRequest | Kind::TooMany => "invalid_request",
            Kind::InvalidClient => "invalid_client",
            Kind::UnsupportedGrantType => "unsupported_grant_type",
            Kind::InvalidScope => "invalid_scope",
            Kind::Unavailable => "temporarily_unavailable",
        }
    }

    /// `error_description` of the body.
    pub fn description(&self) -> &str {
        &self.description
    }

    /// `Retry-After` of the answer, in seconds.
    pub const fn retry_after(&self) -> Option<u32> {
        self.retry_after
    }

    /// The body, as `application/json`.
    pub fn to_json(&self) -> Vec<u8> {
        #[derive(Serialize)]
        struct Wire<'a> {
            error: &'a str,
            error_description: &'a str,
        }
        json(&Wire { error: self.code(), error_description: &self.description })
    }
}

/// Structures of text and numbers always have a JSON form.
fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// what is in the answer, and that nothing else is.
    #[test]
    fn a_grant_has_the_members_clients_read() {
        let client = "app".to_owned();
        let response = TokenResponse {
            client,
            access_token: "a.b.c".to_owned(),
            expires_in: 300,
            scope: "system/*.rs".to_owned(),
        };
        let body: Value = serde_json::from_slice(&response.to_json()).unwrap();
        assert_eq!(
            body,
            json!({"access_token": "a.b.c", "token_type": "bearer", "expires_in": 300, "scope": "system/*.rs"})
        );
        assert!(!format!("{response:?}").contains("a.b.c"), "A-31");
    }

    ///
    #[test]
    fn errors_have_the_status_of_their_code() {
        for (kind, status, code) in [
            (Kind::InvalidRequest, 400, "invalid_request"),
            (Kind::InvalidClient, 401, "invalid_client"),
            (Kind::UnsupportedGrantType, 400, "unsupported_grant_type"),
            (Kind::InvalidScope, 400, "invalid_scope"),
            (Kind::Unavailable, 503, "temporarily_unavailable"),
        ] {
            let error = TokenError::new(kind, "why");
            assert_eq!((error.status(), error.code(), error.retry_after()), (status, code, None));
            let body: Value = serde_json::from_slice(&error.to_json()).unwrap();
            assert_eq!(body, json!({"error": code, "error_description": "why"}));
        }
        let error = TokenError::too_many(7);
        assert_eq!((error.status(), error.retry_after()), (429, Some(7)));
    }
}
