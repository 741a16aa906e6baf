//! How a backend defends itself: slots, deadlines, clients that leave, and the account of all that.

use crate::node::{MODEL, Node};
use http_body_util::BodyExt;
use serde_json::{Value, json};

const CHAT: &str = "/v1/chat/completions";
const COMPLETIONS: &str = "/v1/completions";

fn endless(stream: bool) -> Value {
    json!({"model": MODEL, "prompt": "ab", "stream": stream, "temperature": 0})
}

#[tokio::test]
async fn a_full_backend_says_so_and_takes_the_next_when_a_slot_is_free() {
    let node = Node::endless(&["--max-concurrent-requests", "2"]).await;
    let first = node.client.open(COMPLETIONS, &endless(true)).await;
    let second = node.client.open(COMPLETIONS, &endless(true)).await;
    let refused = node.client.post(COMPLETIONS, &endless(false)).await;
    refused.refused(503, "concurrency", None);
    assert_eq!(refused.header("retry-after"), Some("1"));
    assert_eq!(refused.header("x-tidegate-reason"), Some("concurrency"));
    let health = node.client.get("/health").await.json();
    assert_eq!(health["status"], "degraded", "{health}");
    let statistics = &health["graceful_degradation"]["backend_statistics"];
    assert_eq!((&statistics["running"], &statistics["capacity_used"]), (&json!(2), &json!(1.0)));
    drop(first);
    node.until_running(1).await;
    let short = json!({"model": MODEL, "prompt": "ab", "max_tokens": 1});
    assert_eq!(node.client.post(COMPLETIONS, &short).await.status, 200);
    drop(second);
    node.until_idle().await;
}

#[tokio::test]
async fn a_client_that_hangs_up_frees_its_slot_and_the_sequence_leaves() {
    let node = Node::endless(&["--max-concurrent-requests", "1"]).await;
    for stream in [true, false] {
        let client = node.client.clone();
        let attempt = if stream { "router-1-7" } else { "router-1-8" };
        let call = tokio::spawn(async move {
            let answer =
                client.open_with(COMPLETIONS, &endless(stream), &[("x-tidegate-attempt", attempt)]).await;
            answer.into_body().collect().await.is_ok()
        });
        node.until_running(1).await;
        assert_eq!(node.report().await.running, [attempt]);
        call.abort();
        node.until_idle().await;
        let gone = async || node.metric("tidegate:num_requests_running").await == Some(0.0);
        node.until("the sequence has left the engine", gone).await;
    }
    let text = node.client.get("/metrics").await.text();
    assert!(text.contains("status=\"499\"} 2"), "{text}");
}

#[tokio::test]
async fn what_takes_too_long_is_504_and_its_sequence_leaves() {
    let node = Node::endless(&["--request-timeout", "0.3"]).await;
    let answer = node.client.post(COMPLETIONS, &endless(false)).await;
    answer.refused(504, "timeout", None);
    assert_eq!(answer.header("x-should-retry"), Some("false"));
    node.until_idle().await;
    let health = node.client.get("/health").await.json();
    let statistics = &health["graceful_degradation"]["backend_statistics"];
    assert_eq!((&statistics["timeout_requests"], &statistics["timeout_rate"]), (&json!(1), &json!(1.0)));
}

#[tokio::test]
async fn a_stream_that_takes_too_long_ends_with_an_error_event() {
    let node = Node::endless(&["--request-timeout", "0.5"]).await;
    let answer = node.client.post(COMPLETIONS, &endless(true)).await;
    assert_eq!(answer.status, 200, "it had begun");
    let events = answer.events();
    assert!(events.len() > 2, "{events:?}");
    let last: Value = serde_json::from_str(events.last().expect("events")).expect("JSON");
    assert_eq!(
        (&last["error"]["code"], &last["error"]["type"]),
        (&json!("timeout"), &json!("timeout_error"))
    );
    assert!(!events.iter().any(|event| event == "[DONE]"));
    node.until_idle().await;
}

#[tokio::test]
async fn a_client_may_shorten_its_time_but_not_lengthen_it() {
    let node = Node::endless(&["--request-timeout", "0.4"]).await;
    let started = tokio::time::Instant::now();
    for time in ["50", "3600000"] {
        let answer =
            node.client.post_with(COMPLETIONS, &endless(false), &[("x-request-timeout-ms", time)]).await;
        answer.refused(504, "timeout", None);
    }
    assert!(started.elapsed().as_secs_f64() < 10.0, "the operator's limit holds");
    let at_once = node.client.post_with(COMPLETIONS, &endless(true), &[("x-request-timeout-ms", "0")]).await;
    at_once.refused(504, "timeout", None);
}

#[tokio::test]
async fn a_client_that_does_not_read_is_cut_at_its_deadline() {
    let node = Node::endless(&["--request-timeout", "1"]).await;
    let unread = node.client.open(CHAT, &json!({
        "model": MODEL, "messages": [{"role": "user", "content": "hi"}], "stream": true, "n": 16, "temperature": 0,
    })).await;
    node.until_idle().await;
    let end = unread.into_body().collect().await;
    assert!(end.is_ok(), "what was buffered can still be read");
}
