//! TLS by rustls, with ring.

use super::shown;
use crate::config::Tls;
use prestige_core::Error;
use rustls::ServerConfig;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::path::Path;
use std::sync::Arc;
use tokio_rustls::TlsAcceptor;

/// TLS 1.2 and 1.3 with the certificate and the key of `tls`.
///
/// # Errors
/// [`Error::InvalidArgument`] if they cannot be read or do not belong together.
pub(super) fn acceptor(tls: &Tls) -> Result<TlsAcceptor, Error> {
    let unreadable = |path: &Path, error: &dyn std::fmt::Display| {
        Error::InvalidArgument(format!(
            "cannot use {} for TLS: {error}; expected a PEM file",
            shown(path)
        ))
    };
    let path = tls.certificate.as_path();
    let certificates = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| unreadable(path, &error))?;
    if certificates.is_empty() {
        return Err(unreadable(path, &"it has no certificate"));
    }
    let path = tls.key.as_path();
    let key = PrivateKeyDer::from_pem_file(path).map_err(|error| unreadable(path, &error))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| {
            builder
                .with_no_client_auth()
                .with_single_cert(certificates, key)
        })
        .map_err(|error| {
            Error::InvalidArgument(format!(
                "the certificate and the key for TLS cannot be used: {error}"
            ))
        })?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}
