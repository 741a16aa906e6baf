//! Paths and targets that try to reach what is not theirs: no admin path on the clients' port, no host but the backends'.

use super::scene::rest;
use axum::Router;
use axum::response::Redirect;
use axum::routing::{get, post};
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tidegate_tests::fake_node::{FakeNode, MODEL, Plan};
use tidegate_tests::router::TestRouter;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};

/// What stands in answers of the admin port and nowhere else.
const TOLD_TO_OPERATORS: [&str; 4] = ["\"pools\"", "tidegate_router_", "# TYPE", "<!doctype html"];

async fn ask(address: &str, head: &str) -> String {
    let mut socket = TcpStream::connect(address).await.unwrap();
    socket.write_all(head.as_bytes()).await.unwrap();
    rest(socket).await
}

/// Targets that somebody may try.
fn tricks(admin: &str) -> Vec<String> {
    let mut targets = Vec::new();
    for path in
        ["fleet", "live", "metrics", "demo-load", "try/v1/chat/completions", "page/app.js", "login", "node"]
    {
        targets.extend([
            format!("/{path}"),
            format!("//{path}"),
            format!("/./{path}"),
            format!("/v1/../{path}"),
            format!("/v1/models/../../{path}"),
            format!("/%2e%2e/{path}"),
            format!("/%2f{path}"),
            format!("/{path}%00"),
            format!("/{path}/"),
            format!("/{path};x"),
            format!("/v1/models/%2e%2e%2f%2e%2e%2f{path}"),
            format!("{admin}/{path}"),
            format!("http://127.0.0.1:8001/{path}"),
            format!("http://user@evil.example/{path}"),
        ]);
    }
    targets.extend(["/".to_owned(), "*".to_owned(), "evil.example:80".to_owned(), admin.to_owned()]);
    targets
}

#[tokio::test]
async fn no_trick_reaches_an_admin_path_from_the_clients_port() {
    let node = FakeNode::start(4, Plan::Answer(std::time::Duration::ZERO)).await;
    let router = TestRouter::start(&["--backend", &node.url]).await.with_backends(1).await;
    let (address, admin) = (router.base.replace("http://", ""), router.admin_base.clone());
    let targets = tricks(&admin);
    for target in &targets {
        for method in ["GET", "POST", "CONNECT", "OPTIONS"] {
            for host in ["x", admin.trim_start_matches("http://")] {
                let head = format!(
                    "{method} {target} HTTP/1.1\r\nhost: {host}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
                );
                let answer = ask(&address, &head).await;
                assert!(!answer.contains(" 200 OK"), "{method} {target}: {answer}");
                assert!(!TOLD_TO_OPERATORS.iter().any(|told| answer.contains(told)), "{target}: {answer}");
            }
        }
    }
    assert_eq!(node.seen(), 0, "and none of them a backend");
}

#[tokio::test]
async fn the_target_of_a_request_names_no_other_host() {
    let node = FakeNode::start(4, Plan::Answer(std::time::Duration::ZERO)).await;
    let router = TestRouter::start(&["--backend", &node.url]).await.with_backends(1).await;
    let (trap, sprung) = trap().await;
    let body = json!({"model": MODEL, "messages": [{"role": "user", "content": "x"}]}).to_string();
    for (target, host) in [
        (format!("{trap}/v1/chat/completions"), "x".to_owned()),
        ("/v1/chat/completions".to_owned(), trap.replace("http://", "")),
        (format!("http://x@{}/v1/chat/completions", trap.replace("http://", "")), "x".to_owned()),
    ] {
        let length = body.len();
        let head = format!(
            "POST {target} HTTP/1.1\r\nhost: {host}\r\nx-forwarded-host: {host}\r\ncontent-type: application/json\r\n"
        );
        let request = format!("{head}content-length: {length}\r\nconnection: close\r\n\r\n{body}");
        ask(&router.base.replace("http://", ""), &request).await;
    }
    assert_eq!(sprung.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_backend_cannot_send_a_router_elsewhere() {
    let (trap, sprung) = trap().await;
    let away = trap.clone();
    let elsewhere = move || async move { Redirect::temporary(&format!("{away}/v1/chat/completions")) };
    let (node, reports) = (elsewhere.clone(), elsewhere.clone());
    let models = async || axum::Json(json!({"data": [{"id": "redirecting"}]}));
    let app = Router::new()
        .route("/v1/models", get(models))
        .route("/node", get(reports))
        .route("/v1/chat/completions", post(elsewhere))
        .fallback(node);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    let router = TestRouter::start(&["--backend", &url]).await.with_backends(1).await;
    let answer = router.client.chat("redirecting", "x").await;
    assert!(!answer.status.is_success(), "{}", answer.text);
    router.until_counts(&[("running", 0), ("abandoned", 0)]).await;
    assert_eq!(sprung.load(Ordering::SeqCst), 0, "the router asked another host");
}

/// A server that nobody is to ask, and how often somebody did.
async fn trap() -> (String, Arc<AtomicU64>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let sprung = Arc::new(AtomicU64::new(0));
    let counter = sprung.clone();
    tokio::spawn(async move {
        while listener.accept().await.is_ok() {
            counter.fetch_add(1, Ordering::SeqCst);
        }
    });
    (url, sprung)
}
