//! Streamed chat: the events an SDK expects, in order, and what they say together is what a whole answer says.

use crate::node::{MODEL, Node};
use serde_json::{Value, json};
use std::time::Duration;

const CHAT: &str = "/v1/chat/completions";

fn ask(extra: &Value) -> Value {
    let mut body = json!({"model": MODEL, "messages": [{"role": "user", "content": "hi"}], "max_tokens": 30,
        "temperature": 1.5, "seed": 11});
    body.as_object_mut().expect("an object").extend(extra.as_object().expect("an object").clone());
    body
}

fn chunks(events: &[String]) -> Vec<Value> {
    let (last, chunks) = events.split_last().expect("events");
    assert_eq!(last, "[DONE]");
    chunks.iter().map(|chunk| serde_json::from_str(chunk).expect("JSON")).collect()
}

#[tokio::test]
async fn a_stream_opens_with_the_role_and_says_what_a_whole_answer_says() {
    let node = Node::endless(&[]).await;
    let whole = node.client.post(CHAT, &ask(&json!({}))).await.json();
    let answer = node.client.post(CHAT, &ask(&json!({"stream": true}))).await;
    assert_eq!((answer.status, answer.header("cache-control")), (200, Some("no-cache")));
    assert_eq!(answer.header("x-accel-buffering"), Some("no"));
    assert!(answer.header("x-request-id").is_some());
    let chunks = chunks(&answer.events());
    assert_eq!(chunks[0]["choices"][0]["delta"], json!({"role": "assistant", "content": ""}));
    let text: String =
        chunks.iter().filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str()).collect();
    assert_eq!(json!(text), whole["choices"][0]["message"]["content"]);
    let reasons: Vec<&Value> = chunks.iter().map(|chunk| &chunk["choices"][0]["finish_reason"]).collect();
    let (last, before) = reasons.split_last().expect("chunks");
    assert_eq!(**last, json!("length"));
    assert!(before.iter().all(|reason| reason.is_null()));
    assert!(
        chunks.iter().all(|chunk| chunk["id"] == chunks[0]["id"] && chunk["created"] == chunks[0]["created"])
    );
    assert!(chunks.iter().all(|chunk| chunk.get("usage").is_none()), "nobody asked for it");
    node.until_idle().await;
}

#[tokio::test]
async fn usage_comes_last_when_it_was_asked_for() {
    let node = Node::endless(&[]).await;
    let extra = json!({"stream": true, "stream_options": {"include_usage": true}, "n": 2});
    let chunks = chunks(&node.client.post(CHAT, &ask(&extra)).await.events());
    let (last, before) = chunks.split_last().expect("chunks");
    assert_eq!(last["choices"], json!([]));
    assert_eq!(last["usage"]["completion_tokens"], 60);
    assert!(before.iter().all(|chunk| chunk.get("usage") == Some(&Value::Null)));
    let openings = before.iter().filter(|chunk| chunk["choices"][0]["delta"]["role"] == "assistant");
    assert_eq!(openings.count(), 2, "one for each answer");
}

#[tokio::test]
async fn a_stop_string_is_never_sent_not_even_in_part() {
    let node = Node::endless(&[]).await;
    let whole = node.client.post(CHAT, &ask(&json!({}))).await.json();
    let whole = whole["choices"][0]["message"]["content"].as_str().expect("a text").to_owned();
    let stop: String = whole.chars().skip(12).take(3).collect();
    let before = whole.split(&stop).next().expect("a part");
    let events = node.client.post(CHAT, &ask(&json!({"stream": true, "stop": stop}))).await.events();
    let chunks = chunks(&events);
    let text: String =
        chunks.iter().filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str()).collect();
    assert_eq!(text, before);
    assert_eq!(chunks.last().expect("chunks")["choices"][0]["finish_reason"], "stop");
}

#[tokio::test]
async fn a_silent_stream_is_kept_open_by_comments() {
    let node = Node::endless_with(&[], |config| config.keep_alive = Duration::from_millis(2)).await;
    let long = "a prompt that takes a while to read ".repeat(60);
    let extra = json!({"stream": true, "messages": [{"role": "user", "content": long}], "max_tokens": 1});
    let answer = node.client.post(CHAT, &ask(&extra)).await;
    assert!(answer.text().contains(": keep-alive\n\n"), "{}", answer.text());
    chunks(&answer.events());
}
