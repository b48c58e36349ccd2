//! Public keys of clients.

use std::str::FromStr as _;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde_json::{Map, Value};

/// Sets beyond this are not of one client.
const MAX_KEYS: usize = 100;
/// Members that only a private or a shared key has.
const SECRET_MEMBERS: [&str; 9] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"];
/// Every algorithm there is a verifier for; `none` and HMAC are not among them.
const KNOWN: [Algorithm; 8] = [
    Algorithm::RS384,
    Algorithm::ES384,
    Algorithm::RS256,
    Algorithm::RS512,
    Algorithm::ES256,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
];

/// The algorithms that assertions may be signed with: `RS384` and `ES384`, and more by configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Algorithms(Vec<Algorithm>);

impl Default for Algorithms {
    fn default() -> Self {
        Self(vec![Algorithm::RS384, Algorithm::ES384])
    }
}

impl Algorithms {
    /// The two that are always there, and these. A name that cannot be allowed is given back.
    pub fn with<'a>(more: impl IntoIterator<Item = &'a str>) -> Result<Self, &'a str> {
        let mut all = Self::default();
        for name in more {
            match Algorithm::from_str(name) {
                Ok(algorithm) if all.0.contains(&algorithm) => {}
                Ok(algorithm) if KNOWN.contains(&algorithm) => all.0.push(algorithm),
                _ => return Err(name),
            }
        }
        Ok(all)
    }

    /// Everything that has a public key.
    pub(super) fn all() -> Self {
        Self(KNOWN.to_vec())
    }

    pub(super) fn contain(&self, algorithm: Algorithm) -> bool {
        self.0.contains(&algorithm)
    }

    /// `RS384`, `ES384`, …
    pub fn names(&self) -> Vec<String> {
        self.0.iter().map(|algorithm| format!("{algorithm:?}")).collect()
    }
}

/// The public keys of one JWKS.
#[derive(Debug, Clone, Default)]
pub struct KeySet(Vec<Key>);

/// One public key.
#[derive(Debug, Clone)]
pub(super) struct Key {
    kid: Option<String>,
    kind: KeyKind,
    /// The one algorithm it is for, where it says so.
    algorithm: Option<Algorithm>,
    pub(super) decoding: DecodingKey,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum KeyKind {
    Rsa,
    P256,
    P384,
}

impl KeyKind {
    fn fits(self, algorithm: Algorithm) -> bool {
        match algorithm {
            Algorithm::ES256 => self == Self::P256,
            Algorithm::ES384 => self == Self::P384,
            Algorithm::RS256
            | Algorithm::RS384
            | Algorithm::RS512
            | Algorithm::PS256
            | Algorithm::PS384
            | Algorithm::PS512 => self == Self::Rsa,
            _ => false,
        }
    }
}

/// Why a key set cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeySetError {
    /// Another document.
    #[error("is not a JWKS: write an object with a list `keys`")]
    Form,
    /// Too many keys, or none.
    #[error("has {0} keys: 1 to {MAX_KEYS} can be used")]
    Count(usize),
    /// Somebody has given away a secret.
    #[error("holds a private or shared key in keys[{0}]: make a new key pair and register its public half only")]
    Private(usize),
    /// This key cannot verify a signature.
    #[error("has a key that cannot be used: keys[{index}] {reason}")]
    Key {
        /// Which one, from 0.
        index: usize,
        /// Why, and what to write.
        reason: &'static str,
    },
}

/// Why no key was chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoKey {
    /// `kid` is needed to choose.
    KidMissing,
    /// No key of this name fits the algorithm.
    Unknown,
    /// More than one does.
    Several,
}

impl KeySet {
    /// Reads a set that an operator has registered: each key can be used.
    pub(super) fn registered(set: &Value) -> Result<Self, KeySetError> {
        let mut kept: Vec<Key> = Vec::new();
        for (index, key) in members(set)?.into_iter().enumerate() {
            let key = Key::read(key).map_err(|reason| KeySetError::Key { index, reason })?;
            if key.kid.is_none() {
                return Err(KeySetError::Key { index, reason: "has no `kid`: give it a name of your choice" });
            }
            if kept.iter().any(|other| (&other.kid, other.kind) == (&key.kid, key.kind)) {
                return Err(KeySetError::Key { index, reason: "has the `kid` of another key: give it its own" });
            }
            kept.push(key);
        }
        if kept.is_empty() { Err(KeySetError::Count(0)) } else { Ok(Self(kept)) }
    }

    /// Reads a set that was fetched: keys for other purposes may be in it and are left out.
    pub(super) fn fetched(text: &[u8]) -> Result<Self, KeySetError> {
        let set: Value = serde_json::from_slice(text).or(Err(KeySetError::Form))?;
        Ok(Self(members(&set)?.into_iter().filter_map(|key| Key::read(key).ok()).collect()))
    }

