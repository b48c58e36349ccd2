//! A client's signed assertion. No I/O: keys and time are given.

use jsonwebtoken::{Algorithm, Header, Validation, dangerous::insecure_decode_claims, decode, decode_header};
use serde::Deserialize;
use serde_json::{Map, Number, Value};

use super::client::Client;
use super::keys::{Algorithms, KeySet, NoKey};

/// Longer ones are not read.
pub const MAX_ASSERTION: usize = 8 * 1024;
/// Longer ids are not looked up and not kept.
const MAX_ID: usize = 255;
/// Clocks differ; clients send exactly now + 300 (T-07).
pub const LEEWAY: i64 = 60;
/// How far ahead `exp` may be.
const MAX_AHEAD: i64 = 300;

/// What an assertion says before anything of it is proven. It serves to find the client and its keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unproven {
    /// `iss`.
    pub issuer: String,
    /// Name of the key.
    pub kid: Option<String>,
    /// Where the key is said to be.
    pub jku: Option<String>,
    pub(super) algorithm: Algorithm,
}

/// What is left of an assertion that holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proven {
    /// Its one-time name.
    pub jti: String,
    /// Until when it could be used again, in seconds since 1970.
    pub until: i64,
}

/// Why an assertion does not hold. No text repeats a part of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Flaw {
    /// Beyond [`MAX_ASSERTION`].
    #[error("client_assertion is longer than {MAX_ASSERTION} bytes")]
    TooLong,
    /// No JWT, or one with `alg` none.
    #[error("client_assertion is not a JWT signed with one of: {0}")]
    Malformed(String),
    /// Signed in a way that is not allowed here.
    #[error("client_assertion is signed with {found}, allowed are: {allowed}")]
    Algorithm {
        /// What it names.
        found: String,
        /// What it may name.
        allowed: String,
    },
    /// Another kind of JWT.
    #[error("`typ` of client_assertion must be JWT")]
    Type,
    /// Extensions that must be understood.
    #[error("client_assertion has `crit`, which is not understood here")]
    Critical,
    /// Nobody of this name.
    #[error("client_assertion is of a client that is not registered here")]
    UnknownClient,
    /// `client_id` beside the assertion.
    #[error("`client_id` must equal the `iss` of client_assertion")]
    ClientId,
    /// A key set that is not of this client.
    #[error("`jku` of client_assertion is not a registered JWKS URL of this client")]
    ForeignKeys,
    /// The keys are there, but nobody can read them.
    #[error("the registered JWKS URL of this client cannot be read at the moment")]
    KeysUnreadable,
    /// T-20.
    #[error("client_assertion has no `kid`: name the registered key it is signed with")]
    KidMissing,
    ///
    #[error("no registered key has the `kid` and the type that client_assertion is signed with")]
    NoKey,
    ///
    #[error("several registered keys fit client_assertion: give each its own `kid`")]
    SeveralKeys,
    /// Not made with that key.
    #[error("the signature of client_assertion does not match the registered key")]
    Signature,
    /// A claim that must be there.
    #[error("client_assertion has no `{0}`, or not in its form")]
    Claim(&'static str),
    /// `iss` and `sub` are both the client.
    #[error("`sub` of client_assertion must equal its `iss`, the client id")]
    Subject,
    /// For somebody else.
    #[error("`aud` of client_assertion must be the URL of this token endpoint: {0}")]
    Audience(String),
    /// Too late.
    #[error("client_assertion has expired")]
    Expired,
    /// Longer than five minutes.
    #[error("`exp` of client_assertion is more than {MAX_AHEAD} s ahead")]
    TooFarAhead,
    /// `nbf` or `iat`.
    #[error("client_assertion is not valid yet: check the clock")]
    NotYet,
}

