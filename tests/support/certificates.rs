//! An authority of a test's own, the certificates that it signs, and clients that know it.

use crate::client::Client;
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::client::legacy::connect::HttpConnector;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use std::path::PathBuf;
use tidegate_serve::tls::{ClientFiles, open_client};

/// An authority, and the folder that it writes to.
pub struct Authority {
    folder: tempfile::TempDir,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// A certificate and its key, as the paths of their files.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The certificate.
    pub cert: String,
    /// The key.
    pub key: String,
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}

impl Authority {
    /// An authority that nobody knows yet.
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        // Authorities of one name would be told apart by their signatures only.
        let name = folder.path().display().to_string();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        std::fs::write(folder.path().join("ca.pem"), issuer.pem()).unwrap();
        Self { folder, issuer }
    }

    /// The path of a file in its folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The path of its own certificate.
    pub fn ca(&self) -> String {
        text(self.path("ca.pem"))
    }

    /// Writes a file into its folder, such as one of tokens, and gives its path.
    pub fn file(&self, name: &str, content: &str) -> String {
        std::fs::write(self.path(name), content).unwrap();
        text(self.path(name))
    }

    /// Signs a new certificate for `localhost` and 127.0.0.1; one of this name before is overwritten.
    pub fn issue(&self, name: &str) -> Identity {
        let key = KeyPair::generate().unwrap();
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let cert = CertificateParams::new(names).unwrap().signed_by(&key, &self.issuer).unwrap();
        Identity {
            key: self.file(&format!("{name}.key"), &key.serialize_pem()),
            cert: self.file(&format!("{name}.pem"), &cert.pem()),
        }
    }

    /// A client of the server at `base` that trusts this authority and shows `identity`.
    pub fn client(&self, base: &str, identity: Option<&Identity>) -> Client {
        let identity = identity.map(|shown| (PathBuf::from(&shown.cert), PathBuf::from(&shown.key)));
        let tls = open_client(ClientFiles { ca: Some(self.path("ca.pem")), identity }).unwrap();
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        let connector = HttpsConnectorBuilder::new().with_tls_config((*tls.get()).clone());
        Client::with(base, connector.https_or_http().enable_all_versions().wrap_connector(tcp))
    }
}

fn text(path: PathBuf) -> String {
    path.into_os_string().into_string().unwrap()
}
