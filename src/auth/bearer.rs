//! Access tokens: ours, and those of another server.

use jsonwebtoken::{Algorithm, Header, decode, decode_header, encode};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::access::Refused;
use super::assertion::{LEEWAY, names_one_of, seconds, signature_only};
use super::keys::{Algorithms, KeySet};
use super::scope::Scopes;
use super::secret::SigningKey;

/// Longer ones are not read.
const MAX_TOKEN: usize = 16 * 1024;
/// `typ` of an access token (RFC 9068).
const TYPE: &str = "at+jwt";

/// The token of an `Authorization` header.
pub(super) fn token(authorization: Option<&str>) -> Result<&str, Refused> {
    let (scheme, token) = authorization.and_then(|value| value.trim().split_once(' ')).ok_or(Refused::Missing)?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(Refused::Missing);
    }
    let token = token.trim();
    if token.is_empty() || token.len() > MAX_TOKEN {
        return Err(Refused::Invalid);
    }
    Ok(token)
}

/// What a token says that was found to be good.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Granted {
    pub(super) client: String,
    pub(super) scopes: Scopes,
}

/// Everything that is in a token of ours.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Claims {
    client_id: String,
    scope: String,
    exp: i64,
}

/// Makes a token.
pub(super) fn mint(key: &SigningKey, client: &str, scopes: &Scopes, expires: i64) -> Option<String> {
    let mut header = Header::new(Algorithm::HS256);
    header.typ = Some(TYPE.to_owned());
    let claims = Claims { client_id: client.to_owned(), scope: scopes.to_string(), exp: expires };
    encode(&header, &claims, &key.sign_tokens).ok()
}

/// Checks a token of ours.
pub(super) fn check(key: &SigningKey, token: &str, now: i64) -> Result<Granted, Refused> {
    let data = decode::<Claims>(token, &key.check_tokens, &signature_only(Algorithm::HS256));
    let data = data.or(Err(Refused::Invalid))?;
    if data.header.typ.as_deref() != Some(TYPE) {
        return Err(Refused::Invalid);
    }
    let Claims { client_id, scope, exp } = data.claims;
    if exp <= now {
        return Err(Refused::Expired);
    }
    Ok(Granted { client: client_id, scopes: Scopes::parse(&scope) })
}

/// A token of another server, not believed yet.
pub(super) struct Foreign<'a> {
    token: &'a str,
    algorithm: Algorithm,
    kid: Option<String>,
}

/// Reads enough of a token to choose its key.
pub(super) fn read_foreign(token: &str) -> Result<Foreign<'_>, Refused> {
    let Header { alg, typ, crit, kid, .. } = decode_header(token).or(Err(Refused::Invalid))?;
    let is_token = typ.is_none_or(|typ| {
        let typ = typ.to_ascii_lowercase();
        ["at+jwt", "application/at+jwt", "jwt"].contains(&typ.as_str())
    });
    if !is_token || crit.is_some() || !Algorithms::all().contain(alg) {
        return Err(Refused::Invalid);
    }
    Ok(Foreign { token, algorithm: alg, kid })
}

impl Foreign<'_> {
    /// Whether a set has the key this token names.
    pub(super) fn has_key(&self, keys: &KeySet) -> bool {
        keys.choose(self.kid.as_deref(), self.algorithm, true).is_ok()
    }

    /// Checks it: signature first, then for whom it is and until when, then whose it is.
    pub(super) fn check(&self, keys: &KeySet, issuer: &str, audience: &str, now: i64) -> Result<Granted, Refused> {
        let key = keys.choose(self.kid.as_deref(), self.algorithm, true).or(Err(Refused::Invalid))?;
        let claims: Map<String, Value> = decode(self.token, &key.decoding, &signature_only(self.algorithm))
            .map(|data| data.claims)
            .or(Err(Refused::Invalid))?;
        let text = |name: &str| claims.get(name).and_then(Value::as_str);
        let ours = text("iss") == Some(issuer) && names_one_of(claims.get("aud"), &[audience.to_owned()]);
        let expires = seconds(claims.get("exp")).filter(|_| ours).ok_or(Refused::Invalid)?;
        if expires.saturating_add(LEEWAY) <= now {
            return Err(Refused::Expired);
        }
        let begins = match claims.get("nbf") {
            None => i64::MIN,
            nbf => seconds(nbf).ok_or(Refused::Invalid)?,
        };
        if begins > now.saturating_add(LEEWAY) {
            return Err(Refused::Invalid);
        }
        let client = text("client_id").or_else(|| text("azp")).filter(|client| !client.is_empty());
        let client = client.ok_or(Refused::Invalid)?.to_owned();
        Ok(Granted { client, scopes: foreign_scopes(&claims) })
    }
}

/// `scope` as RFC 9068 has it, or the `scp` and the lists that some servers send.
fn foreign_scopes(claims: &Map<String, Value>) -> Scopes {
    match claims.get("scope").or_else(|| claims.get("scp")) {
        Some(Value::String(text)) => Scopes::parse(text),
        Some(Value::Array(all)) => {
            let texts: Vec<&str> = all.iter().filter_map(Value::as_str).collect();
            Scopes::parse(&texts.join(" "))
        }
        _ => Scopes::default(),
    }
}
