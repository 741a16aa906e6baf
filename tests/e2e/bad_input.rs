//! Requests that are wrong before any backend sees them: each gets a clear error in OpenAI's shape, and nothing is lost.

use bytes::Bytes;
use http::{Method, StatusCode};
use serde_json::json;
use std::time::Duration;
use tidegate_tests::client::{Answer, chat_body};
use tidegate_tests::fake_node::{FakeNode, MODEL, Plan};
use tidegate_tests::router::TestRouter;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const CHAT: &str = "/v1/chat/completions";
const JSON: [(&str, &str); 1] = [("content-type", "application/json")];

async fn router() -> (FakeNode, TestRouter) {
    let node = FakeNode::start(1, Plan::Answer(Duration::ZERO)).await;
    let router =
        TestRouter::start(&["--backend", &node.url, "--max-body-size", "4096"]).await.with_backends(1).await;
    (node, router)
}

/// Status and code are as given, the shape is OpenAI's, and the request has an id.
fn expect(answer: &Answer, status: StatusCode, code: &str) {
    assert_eq!((answer.status, answer.code().as_str()), (status, code), "{}", answer.text);
    let error = &answer.json()["error"];
    assert!(error["message"].as_str().is_some_and(|message| !message.is_empty()));
    assert!(error["type"].is_string() && error.get("param").is_some());
    assert!(!answer.header("x-request-id").is_empty());
}

#[tokio::test]
async fn each_kind_of_bad_request_has_its_own_answer() {
    let (node, router) = router().await;
    let client = &router.client;
    let post =
        |headers, body: &'static [u8]| client.send(Method::POST, CHAT, headers, Bytes::from_static(body));
    expect(&post(&JSON, b"{not json").await, StatusCode::BAD_REQUEST, "invalid_request");
    expect(&post(&JSON, b"[]").await, StatusCode::BAD_REQUEST, "invalid_request");
    expect(&post(&JSON, b"{\"model\": \"\xff\"}").await, StatusCode::BAD_REQUEST, "invalid_request");
    let no_model = post(&JSON, b"{\"messages\": []}").await;
    expect(&no_model, StatusCode::BAD_REQUEST, "invalid_request");
    assert_eq!(no_model.json()["error"]["param"], "model");
    let unknown = client.chat("nobody", "x").await;
    expect(&unknown, StatusCode::NOT_FOUND, "model_not_found");
    assert_eq!(unknown.json()["error"]["param"], "model");
    let wrong_type = post(&[("content-type", "text/plain")], b"{}").await;
    expect(&wrong_type, StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type");
    let large = client.chat(MODEL, &"x".repeat(5000)).await;
    expect(&large, StatusCode::PAYLOAD_TOO_LARGE, "request_too_large");
    expect(&client.get("/v1/nothing").await, StatusCode::NOT_FOUND, "unknown_url");
    expect(&client.get(CHAT).await, StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed");
    expect(&client.get("/v1/models/nobody").await, StatusCode::NOT_FOUND, "model_not_found");
    assert_eq!(node.seen(), 0, "none of them reached a backend");
    assert_eq!(client.chat(MODEL, "x").await.status, StatusCode::OK);
}

#[tokio::test]
async fn headers_are_checked() {
    let (_node, router) = router().await;
    for (name, value) in
        [("x-request-timeout-ms", "soon"), ("x-request-timeout-ms", "0"), ("x-tidegate-priority", "urgent")]
    {
        let answer = router.client.post(CHAT, &[(name, value)], &chat_body(MODEL, "x")).await;
        expect(&answer, StatusCode::BAD_REQUEST, "invalid_request");
        assert_eq!(answer.json()["error"]["param"], json!(name));
    }
    let large = "x".repeat(100 * 1024);
    let answer = router.client.post(CHAT, &[("x-large", &large)], &chat_body(MODEL, "x")).await;
    expect(&answer, StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "headers_too_large");
}

#[tokio::test]
async fn a_body_that_stops_half_way_leaves_nothing_behind() {
    let (node, router) = router().await;
    let address = router.base.trim_start_matches("http://").to_owned();
    let head = format!(
        "POST {CHAT} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 500\r\n\r\n"
    );
    let mut socket = tokio::net::TcpStream::connect(&address).await.unwrap();
    socket.write_all(format!("{head}{{\"model\": \"fake\"").as_bytes()).await.unwrap();
    socket.shutdown().await.unwrap();
    let mut rest = String::new();
    socket.read_to_string(&mut rest).await.unwrap();
    assert!(rest.is_empty() || rest.starts_with("HTTP/1.1 400"), "{rest}");
    router.until_counts(&[("running", 0), ("queued", 0)]).await;
    assert_eq!(node.seen(), 0);
    assert_eq!(router.client.chat(MODEL, "x").await.status, StatusCode::OK);
}
