//! Assertions work once: the store of every `jti` that could still be used again.

/// The store could not say whether an assertion is new; it is refused then.
#[derive(Debug, thiserror::Error)]
#[error("failed to record an assertion")]
pub struct ReplayError(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// Remembers assertions.
///
/// `first` is atomic: of two calls with the same issuer and `jti`, at any time and from any thread, one gets `true`.
/// It has returned `true` only after the record would survive a crash. It blocks; it is called off the runtime's
/// threads.
pub trait Replays: Send + Sync {
    /// Whether this is the first use; records it until `until`. Both times are seconds since 1970.
    fn first(&self, issuer: &str, jti: &str, until: i64, now: i64) -> Result<bool, ReplayError>;
}
