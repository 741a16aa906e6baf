//! Log-probabilities over HTTP: whole and streamed, in chat's form and in that of plain completions.

use crate::node::{MODEL, Node};
use serde_json::{Value, json};

const CHAT: &str = "/v1/chat/completions";
const COMPLETIONS: &str = "/v1/completions";

fn with(mut body: Value, extra: &Value) -> Value {
    body.as_object_mut().expect("an object").extend(extra.as_object().expect("an object").clone());
    body
}

fn ask(extra: &Value) -> Value {
    let body = json!({"model": MODEL, "messages": [{"role": "user", "content": "Spell river backwards."}],
        "max_tokens": 24, "temperature": 1.4, "seed": 8, "logprobs": true, "top_logprobs": 4});
    with(body, extra)
}

fn complete(extra: &Value) -> Value {
    let body =
        json!({"model": MODEL, "prompt": "ab", "max_tokens": 24, "temperature": 2, "seed": 8, "logprobs": 3});
    with(body, extra)
}

/// The data of a stream's chunks.
fn chunks(events: &[String]) -> Vec<Value> {
    events[..events.len() - 1].iter().map(|chunk| serde_json::from_str(chunk).expect("JSON")).collect()
}

/// Checks each token's entry; gives the bytes of all tokens.
fn checked(content: &Value, top: usize) -> Vec<u8> {
    let mut bytes: Vec<u8> = Vec::new();
    for token in content.as_array().expect("entries") {
        let own: Vec<u8> = serde_json::from_value(token["bytes"].clone()).expect("bytes");
        assert_eq!(token["token"], json!(String::from_utf8_lossy(&own)), "{token}");
        let logprob = token["logprob"].as_f64().expect("a number");
        let others = token["top_logprobs"].as_array().expect("a list");
        assert_eq!(others.len(), top);
        let logprobs: Vec<f64> =
            others.iter().map(|other| other["logprob"].as_f64().expect("a number")).collect();
        assert!(logprobs.is_sorted_by(|a, b| a >= b), "{token}");
        let sum: f64 = logprobs.iter().map(|logprob| logprob.exp()).sum();
        assert!(logprob <= 0.0 && sum <= 1.0 + 1e-5, "{token}");
        if let Some(same) = others.iter().find(|other| other["bytes"] == token["bytes"]) {
            assert_eq!(same["logprob"], token["logprob"]);
        } else {
            assert!(logprobs.last().is_none_or(|least| logprob <= *least), "{token}");
        }
        bytes.extend(own);
    }
    bytes
}

#[tokio::test]
async fn each_token_of_a_chat_answer_has_its_bytes_and_what_else_was_likely() {
    let node = Node::endless(&[]).await;
    let answer = node.client.post(CHAT, &ask(&json!({}))).await.json();
    let choice = &answer["choices"][0];
    assert_eq!(choice["logprobs"]["content"].as_array().map(Vec::len), Some(24), "{answer}");
    let bytes = checked(&choice["logprobs"]["content"], 4);
    let text = choice["message"]["content"].as_str().expect("a text");
    // The demo model may write special tokens when it is this warm; they are no text.
    let marks = ["<|begin|>", "<|end|>", "<|pad|>", "<|system|>", "<|user|>", "<|assistant|>"];
    let mut written = String::from_utf8_lossy(&bytes).into_owned();
    marks.iter().for_each(|mark| written = written.replace(mark, ""));
    assert_eq!(written, text);
    let streamed = node.client.post(CHAT, &ask(&json!({"stream": true}))).await.events();
    let entries: Vec<Value> = chunks(&streamed)
        .iter()
        .filter_map(|chunk| chunk["choices"][0]["logprobs"]["content"].as_array().cloned())
        .flatten()
        .collect();
    assert_eq!(json!(entries), choice["logprobs"]["content"], "a stream says the same");
    let none = node.client.post(CHAT, &ask(&json!({"logprobs": false, "top_logprobs": 0}))).await.json();
    assert_eq!(none["choices"][0]["logprobs"], Value::Null);
    assert_eq!(
        none["choices"][0]["message"]["content"], choice["message"]["content"],
        "asking changes nothing"
    );
}

#[tokio::test]
async fn greedy_tokens_are_the_likeliest() {
    let node = Node::endless(&[]).await;
    let answer = node.client.post(CHAT, &ask(&json!({"temperature": 0, "top_logprobs": 1}))).await.json();
    for token in answer["choices"][0]["logprobs"]["content"].as_array().expect("entries") {
        assert_eq!(
            (&token["bytes"], &token["logprob"]),
            (&token["top_logprobs"][0]["bytes"], &token["top_logprobs"][0]["logprob"])
        );
    }
}

#[tokio::test]
async fn a_completion_lists_tokens_with_their_places() {
    let node = Node::endless(&[]).await;
    let answer = node.client.post(COMPLETIONS, &complete(&json!({}))).await.json();
    let logprobs = &answer["choices"][0]["logprobs"];
    let tokens = logprobs["tokens"].as_array().expect("tokens");
    assert_eq!(tokens.len(), 24, "{answer}");
    for (at, token) in tokens.iter().enumerate() {
        let top = logprobs["top_logprobs"][at].as_object().expect("an object");
        assert!((3..=4).contains(&top.len()), "the three likeliest and the chosen one: {top:?}");
        assert_eq!(top[token.as_str().expect("a text")], logprobs["token_logprobs"][at]);
    }
    let offsets: Vec<u64> = serde_json::from_value(logprobs["text_offset"].clone()).expect("numbers");
    assert!(offsets[0] == 0 && offsets.is_sorted(), "{offsets:?}");
    let streamed = node.client.post(COMPLETIONS, &complete(&json!({"stream": true}))).await.events();
    let mut lists = json!({"tokens": [], "token_logprobs": [], "top_logprobs": [], "text_offset": []});
    for chunk in chunks(&streamed) {
        for (name, list) in lists.as_object_mut().expect("an object") {
            let more = chunk["choices"][0]["logprobs"][name].as_array().expect("a list");
            list.as_array_mut().expect("a list").extend(more.clone());
        }
    }
    assert_eq!(&lists, logprobs, "a stream says the same");
}

#[tokio::test]
async fn the_tokens_of_a_stop_string_are_not_told() {
    let node = Node::endless(&[]).await;
    let whole = node.client.post(COMPLETIONS, &complete(&json!({}))).await.json();
    let text = whole["choices"][0]["text"].as_str().expect("a text").to_owned();
    let stop: String = text.chars().skip(8).take(3).collect();
    let before = text.split(&stop).next().expect("a part");
    for stream in [false, true] {
        let answer = node.client.post(COMPLETIONS, &complete(&json!({"stop": stop, "stream": stream}))).await;
        let choices: Vec<Value> = if stream {
            chunks(&answer.events()).iter().map(|chunk| chunk["choices"][0].clone()).collect()
        } else {
            vec![answer.json()["choices"][0].clone()]
        };
        let said: String = choices.iter().filter_map(|choice| choice["text"].as_str()).collect();
        assert_eq!(said, before);
        let offsets: Vec<u64> = choices
            .iter()
            .flat_map(|choice| choice["logprobs"]["text_offset"].as_array().expect("a list").clone())
            .filter_map(|offset| offset.as_u64())
            .collect();
        assert!(
            offsets.iter().all(|offset| *offset < before.chars().count() as u64),
            "{offsets:?} {before:?}"
        );
    }
}
