//! Chat completions that are answered whole, and the list of models.

use crate::node::{MODEL, Node};
use serde_json::{Value, json};

const CHAT: &str = "/v1/chat/completions";

fn ask(text: &str, extra: &Value) -> Value {
    let mut body = json!({"model": MODEL, "messages": [{"role": "user", "content": text}]});
    body.as_object_mut().expect("an object").extend(extra.as_object().expect("an object").clone());
    body
}

#[tokio::test]
async fn an_answer_has_openais_shape_and_its_usage_adds_up() {
    let node = Node::endless(&[]).await;
    let answer = node.client.post(CHAT, &ask("hi", &json!({"max_tokens": 7, "temperature": 0}))).await;
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")));
    assert!(answer.header("x-request-id").is_some());
    let body = answer.json();
    assert!(body["id"].as_str().is_some_and(|id| id.starts_with("chatcmpl-")), "{body}");
    assert_eq!((&body["object"], &body["model"]), (&json!("chat.completion"), &json!(MODEL)));
    assert!(body["created"].as_u64().is_some_and(|created| created > 1_700_000_000));
    let choice = &body["choices"][0];
    assert_eq!((&choice["index"], &choice["message"]["role"]), (&json!(0), &json!("assistant")));
    assert_eq!(choice["finish_reason"], "length");
    let usage = &body["usage"];
    assert_eq!(usage["completion_tokens"], 7);
    let prompt = usage["prompt_tokens"].as_u64().expect("a count");
    assert!(prompt > 2, "the template adds to the text");
    assert_eq!(usage["total_tokens"].as_u64(), Some(prompt + 7));
    node.until_idle().await;
}

#[tokio::test]
async fn a_seed_repeats_an_answer_and_several_answers_differ() {
    let node = Node::endless(&[]).await;
    // Without the chat's template the model is sure of nothing, and draws differ.
    let body = json!({
        "model": MODEL, "prompt": "The gate", "max_tokens": 24, "temperature": 2, "seed": -5, "n": 3,
    });
    let texts = async || {
        let body = node.client.post("/v1/completions", &body).await.json();
        let choices = body["choices"].as_array().expect("choices").clone();
        assert_eq!(body["usage"]["completion_tokens"], 3 * 24);
        let indices: Vec<_> = choices.iter().map(|choice| choice["index"].as_u64()).collect();
        assert_eq!(indices, [Some(0), Some(1), Some(2)]);
        choices.iter().map(|choice| choice["text"].to_string()).collect::<Vec<String>>()
    };
    let (first, second) = (texts().await, texts().await);
    assert_eq!(first, second, "the same seed");
    assert!(first[0] != first[1] && first[1] != first[2], "{first:?}");
}

#[tokio::test]
async fn a_stop_string_ends_the_answer_before_itself() {
    let node = Node::endless(&[]).await;
    let free = json!({"max_tokens": 40, "temperature": 2, "seed": 1});
    let whole = node.client.post(CHAT, &ask("hi", &free)).await.json();
    let whole = whole["choices"][0]["message"]["content"].as_str().expect("a text").to_owned();
    let stop: String = whole.chars().skip(9).take(2).collect();
    let before = whole.split(&stop).next().expect("a part").to_owned();
    let stopped = json!({"max_tokens": 40, "temperature": 2, "seed": 1, "stop": [stop, "never written"]});
    let body = node.client.post(CHAT, &ask("hi", &stopped)).await.json();
    assert_eq!(body["choices"][0]["message"]["content"], json!(before));
    assert_eq!(body["choices"][0]["finish_reason"], "stop");
    node.until_idle().await;
}

#[tokio::test]
async fn answers_run_together_and_none_disturbs_another() {
    let node = Node::endless(&["--max-concurrent-requests", "8"]).await;
    let questions: Vec<String> = (0..8).map(|number| format!("What is {number} + 25?")).collect();
    let extra = json!({"max_tokens": 16, "temperature": 0});
    let mut alone = Vec::new();
    for question in &questions {
        alone.push(node.client.post(CHAT, &ask(question, &extra)).await.json()["choices"].clone());
    }
    let mut together = tokio::task::JoinSet::new();
    for (index, question) in questions.iter().enumerate() {
        let (client, body) = (node.client.clone(), ask(question, &extra));
        together.spawn(async move { (index, client.post(CHAT, &body).await.json()["choices"].clone()) });
    }
    for (index, choices) in together.join_all().await {
        assert_eq!(choices, alone[index], "{}", questions[index]);
    }
}

#[tokio::test]
async fn the_model_is_listed_and_can_be_looked_up() {
    let node = Node::start(&["--model-name", "org/name"]).await;
    let list = node.client.get("/v1/models").await.json();
    assert_eq!((&list["object"], &list["data"][0]["id"]), (&json!("list"), &json!("org/name")));
    for path in ["/v1/models/org/name", "/v1/models/org%2Fname"] {
        let model = node.client.get(path).await.json();
        assert_eq!((&model["id"], &model["object"]), (&json!("org/name"), &json!("model")));
        assert_eq!(model["precision"], json!("f32"));
    }
    let node = Node::start(&["--quantize", "q8_0"]).await;
    let list = node.client.get("/v1/models").await.json();
    assert_eq!(list["data"][0]["precision"], json!("q8_0, f32"));
}