    /// The one key for this signature.
    pub(super) fn choose(&self, kid: Option<&str>, algorithm: Algorithm, without_kid: bool) -> Result<&Key, NoKey> {
        if kid.is_none() && !without_kid {
            return Err(NoKey::KidMissing);
        }
        let fits = |key: &&Key| {
            key.kind.fits(algorithm)
                && key.algorithm.is_none_or(|only| only == algorithm)
                && kid.is_none_or(|kid| key.kid.as_deref() == Some(kid))
        };
        let mut fitting = self.0.iter().filter(fits);
        match (fitting.next(), fitting.next()) {
            (Some(key), None) => Ok(key),
            (None, _) => Err(NoKey::Unknown),
            (Some(_), Some(_)) => Err(NoKey::Several),
        }
    }
}

/// The keys of a set, none of them private.
fn members(set: &Value) -> Result<Vec<&Map<String, Value>>, KeySetError> {
    let keys = set.get("keys").and_then(Value::as_array).ok_or(KeySetError::Form)?;
    if keys.len() > MAX_KEYS {
        return Err(KeySetError::Count(keys.len()));
    }
    let keys: Option<Vec<_>> = keys.iter().map(Value::as_object).collect();
    let keys = keys.ok_or(KeySetError::Form)?;
    match keys.iter().position(|key| SECRET_MEMBERS.iter().any(|secret| key.contains_key(*secret))) {
        Some(index) => Err(KeySetError::Private(index)),
        None => Ok(keys),
    }
}

impl Key {
    fn read(key: &Map<String, Value>) -> Result<Self, &'static str> {
        let text = |name: &str| key.get(name).and_then(Value::as_str);
        let kid = match key.get("kid") {
            None => None,
            Some(Value::String(kid)) if !kid.is_empty() => Some(kid.clone()),
            Some(_) => return Err("has a `kid` that is not a text: put it in quotes"),
        };
        if key.get("use").is_some_and(|usage| usage != "sig") {
            return Err("is not for signatures: `use` must be `sig` or left out");
        }
        if let Some(operations) = key.get("key_ops")
            && !operations.as_array().is_some_and(|all| all.iter().any(|one| one == "verify"))
        {
            return Err("is not for verifying: `key_ops` must have `verify` or be left out");
        }
        let (kind, decoding) = match text("kty") {
            Some("RSA") => (KeyKind::Rsa, rsa(text("n"), text("e"))?),
            Some("EC") => ec(text("crv"), text("x"), text("y"))?,
            _ => return Err("has a `kty` other than RSA and EC"),
        };
        let algorithm = match key.get("alg").map(|name| name.as_str().and_then(|name| Algorithm::from_str(name).ok())) {
            None => None,
            Some(Some(only)) if kind.fits(only) => Some(only),
            Some(_) => return Err("has an `alg` that does not fit its `kty`"),
        };
        Ok(Self { kid, kind, algorithm, decoding })
    }
}

fn rsa(modulus: Option<&str>, exponent: Option<&str>) -> Result<DecodingKey, &'static str> {
    let modulus = bytes(modulus).ok_or("has no `n` in base64url without padding")?;
    let exponent = bytes(exponent).ok_or("has no `e` in base64url without padding")?;
    let zeros = modulus.iter().take_while(|byte| **byte == 0).count();
    let significant = modulus.get(zeros..).unwrap_or_default();
    let bits = significant.len() * 8 - significant.first().map_or(0, |byte| byte.leading_zeros() as usize);
    if !(2048..=8192).contains(&bits) {
        return Err("is an RSA key of a size other than 2048 to 8192 bits");
    }
    // With an exponent of 1 everything is a signature.
    let odd = exponent.last().is_some_and(|byte| byte % 2 == 1);
    if !odd || exponent.len() > 5 || exponent.iter().fold(0_u64, |all, byte| all << 8 | u64::from(*byte)) < 3 {
        return Err("has an `e` that is no RSA exponent: 65537 is the usual one");
    }
    Ok(DecodingKey::from_rsa_raw_components(significant, &exponent))
}

fn ec(curve: Option<&str>, x: Option<&str>, y: Option<&str>) -> Result<(KeyKind, DecodingKey), &'static str> {
    let (kind, size) = match curve {
        Some("P-256") => (KeyKind::P256, 32),
        Some("P-384") => (KeyKind::P384, 48),
        _ => return Err("is on a curve other than P-256 and P-384"),
    };
    let (Some(x_bytes), Some(y_bytes)) = (bytes(x), bytes(y)) else {
        return Err("has no `x` and `y` in base64url without padding");
    };
    if x_bytes.len() != size || y_bytes.len() != size {
        return Err("has coordinates of another length than its curve");
    }
    let point = [&[4], x_bytes.as_slice(), y_bytes.as_slice()].concat();
    Ok((kind, DecodingKey::from_ec_der(&point)))
}

/// Decodes base64url, where there is something in it.
fn bytes(text: Option<&str>) -> Option<Vec<u8>> {
    text.and_then(|text| URL_SAFE_NO_PAD.decode(text).ok()).filter(|bytes| !bytes.is_empty())
}
