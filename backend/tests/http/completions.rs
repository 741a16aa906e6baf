//! Plain completions: text and token prompts, several at once.

use crate::node::{MODEL, Node};
use serde_json::json;

const COMPLETIONS: &str = "/v1/completions";

#[tokio::test]
async fn several_prompts_times_n_come_back_in_order() {
    let node = Node::endless(&[]).await;
    let body = json!({"model": MODEL, "prompt": ["ab", "cd"], "n": 2, "max_tokens": 3, "temperature": 0});
    let answer = node.client.post(COMPLETIONS, &body).await.json();
    assert_eq!(answer["object"], "text_completion");
    assert!(answer["id"].as_str().is_some_and(|id| id.starts_with("cmpl-")));
    let choices = answer["choices"].as_array().expect("choices");
    assert_eq!(choices.len(), 4);
    assert_eq!(choices[0]["text"], choices[1]["text"], "the same prompt, always the likeliest token");
    assert_eq!(choices[2]["text"], choices[3]["text"]);
    assert_eq!(answer["usage"]["completion_tokens"], 12);
    for (index, prompt) in ["ab", "ab", "cd", "cd"].iter().enumerate() {
        let alone = json!({"model": MODEL, "prompt": prompt, "max_tokens": 3, "temperature": 0});
        let alone = node.client.post(COMPLETIONS, &alone).await.json();
        assert_eq!(alone["choices"][0]["text"], choices[index]["text"]);
    }
}

#[tokio::test]
async fn a_prompt_of_token_ids_is_taken_as_it_is() {
    let node = Node::endless(&[]).await;
    let body = json!({"model": MODEL, "prompt": [256, 104, 105], "max_tokens": 4, "temperature": 0});
    let answer = node.client.post(COMPLETIONS, &body).await.json();
    assert_eq!(
        (&answer["usage"]["prompt_tokens"], &answer["usage"]["completion_tokens"]),
        (&json!(3), &json!(4))
    );
}

#[tokio::test]
async fn without_max_tokens_an_answer_may_fill_the_context() {
    let node = Node::start(&[]).await;
    let body = json!({"model": MODEL, "prompt": "ab", "temperature": 0});
    let answer = node.client.post(COMPLETIONS, &body).await.json();
    let total = answer["usage"]["total_tokens"].as_u64().expect("a count");
    let reason = answer["choices"][0]["finish_reason"].as_str();
    assert!(reason == Some("stop") || (reason, total) == (Some("length"), 1024), "{reason:?} after {total}");
}

#[tokio::test]
async fn a_stream_of_several_choices_carries_their_indices() {
    let node = Node::endless(&[]).await;
    let body = json!({"model": MODEL, "prompt": "ab", "n": 2, "max_tokens": 4, "temperature": 2, "seed": 3});
    let whole = node.client.post(COMPLETIONS, &body).await.json();
    let mut streamed = body.clone();
    streamed["stream"] = true.into();
    let mut texts = [String::new(), String::new()];
    let mut reasons = [None, None];
    let events = node.client.post(COMPLETIONS, &streamed).await.events();
    assert_eq!(events.last().map(String::as_str), Some("[DONE]"));
    for event in &events[..events.len() - 1] {
        let chunk: serde_json::Value = serde_json::from_str(event).expect("JSON");
        let choice = &chunk["choices"][0];
        let index = usize::try_from(choice["index"].as_u64().expect("an index")).expect("small");
        texts[index].push_str(choice["text"].as_str().expect("a text"));
        if let Some(reason) = choice["finish_reason"].as_str() {
            reasons[index] = Some(reason.to_owned());
        }
    }
    for index in 0..2 {
        assert_eq!(whole["choices"][index]["text"], json!(texts[index]));
        assert_eq!(reasons[index].as_deref(), Some("length"));
    }
}
