//! TLS to the database, by libpq's `sslmode`.

use std::{path::Path, sync::Arc};

use rustls::{
    ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    client::{
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_cert_signed_by_trust_anchor, verify_server_name,
    },
    crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject as _},
    server::ParsedCertificate,
};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::target::{TargetError, TlsMode, TlsSettings};

/// The connector for these settings.
pub(super) fn connector(settings: &TlsSettings) -> Result<MakeRustlsConnect, TargetError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = Verifier {
        trust: trust(settings)?,
        name: settings.mode == TlsMode::VerifyFull,
        provider: Arc::clone(&provider),
    };
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| certificate("sslmode", Path::new(""), &error.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    let mut config = match &settings.identity {
        None => config.with_no_client_auth(),
        Some((cert, key)) => {
            let chain = certificates("sslcert", cert)?;
            let secret =
                PrivateKeyDer::from_pem_file(key).map_err(|error| certificate("sslkey", key, &error.to_string()))?;
            config
                .with_client_auth_cert(chain, secret)
                .map_err(|error| certificate("sslcert", cert, &error.to_string()))?
        }
    };
    config.alpn_protocols = vec![b"postgresql".to_vec()];
    Ok(MakeRustlsConnect::new(config))
}

/// The authorities the server's certificate must come from; `None` where libpq does not check it either.
fn trust(settings: &TlsSettings) -> Result<Option<RootCertStore>, TargetError> {
    let mut store = RootCertStore::empty();
    match (settings.mode, &settings.roots) {
        (TlsMode::Disable, _) | (TlsMode::Prefer | TlsMode::Require, None) => return Ok(None),
        (_, Some(path)) => {
            for root in certificates("sslrootcert", path)? {
                store.add(root).map_err(|error| certificate("sslrootcert", path, &error.to_string()))?;
            }
        }
        (_, None) => {
            let system = rustls_native_certs::load_native_certs();
            store.add_parsable_certificates(system.certs);
            if store.is_empty() {
                let reason = "this system has no list of trusted authorities; name a file with them";
                return Err(certificate("sslrootcert", Path::new("system"), reason));
            }
        }
    }
    Ok(Some(store))
}

fn certificates(key: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, TargetError> {
    let wrong = |error: rustls::pki_types::pem::Error| certificate(key, path, &error.to_string());
    let all: Vec<_> = CertificateDer::pem_file_iter(path).map_err(wrong)?.collect::<Result<_, _>>().map_err(wrong)?;
    if all.is_empty() { Err(certificate(key, path, "holds no certificate")) } else { Ok(all) }
}

fn certificate(key: &'static str, path: &Path, reason: &str) -> TargetError {
    TargetError::Certificate { key, path: path.display().to_string(), reason: reason.to_owned() }
}

/// Checks as much of the server's certificate as `sslmode` asks for. The handshake's signature is always checked,
/// so the server holds the key of the certificate it shows.
#[derive(Debug)]
struct Verifier {
    trust: Option<RootCertStore>,
    name: bool,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if let Some(roots) = &self.trust {
            let cert = ParsedCertificate::try_from(end_entity)?;
            let algorithms = self.provider.signature_verification_algorithms.all;
            verify_server_cert_signed_by_trust_anchor(&cert, roots, intermediates, now, algorithms)?;
            if self.name {
                verify_server_name(&cert, server_name)?;
            }
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
