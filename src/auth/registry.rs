//! The file of registered clients.

use super::client::Registry;

/// A mistake in the registry file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {message}")]
pub struct RegistryError {
    /// Line of the file, from 1.
    pub line: u64,
    /// What is wrong and what to write instead.
    pub message: String,
}

/// Reads the clients of a server that checks their assertions itself: each has keys.
pub fn parse(_text: &str) -> Result<Registry, RegistryError> {
    Ok(Registry::default())
}

/// Reads the clients of a server that takes the tokens of another one: none has keys.
pub fn parse_external(_text: &str) -> Result<Registry, RegistryError> {
    Ok(Registry::default())
}
