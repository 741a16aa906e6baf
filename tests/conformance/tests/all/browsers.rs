//! Pages of other sites: kept out unless their origin is named.

use tidegate_conformance::client::chat;
use tidegate_conformance::scene::{MODEL, Router};

const PAGE: &str = "https://chat.example.org";

fn preflight(origin: &str) -> String {
    format!(
        "OPTIONS /v1/chat/completions HTTP/1.1\r\nhost: x\r\norigin: {origin}\r\naccess-control-request-method: POST\r\n\
         access-control-request-headers: authorization,content-type,x-stainless-os\r\n\r\n"
    )
}

#[tokio::test]
async fn a_named_page_may_ask_and_read_the_retry_headers() {
    let (_upstream, router) = Router::one(&["--cors-origin", PAGE]).await;
    let before = router.ask(preflight(PAGE)).await;
    assert_eq!((before.status(), before.header("access-control-allow-origin")), (200, PAGE));
    assert!(before.header("access-control-allow-methods").contains("POST"));
    assert_eq!(before.header("access-control-allow-headers"), "authorization,content-type,x-stainless-os");
    let answer = router.ask(chat(MODEL, &format!("origin: {PAGE}\r\n"), false)).await;
    assert_eq!((answer.status(), answer.header("access-control-allow-origin")), (200, PAGE));
    let readable = answer.header("access-control-expose-headers");
    assert!(readable.contains("retry-after-ms") && readable.contains("x-request-id"), "{readable}");
    assert!(answer.values("access-control-allow-credentials").is_empty());
    let other = router.ask(preflight("https://evil.example.org")).await;
    assert!(other.values("access-control-allow-origin").is_empty());
    let refused = router.ask(chat("nobody", &format!("origin: {PAGE}\r\n"), false)).await;
    assert_eq!(
        (refused.status(), refused.header("access-control-allow-origin")),
        (404, PAGE),
        "errors can be read too"
    );
}

#[tokio::test]
async fn without_the_flag_no_page_may_read_anything() {
    let (_upstream, router) = Router::one(&[]).await;
    assert_eq!(router.ask(preflight(PAGE)).await.status(), 405);
    let answer = router.ask(chat(MODEL, &format!("origin: {PAGE}\r\n"), false)).await;
    assert!(answer.values("access-control-allow-origin").is_empty());
    let (_upstream, open) = Router::one(&["--cors-origin", "*"]).await;
    let answer = open.ask(chat(MODEL, &format!("origin: {PAGE}\r\n"), false)).await;
    assert_eq!(answer.header("access-control-allow-origin"), "*");
}
