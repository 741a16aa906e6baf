//! Bad input of every kind: refused in OpenAI's error shape with a request id, and the server lives on.

use crate::node::{MODEL, Node};
use bytes::Bytes;
use http::Method;
use http_body_util::Full;
use serde_json::{Value, json};

const CHAT: &str = "/v1/chat/completions";
const COMPLETIONS: &str = "/v1/completions";

fn chat(extra: &Value) -> Value {
    with(json!({"model": MODEL, "messages": [{"role": "user", "content": "hi"}]}), extra)
}

fn completion(extra: &Value) -> Value {
    with(json!({"model": MODEL, "prompt": "hi"}), extra)
}

fn with(mut base: Value, extra: &Value) -> Value {
    let members = extra.as_object().expect("an object");
    base.as_object_mut().expect("an object").extend(members.clone());
    base
}

#[tokio::test]
async fn parameters_are_refused_by_name() {
    let node = Node::start(&[]).await;
    for (extra, code, param) in [
        (json!({"messages": "hi"}), "invalid_type", "messages"),
        (json!({"messages": []}), "empty_array", "messages"),
        (json!({"messages": [{"role": "wizard", "content": "hi"}]}), "invalid_value", "messages[0].role"),
        (json!({"max_tokens": 0}), "integer_below_min_value", "max_tokens"),
        (json!({"max_tokens": -1}), "integer_below_min_value", "max_tokens"),
        (json!({"max_completion_tokens": 1_000_000}), "context_length_exceeded", "max_completion_tokens"),
        (json!({"temperature": 2.5}), "decimal_above_max_value", "temperature"),
        (json!({"tools": [{"type": "function"}]}), "missing_required_parameter", "tools[0].function"),
        (json!({"modalities": ["audio"]}), "unsupported_parameter", "modalities"),
        (json!({"made_up": 1}), "unknown_parameter", "made_up"),
        (json!({"logit_bias": {"262": 1}}), "invalid_value", "logit_bias"),
        (json!({"stop_token_ids": [5, 262]}), "invalid_value", "stop_token_ids"),
        (json!({"min_p": 2}), "decimal_above_max_value", "min_p"),
    ] {
        node.client.post(CHAT, &chat(&extra)).await.refused(400, code, Some(param));
    }
    for (extra, code, param) in [
        (json!({"prompt": ""}), "empty_prompt", "prompt"),
        (json!({"prompt": [1, 999_999]}), "invalid_value", "prompt"),
        (json!({"prompt": ["a", "b"], "n": 9}), "too_many_sequences", "n"),
        (json!({"logprobs": 6}), "integer_above_max_value", "logprobs"),
        (json!({"suffix": "x"}), "unsupported_parameter", "suffix"),
    ] {
        node.client.post(COMPLETIONS, &completion(&extra)).await.refused(400, code, Some(param));
    }
    node.until_idle().await;
    let health = node.client.get("/health").await.json();
    let statistics = &health["graceful_degradation"]["backend_statistics"];
    assert_eq!(statistics["total_requests"], 0, "none of these ran: {health}");
    let text = node.client.get("/metrics").await.text();
    let counted = r#"route="/v1/chat/completions",status="400"} 13"#;
    assert!(text.contains(counted), "{text}");
}

#[tokio::test]
async fn a_prompt_longer_than_the_context_names_both_lengths() {
    let node = Node::start(&[]).await;
    let long = "a ".repeat(3_000);
    let answer = node.client.post(COMPLETIONS, &completion(&json!({"prompt": long}))).await;
    let message = answer.refused(400, "context_length_exceeded", Some("prompt"));
    assert!(message.contains("1024") && message.contains("600"), "{message}");
    let messages = json!({"messages": [{"role": "user", "content": long}], "stream": true});
    let answer = node.client.post(CHAT, &chat(&messages)).await;
    let message = answer.refused(400, "context_length_exceeded", Some("messages"));
    assert!(message.contains("1024") && message.contains("600"), "{message}");
    let answer = node.client.post(COMPLETIONS, &completion(&json!({"max_tokens": 1024}))).await;
    let message = answer.refused(400, "context_length_exceeded", Some("max_tokens"));
    assert!(message.contains("1024 tokens"), "{message}");
    node.until_idle().await;
}

#[tokio::test]
async fn unknown_models_paths_and_methods() {
    let node = Node::start(&[]).await;
    let other = chat(&json!({"model": "gpt-5"}));
    let message = node.client.post(CHAT, &other).await.refused(404, "model_not_found", Some("model"));
    assert!(message.contains("gpt-5") && message.contains(MODEL), "{message}");
    node.client.get("/v1/models/gpt-5").await.refused(404, "model_not_found", Some("model"));
    node.client.get("/v1/chat/nothing").await.refused(404, "unknown_url", None);
    let wrong = node.client.get(CHAT).await;
    wrong.refused(405, "method_not_allowed", None);
    assert_eq!(wrong.header("allow"), Some("POST"));
    node.client.post("/v1/embeddings", &json!({"model": MODEL, "input": "hi"})).await.refused(
        400,
        "unsupported_operation",
        Some("model"),
    );
}