/// Reads an assertion without believing it.
pub fn read(token: &str, allowed: &Algorithms) -> Result<Unproven, Flaw> {
    #[derive(Deserialize)]
    struct Issuer {
        iss: String,
    }
    if token.len() > MAX_ASSERTION {
        return Err(Flaw::TooLong);
    }
    let names = || allowed.names().join(", ");
    let Ok(Header { alg, typ, crit, kid, jku, .. }) = decode_header(token) else {
        return Err(Flaw::Malformed(names()));
    };
    if !allowed.contain(alg) {
        return Err(Flaw::Algorithm { found: format!("{alg:?}"), allowed: names() });
    }
    if typ.is_some_and(|typ| !["jwt", "client-authentication+jwt"].contains(&typ.to_ascii_lowercase().as_str())) {
        return Err(Flaw::Type);
    }
    if crit.is_some() {
        return Err(Flaw::Critical);
    }
    match insecure_decode_claims::<Issuer>(token) {
        Ok(Issuer { iss }) if iss.len() <= MAX_ID => Ok(Unproven { issuer: iss, kid, jku, algorithm: alg }),
        _ => Err(Flaw::Claim("iss")),
    }
}

/// Proves what [`read`] has read: signature first, then every claim.
pub fn verify(
    token: &str,
    unproven: &Unproven,
    client: &Client,
    keys: &KeySet,
    audiences: &[String],
    now: i64,
) -> Result<Proven, Flaw> {
    let key =
        keys.choose(unproven.kid.as_deref(), unproven.algorithm, client.allow_missing_kid).map_err(|no| match no {
            NoKey::KidMissing => Flaw::KidMissing,
            NoKey::Unknown => Flaw::NoKey,
            NoKey::Several => Flaw::SeveralKeys,
        })?;
    let claims: Map<String, Value> = decode(token, &key.decoding, &signature_only(unproven.algorithm))
        .map(|data| data.claims)
        .or(Err(Flaw::Signature))?;
    let text = |name: &'static str| claims.get(name).and_then(Value::as_str).ok_or(Flaw::Claim(name));
    if text("iss")? != client.id || text("sub")? != client.id {
        return Err(Flaw::Subject);
    }
    if !names_one_of(claims.get("aud"), audiences) {
        return Err(Flaw::Audience(audiences.first().cloned().unwrap_or_default()));
    }
    let expires = seconds(claims.get("exp")).ok_or(Flaw::Claim("exp"))?;
    if expires.saturating_add(LEEWAY) <= now {
        return Err(Flaw::Expired);
    }
    if expires > now.saturating_add(MAX_AHEAD + LEEWAY) {
        return Err(Flaw::TooFarAhead);
    }
    for name in ["nbf", "iat"] {
        if claims.contains_key(name) && seconds(claims.get(name)).ok_or(Flaw::Claim(name))? > now.saturating_add(LEEWAY)
        {
            return Err(Flaw::NotYet);
        }
    }
    let jti = text("jti")?;
    if jti.is_empty() || jti.len() > MAX_ID {
        return Err(Flaw::Claim("jti"));
    }
    Ok(Proven { jti: jti.to_owned(), until: expires.saturating_add(LEEWAY) })
}

/// Lets the library check nothing but the signature, with exactly this algorithm: it would ask its own clock.
pub(super) fn signature_only(algorithm: Algorithm) -> Validation {
    let mut validation = Validation::new(algorithm);
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    validation.validate_nbf = false;
    validation.validate_aud = false;
    validation
}

/// A NumericDate, which may have a fraction.
pub(super) fn seconds(claim: Option<&Value>) -> Option<i64> {
    let number: &Number = claim?.as_number()?;
    number.as_i64().or_else(|| number.as_f64().filter(|seconds| seconds.abs() < 1e15).map(|seconds| seconds as i64))
}

/// Whether `aud`, a text or a list of texts, has one of these; a slash at the end makes no difference.
pub(super) fn names_one_of(claim: Option<&Value>, audiences: &[String]) -> bool {
    let plain = |url: &str| url.strip_suffix('/').unwrap_or(url).to_owned();
    let ours = |one: &Value| one.as_str().is_some_and(|one| audiences.iter().any(|ours| plain(ours) == plain(one)));
    match claim {
        Some(Value::Array(all)) => all.iter().all(Value::is_string) && all.iter().any(ours),
        Some(one) => ours(one),
        None => false,
    }
}
