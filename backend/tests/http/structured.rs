//! Structured output over HTTP: answers that a schema allows, from a model that knows nothing of it.

use crate::{
    node::{MODEL, Node},
    schemas,
};
use rand::{SeedableRng, rngs::StdRng};
use serde_json::{Value, json};

const CHAT: &str = "/v1/chat/completions";
const SEED: u64 = 20_261_125;

fn ask(schema: &Value, extra: &Value) -> Value {
    let mut body = json!({
        "model": MODEL, "messages": [{"role": "user", "content": "Hello!"}], "temperature": 1, "seed": 1,
        "max_tokens": 8_000,
        "response_format": {"type": "json_schema", "json_schema": {"name": "x", "strict": true, "schema": schema}},
    });
    body.as_object_mut().expect("an object").extend(extra.as_object().expect("an object").clone());
    body
}

/// The text of an answer that came to its end.
#[track_caller]
fn complete(answer: &Value) -> String {
    let choice = &answer["choices"][0];
    assert_eq!(choice["finish_reason"], "stop", "{answer}");
    choice["message"]["content"].as_str().expect("a text").to_owned()
}

#[tokio::test]
async fn two_hundred_random_schemas_are_kept_by_random_weights() {
    let node = Node::random(&["--max-concurrent-requests", "16"]).await;
    let mut random = StdRng::seed_from_u64(SEED);
    let schemas: Vec<Value> = (0..200).map(|_| schemas::schema(&mut random)).collect();
    let mut texts = vec![String::new(); schemas.len()];
    for (chunk, schemas) in schemas.chunks(16).enumerate() {
        let mut crowd = tokio::task::JoinSet::new();
        for (index, schema) in schemas.iter().enumerate() {
            let (client, at) = (node.client.clone(), 16 * chunk + index);
            let body = ask(schema, &json!({"seed": at}));
            crowd.spawn(async move { (at, client.post(CHAT, &body).await) });
        }
        for (at, answer) in crowd.join_all().await {
            assert_eq!(answer.status, 200, "seed {SEED}, schema {at}: {}", answer.text());
            texts[at] = complete(&answer.json());
        }
    }
    for (at, (schema, text)) in schemas.iter().zip(&texts).enumerate() {
        let value: Value = serde_json::from_str(text)
            .unwrap_or_else(|error| panic!("seed {SEED}, schema {at}: {error}: {schema}: {text}"));
        let validator = jsonschema::validator_for(schema).expect("a schema");
        let checked = validator.validate(&value);
        assert!(checked.is_ok(), "seed {SEED}, schema {at}: {checked:?}: {schema}: {text}");
    }
    for at in [0, 50, 199] {
        let alone = node.client.post(CHAT, &ask(&schemas[at], &json!({"seed": at}))).await.json();
        assert_eq!(complete(&alone), texts[at], "the company makes no difference");
    }
}

#[tokio::test]
async fn json_object_is_any_object_and_streams_alike() {
    let node = Node::random(&[]).await;
    let extra = json!({"response_format": {"type": "json_object"}, "seed": 5, "logit_bias": {"125": 2}});
    let whole = node.client.post(CHAT, &ask(&json!({}), &extra)).await.json();
    let text = complete(&whole);
    assert!(serde_json::from_str::<Value>(&text).is_ok_and(|value| value.is_object()), "{text}");
    let mut streamed = ask(&json!({}), &extra);
    streamed["stream"] = true.into();
    let events = node.client.post(CHAT, &streamed).await.events();
    let chunks =
        events[..events.len() - 1].iter().map(|event| serde_json::from_str::<Value>(event).expect("JSON"));
    let said: String = chunks
        .filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str().map(str::to_owned))
        .collect();
    assert_eq!(said, text);
}

#[tokio::test]
async fn an_answer_may_be_cut_but_is_never_wrong() {
    let node = Node::random(&[]).await;
    let schema = json!({"type": "object", "properties": {"name": {"type": "string", "minLength": 20, "maxLength": 30}},
        "required": ["name"], "additionalProperties": false});
    let whole = complete(&node.client.post(CHAT, &ask(&schema, &json!({}))).await.json());
    let cut = node.client.post(CHAT, &ask(&schema, &json!({"max_tokens": 12}))).await.json();
    assert_eq!(cut["choices"][0]["finish_reason"], "length");
    let text = cut["choices"][0]["message"]["content"].as_str().expect("a text");
    assert!(whole.starts_with(text), "{text:?} {whole:?}");
    let stop = "\"name\"";
    let stopped = complete(&node.client.post(CHAT, &ask(&schema, &json!({"stop": stop}))).await.json());
    assert_eq!(stopped, whole.split(stop).next().expect("a part"));
}

#[tokio::test]
async fn a_complete_answer_ends_whatever_else_is_asked() {
    let node = Node::random(&[]).await;
    let schema = json!({"const": "ab"});
    for extra in [
        json!({}),
        json!({"min_tokens": 50}),
        json!({"ignore_eos": true, "min_tokens": 9}),
        json!({"n": 3}),
        json!({"logprobs": true, "top_logprobs": 2}),
        json!({"temperature": 0}),
    ] {
        let answer = node.client.post(CHAT, &ask(&schema, &extra)).await.json();
        assert_eq!(complete(&answer), "\"ab\"", "{extra}");
        assert_eq!(
            answer["choices"].as_array().map(Vec::len),
            Some(extra["n"].as_u64().unwrap_or(1) as usize)
        );
    }
    let number = ask(&json!({"type": "integer", "minimum": 1}), &json!({"min_tokens": 6}));
    let text = complete(&node.client.post(CHAT, &number).await.json());
    assert!(text.len() >= 6 && text.parse::<f64>().is_ok(), "{text}");
}

#[tokio::test]
async fn schemas_that_cannot_be_used_are_refused_by_name() {
    let node = Node::random(&[]).await;
    let param = Some("response_format.json_schema.schema");
    for schema in [
        json!({"type": "strange"}),
        json!({"$ref": "https://example.com/x"}),
        json!({"type": "integer", "minimum": 3, "maximum": 1}),
    ] {
        node.client.post(CHAT, &ask(&schema, &json!({}))).await.refused(400, "invalid_json_schema", param);
    }
    let bad = json!({"response_format": {"type": "xml"}});
    node.client.post(CHAT, &ask(&json!({}), &bad)).await.refused(
        400,
        "invalid_value",
        Some("response_format.type"),
    );
    node.until_idle().await;
}
