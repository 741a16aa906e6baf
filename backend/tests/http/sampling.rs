//! What OpenAI's and vLLM's parameters do to an answer, over HTTP.

use crate::node::{MODEL, Node};
use serde_json::{Value, json};

const COMPLETIONS: &str = "/v1/completions";

fn complete(extra: &Value) -> Value {
    let mut body = json!({"model": MODEL, "prompt": "ab", "max_tokens": 12, "temperature": 0});
    body.as_object_mut().expect("an object").extend(extra.as_object().expect("an object").clone());
    body
}

async fn choice(node: &Node, extra: Value) -> Value {
    let answer = node.client.post(COMPLETIONS, &complete(&extra)).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["choices"][0].clone()
}

#[tokio::test]
async fn a_bias_makes_a_token_certain_or_impossible() {
    let node = Node::endless(&[]).await;
    let z = u32::from(b'z').to_string();
    assert_eq!(choice(&node, json!({"logit_bias": {&z: 100}})).await["text"], "z".repeat(12));
    let plain = choice(&node, json!({})).await["text"].as_str().expect("a text").to_owned();
    let first = plain.bytes().next().expect("a byte").to_string();
    let other = choice(&node, json!({"logit_bias": {&first: -100}})).await["text"].clone();
    let other = other.as_str().expect("a text").as_bytes().to_vec();
    assert!(!other.contains(&first.parse().expect("a byte")), "{other:?}");
}

#[tokio::test]
async fn filters_that_leave_one_token_are_greedy_at_any_temperature() {
    let node = Node::endless(&[]).await;
    let greedy = choice(&node, json!({})).await["text"].clone();
    for one in [json!({"top_k": 1}), json!({"min_p": 1}), json!({"top_p": 1e-9})] {
        let mut extra = json!({"temperature": 2, "seed": 1});
        extra.as_object_mut().expect("an object").extend(one.as_object().expect("an object").clone());
        assert_eq!(choice(&node, extra).await["text"], greedy, "{one}");
    }
    let all = json!({"temperature": 2, "seed": 1, "top_k": -1, "min_p": 0, "top_p": 1});
    assert_ne!(choice(&node, all).await["text"], greedy);
}

#[tokio::test]
async fn a_repetition_penalty_keeps_a_model_from_repeating_itself() {
    let node = Node::endless(&[]).await;
    let extra = json!({"prompt": "zzzz", "logit_bias": {"122": 3}, "max_tokens": 30});
    let different = |choice: &Value| {
        let text = choice["text"].as_str().expect("a text").to_owned();
        text.chars().collect::<std::collections::HashSet<char>>().len()
    };
    let plain = different(&choice(&node, extra.clone()).await);
    let mut penalised = extra;
    penalised["repetition_penalty"] = json!(50);
    let penalised = different(&choice(&node, penalised).await);
    assert!(penalised > plain, "{penalised} different characters, {plain} without");
}

#[tokio::test]
async fn tokens_end_an_answer_unless_they_come_too_early_or_do_not_count() {
    let node = Node::start(&[]).await;
    let z = json!({"logit_bias": {"122": 100}, "stop_token_ids": [122]});
    let stopped = choice(&node, z.clone()).await;
    assert_eq!((&stopped["text"], &stopped["finish_reason"]), (&json!(""), &json!("stop")));
    let mut late = z;
    late["min_tokens"] = json!(5);
    let late = node.client.post(COMPLETIONS, &complete(&late)).await.json();
    assert_eq!(late["usage"]["completion_tokens"], 5, "{late}");
    assert_eq!(late["choices"][0]["finish_reason"], "stop");
    // 257 ends the answers of this model.
    let end = json!({"logit_bias": {"257": 100}});
    assert_eq!(choice(&node, end.clone()).await["finish_reason"], "stop");
    let mut endless = end;
    endless["ignore_eos"] = json!(true);
    assert_eq!(choice(&node, endless).await["finish_reason"], "length");
}

