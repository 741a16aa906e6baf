//! The end of a backend: no new work, what runs goes on, and then it ends.

use crate::node::{MODEL, Node};
use http_body_util::BodyExt;
use serde_json::json;

const COMPLETIONS: &str = "/v1/completions";

#[tokio::test]
async fn streams_finish_and_new_work_is_refused() {
    let node = Node::endless(&[]).await;
    let body = json!({"model": MODEL, "prompt": "ab", "stream": true, "temperature": 0, "max_tokens": 600});
    let stream = node.client.open(COMPLETIONS, &body).await;
    let reading = tokio::spawn(stream.into_body().collect());
    node.stop();
    node.until("it drains", async || node.report().await.draining).await;
    let refused = node.client.post(COMPLETIONS, &body).await;
    refused.refused(503, "draining", None);
    assert_eq!(refused.header("x-tidegate-reason"), Some("draining"));
    assert_eq!(node.client.get("/readyz").await.text(), "draining\n");
    assert_eq!(node.client.get("/livez").await.status, 200);
    assert_eq!(node.client.get("/health").await.json()["status"], "critical");
    let whole = reading.await.expect("no panic").expect("the whole stream").to_bytes();
    assert!(whole.ends_with(b"data: [DONE]\n\n"), "{}", String::from_utf8_lossy(&whole));
    node.ended().await.expect("a clean end");
}

#[tokio::test]
async fn an_idle_backend_ends_at_once() {
    let node = Node::start(&[]).await;
    node.stop();
    node.ended().await.expect("a clean end");
}

#[tokio::test]
async fn work_that_outlives_the_drain_timeout_is_reported() {
    let node = Node::endless(&["--drain-timeout", "0.2"]).await;
    let body = json!({"model": MODEL, "prompt": "ab", "stream": true, "temperature": 0});
    let _stream = node.client.open(COMPLETIONS, &body).await;
    node.stop();
    let error = node.ended().await.expect_err("it was cut");
    assert!(error.to_string().contains("drain timeout"), "{error}");
}
