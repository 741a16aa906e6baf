//! Embeddings over HTTP: every form of input and output, what is refused, and that slots, deadlines and clients that leave
//! count as they do where text is generated.

use crate::node::{MODEL, Node};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use std::path::Path;

const EMBEDDINGS: &str = "/v1/embeddings";
/// As many tokens as the model takes, with the two at the ends.
const LONGEST: usize = 62;

async fn start(flags: &[&str]) -> Node {
    Node::serving(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/embeddings/bert_mean"), flags)
        .await
}

fn request(extra: &Value) -> Value {
    let mut body = json!({"model": MODEL});
    body.as_object_mut().expect("an object").extend(extra.as_object().expect("an object").clone());
    body
}

/// So many texts that a step is far from all of them.
fn large() -> Value {
    request(&json!({"input": vec!["w5 ".repeat(LONGEST); 2048]}))
}

async fn embed(node: &Node, extra: Value) -> (Vec<Vec<f64>>, u64) {
    let answer = node.client.post(EMBEDDINGS, &request(&extra)).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let body = answer.json();
    assert_eq!((&body["object"], &body["model"]), (&json!("list"), &json!(MODEL)));
    let data = body["data"].as_array().expect("a list");
    for (index, item) in data.iter().enumerate() {
        assert_eq!((&item["object"], &item["index"]), (&json!("embedding"), &json!(index)));
    }
    let numbers = |item: &Value| serde_json::from_value(item["embedding"].clone()).expect("numbers");
    let tokens = body["usage"]["prompt_tokens"].as_u64().expect("a count");
    assert_eq!(body["usage"], json!({"prompt_tokens": tokens, "total_tokens": tokens}));
    (data.iter().map(numbers).collect(), tokens)
}

#[tokio::test]
async fn every_form_of_input_gives_the_same_embedding() {
    let node = start(&[]).await;
    let (alone, tokens) = embed(&node, json!({"input": "w5 w6 w7", "user": "me"})).await;
    assert_eq!((alone.len(), alone[0].len(), tokens), (1, 24, 5));
    let length: f64 = alone[0].iter().map(|x| x * x).sum();
    assert!((length - 1.0).abs() < 1e-5, "{length}");
    let ids = json!([2, 5, 6, 7, 3]);
    assert_eq!(embed(&node, json!({"input": ids})).await, (alone.clone(), 5));
    let (several, tokens) =
        embed(&node, json!({"input": ["w9", "w5 w6 w7"], "encoding_format": "float"})).await;
    assert_eq!((&several[1], several.len(), tokens), (&alone[0], 2, 8));
    assert_eq!(embed(&node, json!({"input": [[2, 9, 3], ids]})).await, (several.clone(), 8));
    assert_eq!(embed(&node, json!({"input": ["w9"]})).await.0[0], several[0]);
    node.until_idle().await;
}

#[tokio::test]
async fn base64_holds_the_same_numbers() {
    let node = start(&[]).await;
    let (floats, _) = embed(&node, json!({"input": "w5 w6 w7"})).await;
    let body = request(&json!({"input": "w5 w6 w7", "encoding_format": "base64"}));
    let answer = node.client.post(EMBEDDINGS, &body).await.json();
    let text = answer["data"][0]["embedding"].as_str().expect("base64");
    let bytes = STANDARD.decode(text).expect("base64");
    let numbers = bytes.chunks_exact(4).map(|four| f32::from_le_bytes(four.try_into().expect("four")));
    let expected: Vec<f32> = floats[0].iter().map(|number| *number as f32).collect();
    assert_eq!(numbers.collect::<Vec<_>>(), expected);
}

#[tokio::test]
async fn an_embedding_is_cut_to_the_widths_that_the_model_was_trained_for() {
    let node = start(&[]).await;
    let (whole, _) = embed(&node, json!({"input": "w5 w6"})).await;
    assert_eq!(embed(&node, json!({"input": "w5 w6", "dimensions": 24})).await.0, whole);
    let (cut, _) = embed(&node, json!({"input": "w5 w6", "dimensions": 8})).await;
    let length = whole[0][..8].iter().map(|x| x * x).sum::<f64>().sqrt();
    assert_eq!(cut[0].len(), 8);
    for (cut, whole) in cut[0].iter().zip(&whole[0]) {
        assert!((cut - whole / length).abs() < 1e-6, "{cut} for {whole} / {length}");
    }
    for (dimensions, code) in [(9, "invalid_value"), (25, "invalid_value"), (0, "integer_below_min_value")] {
        let body = request(&json!({"input": "w5", "dimensions": dimensions}));
        let message = node.client.post(EMBEDDINGS, &body).await.refused(400, code, Some("dimensions"));
        assert!(code != "invalid_value" || message.contains("8, 16 and 24"), "{message}");
    }
}

#[tokio::test]
async fn parameters_are_refused_by_name() {
    let node = start(&[]).await;
    let long = "w5 ".repeat(LONGEST + 1);
    for (extra, code, param) in [
        (json!({}), "missing_required_parameter", "input"),
        (json!({"input": ""}), "empty_prompt", "input"),
        (json!({"input": []}), "empty_prompt", "input"),
        (json!({"input": ["w5", ""]}), "empty_prompt", "input[1]"),
        (json!({"input": [[5], []]}), "empty_prompt", "input[1]"),
        (json!({"input": {"text": "w5"}}), "invalid_type", "input"),
        (json!({"input": [5, -1]}), "invalid_type", "input[1]"),
        (json!({"input": [5, 96]}), "invalid_value", "input"),
        (json!({"input": vec!["w5"; 2049]}), "array_above_max_length", "input"),
        (json!({"input": "w5", "encoding_format": "int8"}), "invalid_value", "encoding_format"),
        (json!({"input": "w5", "stream": true}), "unknown_parameter", "stream"),
        (json!({"input": long}), "context_length_exceeded", "input"),
        (json!({"input": ["w5", long]}), "context_length_exceeded", "input[1]"),
    ] {
        let answer = node.client.post(EMBEDDINGS, &request(&extra)).await;
        let message = answer.refused(400, code, Some(param));
        if code == "context_length_exceeded" {
            assert!(message.contains("64 tokens") && message.contains("65 tokens"), "{message}");
        }
    }
    let other = json!({"model": "another", "input": "w5"});
    node.client.post(EMBEDDINGS, &other).await.refused(404, "model_not_found", Some("model"));
    node.until_idle().await;
    let health = node.client.get("/health").await.json();
    assert_eq!(health["graceful_degradation"]["backend_statistics"]["total_requests"], 0, "{health}");
}

#[tokio::test]
async fn an_embedding_model_generates_nothing() {
    let node = start(&[]).await;
    let chat = request(&json!({"messages": [{"role": "user", "content": "hi"}]}));
    for (path, body) in
        [("/v1/chat/completions", chat), ("/v1/completions", request(&json!({"prompt": "w5"})))]
    {
        let answer = node.client.post(path, &body).await;
        let message = answer.refused(400, "unsupported_operation", Some("model"));
        assert!(message.contains(EMBEDDINGS), "{message}");
    }
    let models = node.client.get("/v1/models").await.json();
    assert_eq!((&models["data"][0]["id"], &models["data"][0]["precision"]), (&json!(MODEL), &json!("f32")));
}

#[tokio::test]
async fn requests_at_once_get_what_they_get_alone() {
    let node = start(&["--max-concurrent-requests", "16"]).await;
    let text = |index: usize| format!("w{} w{} w{}", 5 + index, 20 + index, 40 + index).repeat(1 + index % 3);
    let mut calls = Vec::new();
    for index in 0..16 {
        let client = node.client.clone();
        let body = request(&json!({"input": [text(index), text(index + 1)]}));
        calls.push(tokio::spawn(async move { client.post(EMBEDDINGS, &body).await.json() }));
    }
    for (index, call) in calls.into_iter().enumerate() {
        let made = call.await.expect("an answer");
        for (at, item) in [index, index + 1].into_iter().zip(made["data"].as_array().expect("a list")) {
            let (alone, _) = embed(&node, json!({"input": text(at)})).await;
            assert_eq!(item["embedding"], json!(alone[0]), "text {at}");
        }
    }
    node.until_idle().await;
}

#[tokio::test]
async fn a_full_backend_refuses_and_a_client_that_leaves_frees_its_slot() {
    let node = start(&["--max-concurrent-requests", "1"]).await;
    let client = node.client.clone();
    let call = tokio::spawn(async move {
        let answer = client.open_with(EMBEDDINGS, &large(), &[("x-tidegate-attempt", "router-1-7")]).await;
        answer.into_body().collect().await.is_ok()
    });
    node.until_running(1).await;
    assert_eq!(node.report().await.running, ["router-1-7"]);
    let small = request(&json!({"input": "w5"}));
    node.client.post(EMBEDDINGS, &small).await.refused(503, "concurrency", None);
    call.abort();
    node.until_idle().await;
    let gone = async || node.metric("tidegate:num_requests_running").await == Some(0.0);
    node.until("the request has left the engine", gone).await;
    assert_eq!(node.client.post(EMBEDDINGS, &small).await.status, 200);
    let text = node.client.get("/metrics").await.text();
    for line in [r#"route="/v1/embeddings",status="499"} 1"#, r#"route="/v1/embeddings",status="200"} 1"#] {
        assert!(text.contains(line), "{line} is not in {text}");
    }
    assert!(node.metric("tidegate:prompt_tokens_total").await >= Some(3.0), "{text}");
}

#[tokio::test]
async fn what_takes_too_long_is_504_and_leaves_the_engine() {
    let node = start(&[]).await;
    let answer = node.client.post_with(EMBEDDINGS, &large(), &[("x-request-timeout-ms", "100")]).await;
    answer.refused(504, "timeout", None);
    assert_eq!(answer.header("x-should-retry"), Some("false"));
    node.until_idle().await;
    let health = node.client.get("/health").await.json();
    assert_eq!(health["graceful_degradation"]["backend_statistics"]["timeout_requests"], 1, "{health}");
}
