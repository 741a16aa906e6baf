//! Certificates and keys in PEM (RFC 7468). No error repeats a line of a file: it may be a key.

use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// A certificate and those between it and its authority.
pub(super) fn chain(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let chain = found.map_err(|_| "a certificate in PEM is broken")?;
    if chain.is_empty() { Err("there is no certificate in PEM".to_owned()) } else { Ok(chain) }
}

/// A private key, in PKCS #8, PKCS #1 or SEC 1.
pub(super) fn key(pem: &[u8]) -> Result<PrivateKeyDer<'static>, String> {
    PrivateKeyDer::from_pem_slice(pem)
        .map_err(|_| "there is no private key in PEM that can be read".to_owned())
}

/// Authorities.
pub(super) fn roots(pem: &[u8]) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for authority in chain(pem)? {
        roots.add(authority).map_err(|error| format!("an authority cannot be used: {error}"))?;
    }
    Ok(roots)
}
