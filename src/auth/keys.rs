//! Public keys of clients.

/// The public keys of one JWKS.
#[derive(Debug, Clone, Default)]
pub struct KeySet(Vec<Key>);

/// One public key.
#[derive(Debug, Clone)]
struct Key {}
