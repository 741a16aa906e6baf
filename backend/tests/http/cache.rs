//! The key/value cache as clients and operators see it: what is found there, what does not fit, and that nobody can tell
//! from an answer how it was computed.

use crate::node::{MODEL, Node};
use serde_json::{Value, json};

const COMPLETIONS: &str = "/v1/completions";

/// A prompt of so many tokens, the same each time; `kind` tells prompts apart from their first token on.
fn prompt(kind: u32, tokens: u32) -> Vec<u32> {
    (0..tokens).map(|i| 32 + (i * 7 + kind * 13) % 90).collect()
}

fn ask(prompt: &[u32], extra: &Value) -> Value {
    let mut body = json!({"model": MODEL, "prompt": prompt, "max_tokens": 3, "temperature": 0});
    body.as_object_mut().expect("an object").extend(extra.as_object().expect("an object").clone());
    body
}

#[tokio::test]
async fn an_answer_tells_how_much_of_its_prompt_was_cached() {
    let node = Node::endless(&[]).await;
    let usage = async |extra: Value| {
        node.client.post(COMPLETIONS, &ask(&prompt(0, 50), &extra)).await.json()["usage"].clone()
    };
    let cached = |count: u64| json!({"cached_tokens": count});
    let first = usage(json!({})).await;
    assert_eq!((&first["prompt_tokens"], &first["prompt_tokens_details"]), (&json!(50), &cached(0)));
    assert_eq!(usage(json!({})).await["prompt_tokens_details"], cached(48));
    let several = usage(json!({"n": 3})).await;
    assert_eq!((&several["prompt_tokens"], &several["prompt_tokens_details"]), (&json!(50), &cached(48)));
    let extra = json!({"stream": true, "stream_options": {"include_usage": true}});
    let events = node.client.post(COMPLETIONS, &ask(&prompt(0, 50), &extra)).await.events();
    let last: Value = serde_json::from_str(&events[events.len() - 2]).expect("JSON");
    assert_eq!(last["usage"]["prompt_tokens_details"], cached(48), "{events:?}");
    let counted = async |name: &str| node.metric(name).await;
    assert_eq!(
        counted("tidegate:prefix_cache_queries_total").await,
        Some(300.0),
        "each sequence looks it up"
    );
    assert_eq!(counted("tidegate:prefix_cache_hits_total").await, Some(5.0 * 48.0));
    assert_eq!(counted("tidegate:kv_cache_usage_perc").await, Some(0.0), "nothing runs");
}

#[tokio::test]
async fn a_prompt_that_the_cache_could_never_hold_is_refused() {
    // A block of 16 tokens takes 64 KiB.
    let node = Node::endless(&["--kv-cache-memory", "256KiB"]).await;
    let refused = node.client.post(COMPLETIONS, &ask(&prompt(0, 70), &json!({}))).await;
    let message = refused.refused(400, "context_length_exceeded", Some("prompt"));
    assert!(message.contains("key/value cache has room for 64 tokens"), "{message}");
    let refused = node.client.post(COMPLETIONS, &ask(&prompt(0, 50), &json!({"max_tokens": 20}))).await;
    let message = refused.refused(400, "context_length_exceeded", Some("max_tokens"));
    assert!(message.contains("key/value cache has room for 64 tokens"), "{message}");
    assert_eq!(node.client.post(COMPLETIONS, &ask(&prompt(0, 50), &json!({}))).await.status, 200);
}

#[tokio::test]
async fn answers_and_their_usage_are_the_same_where_sequences_give_way() {
    let roomy = Node::endless(&[]).await;
    let small = Node::endless(&["--kv-cache-memory", "512KiB", "--max-batch-tokens", "32"]).await;
    let body = json!({
        "model": MODEL, "prompt": [prompt(1, 20), prompt(2, 33), prompt(3, 9)], "n": 3, "max_tokens": 60,
        "temperature": 1.3, "seed": 4,
    });
    let answer = async |node: &Node| {
        let answer = node.client.post(COMPLETIONS, &body).await.json();
        let (choices, usage) = (answer["choices"].clone(), answer["usage"]["total_tokens"].clone());
        (choices, usage, node.metric("tidegate:num_preemptions_total").await)
    };
    let (roomy, small) = (answer(&roomy).await, answer(&small).await);
    assert_eq!(roomy.0, small.0);
    assert_eq!(roomy.1, small.1);
    assert_eq!(roomy.2, Some(0.0));
    assert!(small.2 > Some(0.0), "nobody gave way");
}

#[tokio::test]
async fn a_priority_is_read_and_a_wrong_one_refused() {
    let node = Node::endless(&[]).await;
    for priority in ["high", "normal", "low"] {
        let answer = node
            .client
            .post_with(COMPLETIONS, &ask(&[65], &json!({})), &[("x-tidegate-priority", priority)])
            .await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    let wrong = [("x-tidegate-priority", "urgent")];
    let message = node.client.post_with(COMPLETIONS, &ask(&[65], &json!({})), &wrong).await;
    let message = message.refused(400, "invalid_header", Some("x-tidegate-priority"));
    assert!(message.contains("high, normal or low"), "{message}");
}
