//! Real handshakes over memory: who knows whom, by which protocol, and what a changed file does.

use super::*;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use std::path::Path;
use tokio_rustls::TlsConnector;

struct Scene {
    folder: tempfile::TempDir,
}

impl Scene {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// An authority, whose certificate is written to `NAME.pem`.
    fn authority(&self, name: &str) -> CertifiedIssuer<'static, KeyPair> {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        // Authorities of one name would be told apart by their signatures only.
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        std::fs::write(self.path(&format!("{name}.pem")), authority.pem()).unwrap();
        authority
    }

    /// A certificate of `authority` and its key, in `NAME.pem` and `NAME.key`.
    fn certificate(&self, authority: &CertifiedIssuer<'static, KeyPair>, name: &str) -> (PathBuf, PathBuf) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let (cert, file) = (self.path(&format!("{name}.pem")), self.path(&format!("{name}.key")));
        std::fs::write(&cert, params.signed_by(&key, authority).unwrap().pem()).unwrap();
        std::fs::write(&file, key.serialize_pem()).unwrap();
        (cert, file)
    }

    fn server(&self, name: &str, client_ca: Option<&str>) -> Result<ServerTls, FileError> {
        let (cert, key) = (self.path(&format!("{name}.pem")), self.path(&format!("{name}.key")));
        ServerTls::open(ServerFiles { cert, key, client_ca: client_ca.map(|name| self.path(name)) })
    }

    fn client(&self, ca: &str, identity: Option<(PathBuf, PathBuf)>) -> ClientTls {
        open_client(ClientFiles { ca: Some(self.path(ca)), identity }).unwrap()
    }
}

/// What the server found out of a handshake, or why one side broke it off.
async fn shake(server: &ServerTls, client: &ClientTls, protocols: &[&[u8]]) -> Result<(bool, bool), String> {
    let (near, far) = tokio::io::duplex(1 << 16);
    let mut config = (*client.get()).clone();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    let connecting = TlsConnector::from(Arc::new(config)).connect("localhost".try_into().unwrap(), near);
    let (accepted, connected) = tokio::join!(server.accept(far), connecting);
    let accepted = accepted.map_err(|error| format!("server: {error}"));
    let connected = connected.map_err(|error| format!("client: {error}"));
    let (Ok(accepted), Ok(_)) = (&accepted, &connected) else {
        return Err(format!("{:?} {:?}", accepted.err(), connected.err()));
    };
    let Handshake { http_2, known } = Handshake::of(accepted);
    Ok((http_2, known.is_some()))
}

#[tokio::test]
async fn protocols_are_agreed_on_and_other_authorities_are_not_trusted() {
    let scene = Scene::new();
    let (ours, _other) = (scene.authority("ours"), scene.authority("other"));
    scene.certificate(&ours, "server");
    let server = scene.server("server", None).unwrap();
    let client = scene.client("ours.pem", None);
    assert_eq!(shake(&server, &client, &[b"h2", b"http/1.1"]).await, Ok((true, false)));
    assert_eq!(shake(&server, &client, &[b"http/1.1"]).await, Ok((false, false)));
    assert_eq!(shake(&server, &client, &[]).await, Ok((false, false)));
    let error = shake(&server, &scene.client("other.pem", None), &[]).await.unwrap_err();
    assert!(error.contains("client") && error.contains("UnknownIssuer"), "{error}");
}

#[tokio::test]
async fn clients_are_known_by_their_authority() {
    let scene = Scene::new();
    let (ours, other) = (scene.authority("ours"), scene.authority("other"));
    scene.certificate(&ours, "server");
    let (known, stranger) = (scene.certificate(&ours, "known"), scene.certificate(&other, "stranger"));
    let server = scene.server("server", Some("ours.pem")).unwrap();
    assert_eq!(shake(&server, &scene.client("ours.pem", Some(known)), &[]).await, Ok((false, true)));
    let nobody = shake(&server, &scene.client("ours.pem", None), &[]).await;
    assert_eq!(nobody, Ok((false, false)), "probes have no certificate");
    let error = shake(&server, &scene.client("ours.pem", Some(stranger)), &[]).await.unwrap_err();
    assert!(error.contains("server"), "{error}");
}

#[tokio::test]
async fn a_changed_certificate_is_shown_and_a_broken_one_is_not() {
    let scene = Scene::new();
    let (old, new) = (scene.authority("old"), scene.authority("new"));
    scene.certificate(&old, "server");
    let server = scene.server("server", None).unwrap();
    server.follow();
    let (knows_old, knows_new) = (scene.client("old.pem", None), scene.client("new.pem", None));
    assert!(shake(&server, &knows_old, &[]).await.is_ok() && shake(&server, &knows_new, &[]).await.is_err());
    scene.certificate(&new, "server");
    while shake(&server, &knows_new, &[]).await.is_err() {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    std::fs::write(scene.path("server.key"), "half a ke").unwrap();
    scene.certificate(&old, "unrelated");
    assert!(shake(&server, &knows_new, &[]).await.is_ok());
}

#[test]
fn files_of_no_use_are_named_and_not_shown() {
    let scene = Scene::new();
    let ours = scene.authority("ours");
    let (cert, key) = scene.certificate(&ours, "server");
    let refused = |cert: &Path, key: &Path| {
        let files = ServerFiles { cert: cert.to_owned(), key: key.to_owned(), client_ca: None };
        ServerTls::open(files).map(drop).unwrap_err().to_string()
    };
    let (other_cert, _) = scene.certificate(&ours, "other");
    assert!(refused(&other_cert, &key).contains("server.key"));
    assert!(refused(&key, &key).contains("no certificate"));
    let text = std::fs::read_to_string(&key).unwrap();
    let broken = text.replacen("-----END", "!!!secret line\n-----END", 1);
    std::fs::write(&key, &broken).unwrap();
    let error = refused(&cert, &key);
    assert!(error.contains("no private key") && !error.contains("secret"), "{error}");
    assert!(refused(&cert, Path::new("/no/such/file")).contains("/no/such/file"));
}