async fn post_bytes(
    node: &Node,
    body: impl Into<Bytes>,
    content_type: Option<&str>,
) -> crate::client::Answer {
    let request = node.client.request(Method::POST, CHAT, &[]);
    let request = match content_type {
        Some(kind) => request.header("content-type", kind),
        None => request,
    };
    node.client.send(request.body(Full::new(body.into())).expect("a request")).await
}

#[tokio::test]
async fn bodies_that_are_not_what_they_should_be() {
    let node = Node::start(&[]).await;
    let json = Some("application/json; charset=utf-8");
    post_bytes(&node, "not json", json).await.refused(400, "invalid_json", None);
    post_bytes(&node, "", json).await.refused(400, "invalid_json", None);
    post_bytes(&node, "[]", json).await.refused(400, "invalid_type", None);
    post_bytes(&node, &b"{\"model\": \"\xc3\x28\"}"[..], json).await.refused(400, "invalid_utf8", None);
    let good = chat(&json!({"max_tokens": 1})).to_string();
    let message = post_bytes(&node, good.clone(), Some("text/plain")).await.refused(
        415,
        "unsupported_media_type",
        None,
    );
    assert!(message.contains("text/plain") && message.contains("application/json"), "{message}");
    post_bytes(&node, good.clone(), None).await.refused(415, "unsupported_media_type", None);
    let large = vec![b' '; 9 * 1024 * 1024];
    let message = post_bytes(&node, large, json).await.refused(413, "request_too_large", None);
    assert!(message.contains("8388608"), "{message}");
    assert_eq!(post_bytes(&node, good, json).await.status, 200, "the server lives on");
}

#[tokio::test]
async fn a_body_over_the_limit_without_an_announced_length() {
    let node = Node::start(&[]).await;
    let mut request = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n\
        transfer-encoding: chunked\r\nconnection: close\r\n\r\n"
        .to_vec();
    for _ in 0..9 {
        request.extend_from_slice(b"100000\r\n");
        request.resize(request.len() + 0x10_0000, b' ');
        request.extend_from_slice(b"\r\n");
    }
    request.extend_from_slice(b"0\r\n\r\n");
    let answer = node.client.raw_open(&request).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    assert!(answer.contains("request_too_large") && answer.contains("x-request-id"), "{answer}");
}

#[tokio::test]
async fn a_header_of_100_kilobytes() {
    let node = Node::start(&[]).await;
    let value = "x".repeat(100 * 1024);
    let request =
        format!("GET /v1/models HTTP/1.1\r\nhost: x\r\nx-long: {value}\r\nconnection: close\r\n\r\n");
    let answer = node.client.raw_open(request.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    assert!(answer.contains("headers_too_large") && answer.contains("x-request-id"), "{answer}");
    let larger = "x".repeat(2 * 1024 * 1024);
    let request = format!("GET /v1/models HTTP/1.1\r\nhost: x\r\nx-long: {larger}\r\n\r\n");
    node.client.raw_open(request.as_bytes()).await;
    assert_eq!(node.client.get("/v1/models").await.status, 200, "the server lives on");
}

#[tokio::test]
async fn a_body_that_stops_half_way() {
    let node = Node::start(&[]).await;
    let request = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n\
        content-length: 500\r\n\r\n{\"model\": \"test";
    // The client has closed its side: there may be nobody left to read the refusal, but nothing may stay behind.
    let answer = node.client.raw(request).await;
    assert!(answer.is_empty() || answer.contains("incomplete_body"), "{answer}");
    node.until_idle().await;
    assert_eq!(node.client.get("/v1/models").await.status, 200, "the server lives on");
}

#[tokio::test]
async fn a_body_that_stalls_is_given_up() {
    let node = Node::start(&["--request-timeout", "0.2"]).await;
    let request = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n\
        content-length: 500\r\n\r\n{\"model\": \"test";
    let answer = node.client.raw_open(request).await;
    assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains("body_timeout"), "{answer}");
}

#[tokio::test]
async fn a_bad_time_header_is_refused() {
    let node = Node::start(&[]).await;
    let answer = node.client.post_with(CHAT, &chat(&json!({})), &[("x-request-timeout-ms", "soon")]).await;
    answer.refused(400, "invalid_header", Some("x-request-timeout-ms"));
}

#[tokio::test]
async fn request_ids_are_repeated_if_usable_and_made_if_not() {
    let node = Node::start(&[]).await;
    let given = node.client.post_with(CHAT, &json!({}), &[("x-request-id", "mine-1")]).await;
    assert_eq!(given.header("x-request-id"), Some("mine-1"));
    let bad = node.client.post_with(CHAT, &json!({}), &[("x-request-id", &"x".repeat(500))]).await;
    assert!(bad.header("x-request-id").is_some_and(|id| id.starts_with("req-")));
}