#[tokio::test]
async fn echo_puts_the_prompt_first_whole_and_streamed() {
    let node = Node::endless(&[]).await;
    let plain = choice(&node, json!({"prompt": "Ünd"})).await["text"].as_str().expect("a text").to_owned();
    let echoed = choice(&node, json!({"prompt": "Ünd", "echo": true, "stop": "Ü"})).await;
    assert_eq!(echoed["text"], json!(format!("Ünd{plain}")), "a stop string in the prompt stops nothing");
    let tokens = choice(&node, json!({"prompt": [97, 98], "echo": true})).await;
    assert!(tokens["text"].as_str().is_some_and(|text| text.starts_with("ab")), "{tokens}");
    let events = node
        .client
        .post(COMPLETIONS, &complete(&json!({"prompt": "Ünd", "echo": true, "stream": true})))
        .await
        .events();
    let said: String = events[..events.len() - 1]
        .iter()
        .filter_map(|event| {
            serde_json::from_str::<Value>(event).expect("JSON")["choices"][0]["text"]
                .as_str()
                .map(str::to_owned)
        })
        .collect();
    assert_eq!(said, format!("Ünd{plain}"));
}

#[tokio::test]
async fn best_of_gives_the_likeliest_and_counts_them_all() {
    let node = Node::endless(&[]).await;
    let draw = json!({"temperature": 2, "seed": 4, "logprobs": 0, "n": 6, "prompt": ["ab", "cd"]});
    let all = node.client.post(COMPLETIONS, &complete(&draw)).await.json();
    let mut best = draw;
    (best["n"], best["best_of"], best["logprobs"]) = (json!(2), json!(6), json!(null));
    let best = node.client.post(COMPLETIONS, &complete(&best)).await.json();
    assert_eq!(best["usage"], all["usage"], "what was drawn is counted");
    let mean = |choice: &Value| {
        let logprobs: Vec<f64> =
            serde_json::from_value(choice["logprobs"]["token_logprobs"].clone()).expect("numbers");
        logprobs.iter().sum::<f64>() / logprobs.len() as f64
    };
    let choices = all["choices"].as_array().expect("choices");
    let mut expected = Vec::new();
    for of_one in choices.chunks(6) {
        let mut ranked: Vec<&Value> = of_one.iter().collect();
        ranked.sort_by(|a, b| mean(b).total_cmp(&mean(a)));
        expected.extend(ranked[..2].iter().map(|choice| choice["text"].clone()));
    }
    let found: Vec<Value> =
        best["choices"].as_array().expect("choices").iter().map(|choice| choice["text"].clone()).collect();
    assert_eq!(found, expected);
    assert_eq!(best["choices"][3]["index"], 3);
    assert_eq!(best["choices"][0]["logprobs"], Value::Null);
}

#[tokio::test]
async fn lists_of_token_ids_are_prompts() {
    let node = Node::endless(&[]).await;
    let body = complete(&json!({"prompt": [[97, 98], [99, 100, 101]]}));
    let answer = node.client.post(COMPLETIONS, &body).await.json();
    assert_eq!(answer["usage"]["prompt_tokens"], 5);
    for (index, tokens) in [json!([97, 98]), json!([99, 100, 101])].into_iter().enumerate() {
        assert_eq!(answer["choices"][index]["text"], choice(&node, json!({"prompt": tokens})).await["text"]);
    }
}

#[tokio::test]
async fn a_seed_gives_its_text_whatever_shares_the_batch() {
    let node = Node::endless(&["--max-concurrent-requests", "16"]).await;
    let extra = json!({"temperature": 1.6, "seed": 77, "top_p": 0.95, "top_k": 50, "repetition_penalty": 1.1,
        "frequency_penalty": 0.3, "max_tokens": 40});
    let alone = choice(&node, extra.clone()).await["text"].clone();
    let mut crowd = tokio::task::JoinSet::new();
    for other in 0..12 {
        let mut body = complete(&extra);
        if other % 3 > 0 {
            (body["seed"], body["max_tokens"]) = (json!(other), json!(10 + 5 * other));
        }
        let client = node.client.clone();
        crowd.spawn(async move {
            (other, client.post(COMPLETIONS, &body).await.json()["choices"][0]["text"].clone())
        });
    }
    for (other, text) in crowd.join_all().await {
        assert_eq!(text == alone, other % 3 == 0, "{other}: {text}");
    }
}
