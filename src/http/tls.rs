//! TLS by rustls, 1.2 and 1.3, with a certificate that may change while the server runs.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::SystemTime;

use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::{Error as PemError, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

/// Why a certificate cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file cannot be read as PEM. The cause never shows what is in it.
    #[error("failed to read {} from {}", what, path.display())]
    Pem {
        /// Certificate or key.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: PemError,
    },
    /// The file holds no certificate.
    #[error("{} holds no certificate", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// Key and certificate do not belong together, or are of a kind that is not supported.
    #[error("the certificate in {} cannot be used with its key", path.display())]
    Unfit {
        /// The certificate's file.
        path: PathBuf,
        /// Why.
        source: rustls::Error,
    },
}

/// The certificate in force, and the files it comes from.
pub struct Certificate {
    chain: PathBuf,
    key: PathBuf,
    current: RwLock<Arc<CertifiedKey>>,
    /// When the files were last changed, as far as it was seen.
    seen: RwLock<[Option<SystemTime>; 2]>,
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate").field("chain", &self.chain).finish_non_exhaustive()
    }
}

impl Certificate {
    /// Reads a chain and its key.
    pub fn load(chain: &Path, key: &Path) -> Result<Arc<Self>, TlsError> {
        let seen = changed(chain, key);
        let current = read(chain, key)?;
        Ok(Arc::new(Self {
            chain: chain.to_owned(),
            key: key.to_owned(),
            current: RwLock::new(Arc::new(current)),
            seen: RwLock::new(seen),
        }))
    }

    /// Whether the files have changed since they were read.
    pub fn is_stale(&self) -> bool {
        *self.seen.read().unwrap_or_else(PoisonError::into_inner) != changed(&self.chain, &self.key)
    }

    /// Reads the files again. If they cannot be used, the certificate that is in force stays.
    pub fn reload(&self) -> Result<(), TlsError> {
        *self.seen.write().unwrap_or_else(PoisonError::into_inner) = changed(&self.chain, &self.key);
        let fresh = Arc::new(read(&self.chain, &self.key)?);
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        Ok(())
    }

    /// A server's configuration that always shows the certificate in force.
    pub(super) fn server_config(self: &Arc<Self>) -> Result<ServerConfig, TlsError> {
        let unfit = |source| TlsError::Unfit { path: self.chain.clone(), source };
        let builder = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
            .map_err(unfit)?;
        let resolver: Arc<dyn ResolvesServerCert> = Arc::clone(self) as _;
        Ok(builder.with_no_client_auth().with_cert_resolver(resolver))
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

fn changed(chain: &Path, key: &Path) -> [Option<SystemTime>; 2] {
    [chain, key].map(|path| fs::metadata(path).and_then(|found| found.modified()).ok())
}

fn read(chain: &Path, key: &Path) -> Result<CertifiedKey, TlsError> {
    let pem = |what, path: &Path| {
        let path = path.to_owned();
        move |source| TlsError::Pem { what, path, source }
    };
    let certificates = CertificateDer::pem_file_iter(chain)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(pem("a certificate", chain))?;
    if certificates.is_empty() {
        return Err(TlsError::Empty { path: chain.to_owned() });
    }
    let key = PrivateKeyDer::from_pem_file(key).map_err(pem("a private key", key))?;
    CertifiedKey::from_der(certificates, key, &aws_lc_rs::default_provider())
        .map_err(|source| TlsError::Unfit { path: chain.to_owned(), source })
}
