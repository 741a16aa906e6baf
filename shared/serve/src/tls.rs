//! TLS 1.2 and 1.3, on both sides of a connection, with certificates that are read again when their files change.

mod pem;

use crate::from_files::{FileError, FromFiles};
use rustls::crypto::{CryptoProvider, ring};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use std::path::PathBuf;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::server::TlsStream;

/// What a listener shows and asks of its clients.
#[derive(Debug, Clone)]
pub struct ServerTls {
    config: FromFiles<ServerConfig>,
}

/// The files of a listener.
#[derive(Debug, Clone)]
pub struct ServerFiles {
    /// The certificate and those between it and its authority, in PEM.
    pub cert: PathBuf,
    /// Its private key, in PEM.
    pub key: PathBuf,
    /// The authorities whose clients are known, in PEM; none where every client may come in.
    pub client_ca: Option<PathBuf>,
}

/// Says that a connection's client has shown a certificate of a known authority. Stands in a request's extensions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KnownClient;

/// The protocols that are spoken, by their names in ALPN (RFC 7301); the one it likes most first.
const PROTOCOLS: [&[u8]; 2] = [HTTP_2, b"http/1.1"];
/// HTTP/2 in ALPN.
const HTTP_2: &[u8] = b"h2";

impl ServerTls {
    /// Reads certificate and key. A client without a certificate is let in here also where authorities are given: which paths it
    /// may not see is the gate's to say, so that probes need no certificate.
    ///
    /// # Errors
    /// If a file cannot be read or used, or the key is another certificate's.
    pub fn open(files: ServerFiles) -> Result<Self, FileError> {
        let ServerFiles { cert, key, client_ca } = files;
        let paths = [cert, key].into_iter().chain(client_ca).collect();
        Ok(Self { config: FromFiles::open(paths, server_config)? })
    }

    /// Reads the files again from now on whenever they change: connections that are opened later get what is new.
    pub fn follow(&self) {
        self.config.follow();
    }

    /// Shakes hands.
    ///
    /// # Errors
    /// If the client speaks no TLS, none of these versions, or shows a certificate of an unknown authority.
    pub async fn accept<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: S,
    ) -> std::io::Result<TlsStream<S>> {
        tokio_rustls::TlsAcceptor::from(self.config.get()).accept(stream).await
    }
}

/// What the handshake found out.
pub(crate) struct Handshake {
    /// Whether HTTP/2 was agreed on.
    pub(crate) http_2: bool,
    /// Whether the client has shown a certificate of a known authority.
    pub(crate) known: Option<KnownClient>,
}

impl Handshake {
    pub(crate) fn of<S>(stream: &TlsStream<S>) -> Self {
        let connection = stream.get_ref().1;
        Self {
            http_2: connection.alpn_protocol() == Some(HTTP_2),
            known: connection.peer_certificates().map(|_| KnownClient),
        }
    }
}

/// What this process shows and asks where it is the client. Clones share it.
pub type ClientTls = FromFiles<ClientConfig>;

/// The files of a client.
#[derive(Debug, Clone, Default)]
pub struct ClientFiles {
    /// The authorities whose servers are known, in PEM; the system's where none is given.
    pub ca: Option<PathBuf>,
    /// What this client shows: its certificate and its key.
    pub identity: Option<(PathBuf, PathBuf)>,
}

/// Reads authorities and certificate.
///
/// # Errors
/// If a file cannot be read or used.
pub fn open_client(files: ClientFiles) -> Result<ClientTls, FileError> {
    let ClientFiles { ca, identity } = files;
    let (own_roots, shown) = (ca.is_some(), identity.is_some());
    let paths = ca.into_iter().chain(identity.into_iter().flat_map(|(cert, key)| [cert, key])).collect();
    // Read once: a system's authorities change with its packages, and then processes are started anew.
    let system = if own_roots { RootCertStore::empty() } else { system_roots() };
    FromFiles::open(paths, move |files| client_config(files, own_roots, shown, &system))
}

/// The same, of a client that speaks HTTP/2 where the server chooses it, and else HTTP/1.1.
#[must_use]
pub fn offering_http2(config: &ClientConfig) -> Arc<ClientConfig> {
    let mut config = config.clone();
    config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
    Arc::new(config)
}

/// One provider, chosen here: what the build's features come to must not decide it.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

fn server_config(files: &[Vec<u8>]) -> Result<ServerConfig, String> {
    let [cert, key, client_ca @ ..] = files else {
        return Err("a certificate and a key are wanted".to_owned());
    };
    let builder = ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| error.to_string())?;
    let builder = match client_ca.first() {
        None => builder.with_no_client_auth(),
        Some(ca) => {
            let roots = Arc::new(pem::roots(ca)?);
            let verifier =
                WebPkiClientVerifier::builder_with_provider(roots, provider()).allow_unauthenticated();
            builder.with_client_cert_verifier(verifier.build().map_err(|error| error.to_string())?)
        }
    };
    let mut config = builder
        .with_single_cert(pem::chain(cert)?, pem::key(key)?)
        .map_err(|error| format!("certificate and key cannot be used: {error}"))?;
    config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
    Ok(config)
}

fn client_config(
    files: &[Vec<u8>],
    own_roots: bool,
    shown: bool,
    system: &RootCertStore,
) -> Result<ClientConfig, String> {
    let (ca, identity) = files.split_at(usize::from(own_roots));
    let roots = ca.first().map_or_else(|| Ok(system.clone()), |ca| pem::roots(ca))?;
    let builder = ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| error.to_string())?.with_root_certificates(roots);
    match identity {
        [cert, key] if shown => builder
            .with_client_auth_cert(pem::chain(cert)?, pem::key(key)?)
            .map_err(|error| format!("certificate and key cannot be used: {error}")),
        _ => Ok(builder.with_no_client_auth()),
    }
}

/// The authorities that this system knows; none is no error before one is needed.
fn system_roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    roots.add_parsable_certificates(found.certs);
    roots
}

#[cfg(test)]
mod tests;
