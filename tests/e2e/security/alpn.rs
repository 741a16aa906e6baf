//! Backends with TLS that choose a protocol: what they chose is spoken.

use axum::Router;
use axum::response::Json;
use axum::routing::{get, post};
use http::{HeaderMap, StatusCode, Version};
use http_body_util::BodyExt;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tidegate_tests::certificates::{Authority, Identity};
use tidegate_tests::process::Process;
use tidegate_tests::router::TestRouter;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

const MODEL: &str = "m";

/// A server that tells how it was asked, and chooses among these protocols.
async fn server(identity: &Identity, protocols: &[&str]) -> String {
    slow_server(identity, protocols, Duration::ZERO).await
}

/// The same, which takes so long to answer each handshake.
async fn slow_server(identity: &Identity, protocols: &[&str], slow: Duration) -> String {
    let acceptor = acceptor(identity, protocols);
    let models = || async { Json(json!({"object": "list", "data": [{"id": MODEL}]})) };
    let paths = Router::new().route("/v1/models", get(models)).route("/v1/chat/completions", post(told));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        loop {
            let (stream, acceptor, paths) =
                (listener.accept().await.unwrap().0, acceptor.clone(), paths.clone());
            tokio::spawn(async move {
                tokio::time::sleep(slow).await;
                let Ok(stream) = acceptor.accept(stream).await else { return };
                let server = auto::Builder::new(TokioExecutor::new());
                // A router that ends may break its connections.
                let _ended =
                    server.serve_connection(TokioIo::new(stream), TowerToHyperService::new(paths)).await;
            });
        }
    });
    url
}

fn acceptor(identity: &Identity, protocols: &[&str]) -> TlsAcceptor {
    let certificates = CertificateDer::pem_file_iter(&identity.cert).unwrap().map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_file(&identity.key).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let config = config.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    let mut config = config.with_single_cert(certificates, key).unwrap();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
    TlsAcceptor::from(Arc::new(config))
}

async fn told(version: Version, headers: HeaderMap) -> Json<Value> {
    let header = |name: &str| headers.get(name).map(|value| value.to_str().unwrap());
    Json(json!([format!("{version:?}"), header("te"), header("connection")]))
}

#[tokio::test]
async fn a_backend_with_tls_chooses_what_is_spoken() {
    let authority = Authority::new();
    let (identity, ca) = (authority.issue("server"), authority.ca());
    let http_1 = json!(["HTTP/1.1", "trailers", "te"]);
    let both: &[&str] = &["h2", "http/1.1"];
    for (protocols, flag, expected) in [
        (both, true, json!(["HTTP/2.0", "trailers", null])),
        (&["http/1.1"], true, http_1.clone()),
        (&[], true, http_1.clone()),
        (both, false, http_1),
    ] {
        let url = server(&identity, protocols).await;
        let mut flags = vec!["--backend", url.as_str(), "--backend-ca-file", &ca];
        if flag {
            flags.push("--backend-http2");
        }
        let router = TestRouter::start(&flags).await.with_backends(1).await;
        // The second one goes where the first one went.
        for _ in 0..2 {
            let answer = router.client.open_stream(MODEL, "x").await;
            let text = answer.into_body().collect().await.unwrap().to_bytes();
            assert_eq!(serde_json::from_slice::<Value>(&text).unwrap(), expected, "{protocols:?}");
        }
        router.until_counts(&[("running", 0), ("abandoned", 0)]).await;
    }
}

/// A connection is opened for all who wait for it, whoever of them leaves.
#[tokio::test]
async fn a_client_that_leaves_while_a_connection_is_opened_takes_nobody_along() {
    let authority = Authority::new();
    let (identity, ca) = (authority.issue("server"), authority.ca());
    let url = slow_server(&identity, &["h2"], Duration::from_millis(400)).await;
    let flags =
        ["--backend", url.as_str(), "--backend-ca-file", &ca, "--backend-http2", "--worker-threads", "1"];
    let router = TestRouter::start(&flags).await.with_backends(1).await;
    let ask = || {
        let client = router.client.clone();
        tokio::spawn(async move { client.chat(MODEL, "x").await.status })
    };
    let leaves = ask();
    router.until_counts(&[("running", 1)]).await;
    let stay = [ask(), ask()];
    router.until_counts(&[("running", 3)]).await;
    leaves.abort();
    for stays in stay {
        assert_eq!(stays.await.unwrap(), StatusCode::OK);
    }
    let metrics = router.admin.get("/metrics").await.text;
    assert!(!metrics.contains("\ntidegate:backend_errors_total{"), "{metrics}");
}

#[tokio::test]
async fn an_entry_of_the_file_says_otherwise_than_the_flag() {
    let authority = Authority::new();
    let (identity, ca) = (authority.issue("server"), authority.ca());
    let url = server(&identity, &["h2", "http/1.1"]).await;
    for (flag, entry, version) in [(true, "false", "HTTP/1.1"), (false, "true", "HTTP/2.0")] {
        let list =
            authority.file("backends.toml", &format!("[[backend]]\nurl = \"{url}\"\nhttp2 = {entry}\n"));
        let mut flags = vec!["--backends-file", list.as_str(), "--backend-ca-file", &ca];
        if flag {
            flags.push("--backend-http2");
        }
        let router = TestRouter::start(&flags).await.with_backends(1).await;
        assert_eq!(router.client.chat(MODEL, "x").await.json()[0], version);
    }
}

#[tokio::test]
async fn a_backend_of_our_own_is_spoken_to_over_tls() {
    let authority = Authority::new();
    let (server, ca) = (authority.issue("server"), authority.ca());
    let shown = ["--port", "0", "--tls-cert", &server.cert, "--tls-key", &server.key];
    let backend = Process::start("tidegate-backend", &shown);
    backend.says("\"ready\"").await;
    let url = format!("https://{}", backend.url("address").await);
    let flags = ["--backend", url.as_str(), "--backend-ca-file", &ca, "--backend-http2"];
    let router = TestRouter::start(&flags).await.with_backends(1).await;
    let answer = router.client.chat("tidegate-demo", "What is 17 + 25?").await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
}
