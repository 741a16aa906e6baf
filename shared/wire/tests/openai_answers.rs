//! The exact JSON of answers and chunks, as the official SDKs expect it.

#![expect(clippy::expect_used, reason = "a test fails by panicking")]

use serde_json::{Value, json};
use tidegate_wire::openai::{
    ChatAnswer, ChatChunk, CompletionAnswer, CompletionChunk, FinishReason, Model, ModelList, Usage,
    answer::Head,
    chat_answer::{self, ChatChoice, ChunkChoice},
    completion_answer::{self, CompletionChoice},
    logprobs::{ChatLogprobs, CompletionLogprobs, TokenLogprob, TopLogprob},
};

fn head(object: &str) -> Head {
    Head {
        id: "id-1".to_owned(),
        object: object.to_owned(),
        created: 5,
        model: "m".to_owned(),
        system_fingerprint: Some("fp_1".to_owned()),
        service_tier: None,
    }
}

fn json_of(value: &impl serde::Serialize) -> Value {
    serde_json::to_value(value).expect("it serialises")
}

#[test]
fn a_chat_answer() {
    let answer = ChatAnswer {
        head: head(chat_answer::OBJECT),
        choices: vec![ChatChoice::new(0, "hi".to_owned(), FinishReason::Stop)],
        usage: Usage::new(3, 4),
    };
    let expected = json!({
        "id": "id-1", "object": "chat.completion", "created": 5, "model": "m", "system_fingerprint": "fp_1",
        "choices": [{
            "index": 0, "logprobs": null, "finish_reason": "stop",
            "message": {"role": "assistant", "content": "hi", "refusal": null},
        }],
        "usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7},
    });
    assert_eq!(json_of(&answer), expected);
}

#[test]
fn chat_chunks_open_go_on_close_and_carry_usage() {
    let chunk =
        |choices, usage| json_of(&ChatChunk { head: head(chat_answer::CHUNK_OBJECT), choices, usage });
    let opening = chunk(vec![ChunkChoice::opening(0)], None);
    assert_eq!(opening["object"], "chat.completion.chunk");
    assert_eq!(opening["choices"][0]["delta"], json!({"role": "assistant", "content": ""}));
    assert_eq!(opening["choices"][0]["finish_reason"], Value::Null);
    assert!(opening.get("usage").is_none(), "left out unless it was asked for");
    let text = chunk(vec![ChunkChoice::text(1, "hi".to_owned())], Some(None));
    assert_eq!(text["choices"][0]["delta"], json!({"content": "hi"}));
    assert_eq!(text.get("usage"), Some(&Value::Null));
    let closing = chunk(vec![ChunkChoice::closing(1, FinishReason::Length)], Some(None));
    assert_eq!(closing["choices"][0]["delta"], json!({}));
    assert_eq!(closing["choices"][0]["finish_reason"], "length");
    let last = chunk(Vec::new(), Some(Some(Usage::new(1, 2))));
    assert_eq!((&last["choices"], &last["usage"]["total_tokens"]), (&json!([]), &json!(3)));
}

#[test]
fn completions_whole_and_in_chunks() {
    let choices = vec![CompletionChoice::closing(0, "hi".to_owned(), FinishReason::Length)];
    let whole = json_of(&CompletionAnswer {
        head: head(completion_answer::OBJECT),
        choices,
        usage: Usage::new(1, 1),
    });
    let choice = json!({"text": "hi", "index": 0, "logprobs": null, "finish_reason": "length"});
    assert_eq!((&whole["object"], &whole["choices"][0]), (&json!("text_completion"), &choice));
    let choices = vec![CompletionChoice::text(2, "a".to_owned())];
    let chunk = json_of(&CompletionChunk { head: head(completion_answer::OBJECT), choices, usage: None });
    let choice = json!({"text": "a", "index": 2, "logprobs": null, "finish_reason": null});
    assert_eq!((&chunk["object"], &chunk["choices"][0]), (&json!("text_completion"), &choice));
}

#[test]
fn log_probabilities_in_both_forms() {
    let likely = |token: &str, logprob| TopLogprob {
        token: token.to_owned(),
        logprob,
        bytes: token.bytes().collect(),
    };
    let token = TokenLogprob { chosen: likely("é", -0.5), top_logprobs: vec![likely("a", -0.25)] };
    let logprobs = ChatLogprobs { content: vec![token], refusal: None };
    let choice = ChatChoice::new(0, "é".to_owned(), FinishReason::Stop).with_logprobs(Some(logprobs.clone()));
    let expected = json!({"content": [{
        "token": "é", "logprob": -0.5, "bytes": [0xC3, 0xA9],
        "top_logprobs": [{"token": "a", "logprob": -0.25, "bytes": [97]}],
    }], "refusal": null});
    assert_eq!(json_of(&choice)["logprobs"], expected);
    let chunk = ChunkChoice::text(0, "é".to_owned()).with_logprobs(Some(logprobs));
    assert_eq!(json_of(&chunk)["logprobs"], expected);
    let logprobs = CompletionLogprobs {
        tokens: vec!["a".to_owned()],
        token_logprobs: vec![-1.0],
        top_logprobs: vec![[("a".to_owned(), -1.0), ("b".to_owned(), -0.5)].into()],
        text_offset: vec![3],
    };
    let choice = CompletionChoice::text(0, "a".to_owned()).with_logprobs(Some(logprobs));
    let expected = json!({"tokens": ["a"], "token_logprobs": [-1.0], "top_logprobs": [{"a": -1.0, "b": -0.5}],
        "text_offset": [3]});
    assert_eq!(json_of(&choice)["logprobs"], expected);
}

#[test]
fn models() {
    let model = json!({"id": "m", "object": "model", "created": 5, "owned_by": "tidegate"});
    let list = ModelList::new(vec![Model::new("m", 5)]);
    assert_eq!(json_of(&list), json!({"object": "list", "data": [model]}));
}

#[test]
fn tokens_beyond_all_counting_add_up_to_no_less() {
    assert_eq!(Usage::new(u64::MAX, 2).total_tokens, u64::MAX);
}
