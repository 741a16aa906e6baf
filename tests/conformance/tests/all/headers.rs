//! Headers: what passes, what belongs to one hop, and what a backend is told of the client.

use tidegate_conformance::client::chat;
use tidegate_conformance::scene::{MODEL, Router};
use tidegate_conformance::upstream::Step;

/// Names that belong to one connection (RFC 9110, section 7.6.1), as a client may send them.
const OF_THE_HOP: &str = "connection: close, X-Private, X-Forwarded-For, keep-alive\r\nx-private: 1\r\nkeep-alive: timeout=5\r\nte: trailers\r\n\
    trailer: x-t\r\nupgrade: websocket\r\nproxy-authorization: Basic eA==\r\nproxy-connection: keep-alive\r\n";

#[tokio::test]
async fn what_belongs_to_one_hop_stays_there_in_both_directions() {
    let (upstream, router) = Router::one(&[]).await;
    let answer = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: x-hop\r\nx-hop: 1\r\nkeep-alive: timeout=1\r\n\
        proxy-authenticate: Basic\r\nupgrade: h2c\r\nx-kept: a\r\nx-kept: b\r\nserver: own\r\n\r\n{}";
    upstream.answer(vec![Step::send(answer)]);
    let answer =
        router.ask(chat(MODEL, &format!("{OF_THE_HOP}x-kept: caf\u{e9}\r\nX-Kept: 2\r\n"), false)).await;
    let seen = upstream.last();
    for name in
        ["x-private", "keep-alive", "te", "trailer", "upgrade", "proxy-authorization", "proxy-connection"]
    {
        assert!(seen.values(name).is_empty(), "{name} reached the backend: {:?}", seen.headers);
    }
    assert!(!seen.header("connection").contains("x-private"));
    assert_eq!(seen.values("x-forwarded-for"), ["127.0.0.1"], "no client hides itself by naming this");
    assert_eq!(seen.values("x-kept"), ["café", "2"]);
    for name in ["x-hop", "keep-alive", "proxy-authenticate", "upgrade"] {
        assert!(answer.values(name).is_empty(), "{name} reached the client: {:?}", answer.headers);
    }
    assert_eq!((answer.values("x-kept"), answer.header("server")), (vec!["a", "b"], "own"));
    assert_eq!(answer.values("content-length"), ["2"]);
    assert_eq!(answer.header("connection"), "close", "the client asked for it");
}

#[tokio::test]
async fn a_backend_is_named_in_host_and_told_of_the_client() {
    let (upstream, router) = Router::one(&[]).await;
    router.chat().await;
    let seen = upstream.last();
    assert_eq!(seen.values("host"), [upstream.url.trim_start_matches("http://")]);
    assert_eq!(seen.values("x-forwarded-for"), ["127.0.0.1"]);
    assert_eq!(seen.values("x-forwarded-proto"), ["http"]);
    assert_eq!(seen.values("x-forwarded-host"), ["api.example.org"]);
    let behind =
        "x-forwarded-for: 203.0.113.9\r\nx-forwarded-proto: https\r\nx-forwarded-host: chat.example.org\r\n";
    router.ask(chat(MODEL, behind, false)).await;
    let seen = upstream.last();
    assert_eq!(seen.values("x-forwarded-for"), ["203.0.113.9, 127.0.0.1"]);
    assert_eq!(seen.values("x-forwarded-proto"), ["https"]);
    assert_eq!(seen.values("x-forwarded-host"), ["chat.example.org"]);
}

#[tokio::test]
async fn a_client_cannot_speak_for_the_router() {
    let (upstream, router) = Router::one(&[]).await;
    let forged = "x-tidegate-attempt: forged\r\nx-request-timeout-ms: 5000\r\nx-tidegate-priority: low\r\n";
    router.ask(chat(MODEL, forged, false)).await;
    let seen = upstream.last();
    assert!(!seen.header("x-tidegate-attempt").is_empty() && seen.header("x-tidegate-attempt") != "forged");
    assert!(seen.header("x-request-timeout-ms").parse::<u64>().unwrap() <= 5000);
    assert_eq!(seen.values("x-tidegate-priority"), ["low"]);
}

#[tokio::test]
async fn an_absolute_target_is_the_same_path() {
    let (upstream, router) = Router::one(&[]).await;
    let request = chat(MODEL, "", false).replace("POST /v1", "POST http://other.example.org/v1");
    assert_eq!(router.ask(request).await.status(), 200);
    let seen = upstream.last();
    assert_eq!(seen.start, "POST /v1/chat/completions HTTP/1.1");
    assert_eq!(seen.values("host"), [upstream.url.trim_start_matches("http://")]);
    assert_eq!(
        seen.values("x-forwarded-host"),
        ["other.example.org"],
        "the target wins over host (RFC 9112, 3.2.2)"
    );
}

#[tokio::test]
async fn an_http_1_0_client_is_served_and_its_connection_closed() {
    let (_upstream, router) = Router::one(&[]).await;
    let mut client = router.connect().await;
    client.send(chat(MODEL, "", false).replace("HTTP/1.1", "HTTP/1.0")).await;
    let answer = client.answer().await;
    assert_eq!((answer.status(), answer.text().as_str()), (200, "{}"));
    assert!(client.rest().await.is_empty());
}
