//! The token endpoint.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use serde_json::Value;

use super::answer::{Kind, TokenError, TokenResponse};
use super::assertion::{self, Flaw, Proven, Unproven};
use super::bearer;
use super::client::{Client, Keys, Registry};
use super::discovery;
use super::jwks::{KeySets, NoKeys};
use super::keys::KeySet;
use super::rate::{Limiter, neighbourhood};
use super::replay::{ReplayError, Replays};
use super::scope::Scopes;
use super::secret::SigningKey;
use super::settings::SmartSettings;
use crate::clock::Clock;

const GRANT_TYPE: &str = "client_credentials";
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
/// Longer ones are not looked through.
const MAX_SCOPE: usize = 8 * 1024;

/// Everything a token request meets.
pub(super) struct TokenEndpoint {
    settings: SmartSettings,
    audiences: Vec<String>,
    keys: KeySets,
    key: SigningKey,
    replays: Arc<dyn Replays>,
    clock: Arc<dyn Clock>,
    addresses: Limiter<IpAddr>,
    of_clients: Limiter<String>,
}

/// The fields of a token request.
#[derive(Default)]
struct Fields<'a> {
    grant_type: Option<&'a str>,
    assertion_type: Option<&'a str>,
    assertion: Option<&'a str>,
    scope: Option<&'a str>,
    client_id: Option<&'a str>,
}

impl TokenEndpoint {
    pub(super) fn new(
        settings: SmartSettings,
        keys: KeySets,
        key: SigningKey,
        replays: Arc<dyn Replays>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let audiences = std::iter::once(&settings.token_url).chain(&settings.other_audiences).cloned().collect();
        let (addresses, of_clients) =
            (Limiter::new(settings.rates.per_address), Limiter::new(settings.rates.per_client));
        Self { settings, audiences, keys, key, replays, clock, addresses, of_clients }
    }

    pub(super) fn url(&self) -> &str {
        &self.settings.token_url
    }

    pub(super) const fn types(&self) -> &BTreeSet<String> {
        &self.settings.types
    }

    pub(super) const fn key(&self) -> &SigningKey {
        &self.key
    }

    pub(super) fn forget_keys(&self) {
        self.keys.forget();
    }

    pub(super) fn discovery(&self) -> Value {
        let SmartSettings { token_url, algorithms, types, discovery_extra, .. } = &self.settings;
        discovery::smart(token_url, algorithms, types, discovery_extra)
    }

    /// Answers one request.
    pub(super) async fn answer(
        &self,
        clients: &Registry,
        form: &[(String, String)],
        content_type: &str,
        peer: IpAddr,
    ) -> Result<TokenResponse, TokenError> {
        self.addresses.take(neighbourhood(peer), self.clock.now_micros()).map_err(|seconds| {
            tracing::info!(%peer, seconds, "token refused: too many requests from this address");
            TokenError::too_many(seconds)
        })?;
        let (fields, token, scope) = fields(form, content_type)?;
        let unproven = assertion::read(token, &self.settings.algorithms).map_err(|flaw| refused(None, &flaw))?;
        let (client, proven) =
            self.prove(clients, &fields, token, &unproven).await.map_err(|flaw| refused(Some(&unproven), &flaw))?;
        self.of_clients.take(client.id.clone(), self.clock.now_micros()).map_err(|seconds| {
            tracing::info!(client = client.id, seconds, "token refused: too many requests of this client");
            TokenError::too_many(seconds)
        })?;
        self.use_once(&client.id, &proven).await?;
        self.grant(client, &unproven, &proven, scope)
    }

