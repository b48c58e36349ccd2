//! The key that access tokens and file URLs are signed with.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, crypto};

/// Name of the key file in the state directory.
const FILE: &str = "token.key";
/// Its name until it is whole. A process that dies may leave it behind; the next one removes it.
const DRAFT: &str = ".token.key.new";
const LENGTH: usize = 32;

/// What only this server can sign with. `Debug` does not show it.
///
/// Tokens and file URLs have keys of their own, so that neither can ever stand for the other.
#[derive(Clone)]
pub struct SigningKey {
    pub(super) sign_tokens: EncodingKey,
    pub(super) check_tokens: DecodingKey,
    sign_urls: EncodingKey,
    check_urls: DecodingKey,
}

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
        source: io::Error,
    },
    /// Others could sign tokens.
    #[error("the key file {} can be read by others: `chmod 600` it, or delete it to get a new key", path.display())]
    Open {
        /// The key file.
        path: PathBuf,
    },
    /// Not a key.
    #[error("the key file {} is not {LENGTH} bytes long: delete it to get a new key", path.display())]
    Length {
        /// The key file.
        path: PathBuf,
    },
    /// The operating system has none, or the library refuses to sign.
    #[error("failed to make a key")]
    Make,
}

impl SigningKey {
    /// A key that is kept nowhere: tokens end with the process.
    pub fn random() -> Result<Self, KeyError> {
        Self::from_bytes(&random()?)
    }

    /// The key in `DIR/token.key`, made on first use and readable by its owner only. Whoever deletes the file and
    /// starts the server again has revoked every token. The caller has the directory to itself.
    pub fn load_or_create(state_dir: &Path) -> Result<Self, KeyError> {
        let path = state_dir.join(FILE);
        let io = |source| KeyError::Io { path: path.clone(), source };
        match std::fs::remove_file(state_dir.join(DRAFT)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(io(error)),
            _ => {}
        }
        let file = match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                create(state_dir, &path, &random()?).map_err(io)?;
                File::open(&path).map_err(io)?
            }
            opened => opened.map_err(io)?,
        };
        let metadata = file.metadata().map_err(io)?;
        if metadata.permissions().mode() & 0o077 != 0 {
            return Err(KeyError::Open { path });
        }
        let mut bytes = Vec::new();
        file.take(LENGTH as u64 + 1).read_to_end(&mut bytes).map_err(io)?;
        match <[u8; LENGTH]>::try_from(bytes) {
            Ok(bytes) => Self::from_bytes(&bytes),
            Err(_) => Err(KeyError::Length { path }),
        }
    }

    fn from_bytes(bytes: &[u8; LENGTH]) -> Result<Self, KeyError> {
        let derive = |purpose: &[u8]| {
            let key = crypto::sign(purpose, &EncodingKey::from_secret(bytes), Algorithm::HS256).ok();
            key.and_then(|key| URL_SAFE_NO_PAD.decode(key).ok()).ok_or(KeyError::Make)
        };
        let (tokens, urls) = (derive(b"smelt access tokens 1")?, derive(b"smelt file urls 1")?);
        Ok(Self {
            sign_tokens: EncodingKey::from_secret(&tokens),
            check_tokens: DecodingKey::from_secret(&tokens),
            sign_urls: EncodingKey::from_secret(&urls),
            check_urls: DecodingKey::from_secret(&urls),
        })
    }

    /// HMAC-SHA-256 in base64url.
    pub(super) fn seal(&self, message: &str) -> Option<String> {
        crypto::sign(message.as_bytes(), &self.sign_urls, Algorithm::HS256).ok()
    }

    /// Whether [`Self::seal`] made this; takes the same time whatever is wrong with it.
    pub(super) fn is_seal(&self, seal: &str, message: &str) -> bool {
        crypto::verify(seal, message.as_bytes(), &self.check_urls, Algorithm::HS256).unwrap_or(false)
    }
}

fn random() -> Result<[u8; LENGTH], KeyError> {
    let mut bytes = [0; LENGTH];
    getrandom::fill(&mut bytes).or(Err(KeyError::Make))?;
    Ok(bytes)
}

/// Makes the file whole or not at all, and never in place of another.
fn create(directory: &Path, path: &Path, bytes: &[u8; LENGTH]) -> io::Result<()> {
    let draft = directory.join(DRAFT);
    let write = || {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        match std::fs::hard_link(&draft, path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            linked => linked,
        }
    };
    let written = write();
    let _ = std::fs::remove_file(&draft);
    written?;
    File::open(directory)?.sync_all()
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SigningKey(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_key_is_made_once_and_for_its_owner_only() {
        let dir = tempfile::tempdir().unwrap();
        let first = SigningKey::load_or_create(dir.path()).unwrap();
        let path = dir.path().join(FILE);
        assert_eq!(mode(&path), 0o600);
        let again = SigningKey::load_or_create(dir.path()).unwrap();
        assert!(again.is_seal(&first.seal("x").unwrap(), "x"));
        // A process that died between the two names of the key.
        std::fs::hard_link(&path, dir.path().join(DRAFT)).unwrap();
        let after = SigningKey::load_or_create(dir.path()).unwrap();
        assert!(after.is_seal(&first.seal("x").unwrap(), "x"));
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "nothing else is left");
        std::fs::remove_file(&path).unwrap();
        let other = SigningKey::load_or_create(dir.path()).unwrap();
        assert!(!other.is_seal(&first.seal("x").unwrap(), "x"));
    }

    #[test]
    fn a_key_file_that_is_open_or_damaged_is_not_used() {
        let dir = tempfile::tempdir().unwrap();
        SigningKey::load_or_create(dir.path()).unwrap();
        let path = dir.path().join(FILE);
        for open in [0o640, 0o604, 0o660] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(open)).unwrap();
            let error = SigningKey::load_or_create(dir.path()).unwrap_err();
            assert!(matches!(error, KeyError::Open { .. }), "{error}");
        }
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        for length in [0, 31, 33, 1 << 20] {
            std::fs::write(&path, vec![7; length]).unwrap();
            let error = SigningKey::load_or_create(dir.path()).unwrap_err();
            assert!(matches!(error, KeyError::Length { .. }), "{error}");
        }
    }

    #[test]
    fn a_key_that_is_there_is_not_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE);
        create(dir.path(), &path, &[1; LENGTH]).unwrap();
        create(dir.path(), &path, &[2; LENGTH]).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), [1; LENGTH]);
    }

    #[test]
    fn tokens_and_urls_have_different_keys_and_debug_shows_none() {
        let key = SigningKey::from_bytes(&[3; LENGTH]).unwrap();
        let as_token = crypto::sign(b"x", &key.sign_tokens, Algorithm::HS256).unwrap();
        assert_ne!(key.seal("x").unwrap(), as_token);
        assert_eq!(format!("{key:?}"), "SigningKey(…)");
    }
}
