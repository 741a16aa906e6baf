//! A model that runs one sequence at a time, over HTTP: it says so, and requests at once wait for each other.

use crate::node::{MODEL, Node};
use serde_json::{Value, json};
use std::path::Path;

const COMPLETIONS: &str = "/v1/completions";

fn prompt(first: u32) -> Value {
    json!({"model": MODEL, "prompt": [first, 7, 9], "max_tokens": 12, "temperature": 0})
}

#[tokio::test]
async fn requests_at_once_get_what_they_get_alone_one_after_the_other() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/serial/mixtral");
    let node = Node::serving(&folder, &["--max-concurrent-requests", "4"]).await;
    let health = node.client.get("/health").await.json();
    assert_eq!(health["engine"], json!({"architecture": "MixtralForCausalLM", "batching": "serial"}));
    let mut calls = Vec::new();
    for first in 10..14 {
        let client = node.client.clone();
        calls.push(tokio::spawn(async move { client.post(COMPLETIONS, &prompt(first)).await.json() }));
    }
    for (first, call) in (10..).zip(calls) {
        let together = call.await.expect("an answer");
        let alone = node.client.post(COMPLETIONS, &prompt(first)).await.json();
        assert!(alone["choices"][0]["text"].is_string(), "{alone}");
        assert_eq!(together["choices"], alone["choices"]);
        assert_eq!(together["usage"], alone["usage"]);
    }
    node.until_idle().await;
    let demo = Node::start(&[]).await;
    assert_eq!(demo.client.get("/health").await.json()["engine"]["batching"], "continuous");
}