    /// Finds the client of an assertion and proves that it comes from it.
    async fn prove<'a>(
        &self,
        clients: &'a Registry,
        fields: &Fields<'_>,
        token: &str,
        unproven: &Unproven,
    ) -> Result<(&'a Client, Proven), Flaw> {
        if fields.client_id.is_some_and(|id| id != unproven.issuer) {
            return Err(Flaw::ClientId);
        }
        let client = clients.get(&unproven.issuer).ok_or(Flaw::UnknownClient)?;
        let keys = self.keys_of(client, unproven).await?;
        // Fetching keys took time.
        let now = self.clock.now_seconds();
        let proven = assertion::verify(token, unproven, client, &keys, &self.audiences, now)?;
        Ok((client, proven))
    }

    /// The keys an assertion of this client must be signed with: those at its `jku`, which must be one that is
    /// registered, else the registered ones.
    async fn keys_of(&self, client: &Client, unproven: &Unproven) -> Result<Arc<KeySet>, Flaw> {
        let url = match (&unproven.jku, &client.keys) {
            (Some(jku), Keys::Url(url)) if jku == url => url,
            (Some(jku), _) => client.allowed_jku.get(jku).ok_or(Flaw::ForeignKeys)?,
            (None, Keys::Url(url)) => url,
            (None, Keys::Inline(keys)) => return Ok(Arc::new(keys.clone())),
            (None, Keys::Elsewhere) => return Err(Flaw::UnknownClient),
        };
        let has =
            |keys: &KeySet| keys.choose(unproven.kid.as_deref(), unproven.algorithm, client.allow_missing_kid).is_ok();
        self.keys.get(url, has).await.map_err(|NoKeys(error)| {
            if let Some(error) = error {
                tracing::warn!(client = client.id, %error, "failed to fetch the keys of a client");
            }
            Flaw::KeysUnreadable
        })
    }

    /// The store blocks on the disk, so it is asked on another thread.
    async fn use_once(&self, client: &str, proven: &Proven) -> Result<(), TokenError> {
        let replays = Arc::clone(&self.replays);
        let (issuer, jti, until) = (client.to_owned(), proven.jti.clone(), proven.until);
        let now = self.clock.now_seconds();
        let first = tokio::task::spawn_blocking(move || replays.first(&issuer, &jti, until, now)).await;
        match first.unwrap_or_else(|error| Err(ReplayError(Box::new(error)))) {
            Ok(true) => Ok(()),
            Ok(false) => {
                tracing::warn!(client, jti = ?shown(&proven.jti), "token refused: jti was already used");
                Err(TokenError::new(Kind::InvalidClient, "jti was already used: make a new assertion for each request"))
            }
            Err(error) => {
                tracing::error!(client, cause = ?error, "token refused: the assertion cannot be recorded");
                Err(TokenError::new(Kind::Unavailable, "the assertion cannot be recorded at the moment"))
            }
        }
    }

    ///
    fn grant(
        &self,
        client: &Client,
        unproven: &Unproven,
        proven: &Proven,
        scope: &str,
    ) -> Result<TokenResponse, TokenError> {
        let granted = Scopes::parse(scope).intersection(&client.scopes, Some(self.types()));
        if granted.is_empty() {
            tracing::info!(client = client.id, "token refused: no scope is left");
            let description =
                format!("none of the scopes can be granted: this client is registered for {}", client.scopes);
            return Err(TokenError::new(Kind::InvalidScope, description));
        }
        let expires_in = self.settings.lifetime();
        let expires = self.clock.now_seconds().saturating_add(i64::from(expires_in));
        let access_token = bearer::mint(&self.key, &client.id, &granted, expires)
            .ok_or_else(|| TokenError::new(Kind::Unavailable, "the token cannot be signed"))?;
        let (kid, jti) = (unproven.kid.as_deref().map(shown), shown(&proven.jti));
        tracing::info!(client = client.id, ?kid, ?jti, scope = %granted, "token granted");
        Ok(TokenResponse { client: client.id.clone(), access_token, expires_in, scope: granted.to_string() })
    }
}

/// Reads a request: the fields, and of them those that make no sense to go on without.
fn fields<'a>(form: &'a [(String, String)], content_type: &str) -> Result<(Fields<'a>, &'a str, &'a str), TokenError> {
    let invalid = |description: &str| TokenError::new(Kind::InvalidRequest, description);
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    if !media_type.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        return Err(invalid("a token request has Content-Type application/x-www-form-urlencoded"));
    }
    let mut fields = Fields::default();
    for (name, value) in form {
        let field = match name.as_str() {
            "grant_type" => &mut fields.grant_type,
            "client_assertion_type" => &mut fields.assertion_type,
            "client_assertion" => &mut fields.assertion,
            "scope" => &mut fields.scope,
            "client_id" => &mut fields.client_id,
            // RFC 6749 §3.2: unknown ones are ignored.
            _ => continue,
        };
        if field.replace(value).is_some() {
            return Err(invalid(&format!("{name} is given twice")));
        }
    }
    // RFC 6749 §3.2: a field without a value is as if it were not there.
    let missing = |name: &str| invalid(&format!("{name} is missing"));
    let given =
        |field: Option<&'a str>, name: &str| field.filter(|value| !value.is_empty()).ok_or_else(|| missing(name));
    fields.client_id = fields.client_id.filter(|id| !id.is_empty());
    if given(fields.grant_type, "grant_type")? != GRANT_TYPE {
        return Err(TokenError::new(Kind::UnsupportedGrantType, format!("grant_type must be {GRANT_TYPE}")));
    }
    if given(fields.assertion_type, "client_assertion_type")? != ASSERTION_TYPE {
        return Err(invalid(&format!("client_assertion_type must be {ASSERTION_TYPE}")));
    }
    let token = given(fields.assertion, "client_assertion")?;
    let scope = given(fields.scope, "scope")?;
    if scope.len() > MAX_SCOPE {
        return Err(TokenError::new(Kind::InvalidScope, format!("scope is longer than {MAX_SCOPE} bytes")));
    }
    Ok((fields, token, scope))
}

/// Tells the log who failed and why, and the client why.
fn refused(unproven: Option<&Unproven>, flaw: &Flaw) -> TokenError {
    let client = unproven.map(|unproven| shown(&unproven.issuer));
    let kid = unproven.and_then(|unproven| unproven.kid.as_deref()).map(shown);
    tracing::info!(?client, ?kid, reason = %flaw, "token refused");
    TokenError::new(Kind::InvalidClient, flaw.to_string())
}

/// As much of a client's own text as a log line takes; it is written with `Debug`, so that no line is broken.
fn shown(text: &str) -> &str {
    text.char_indices().nth(64).and_then(|(end, _)| text.get(..end)).unwrap_or(text)
}
