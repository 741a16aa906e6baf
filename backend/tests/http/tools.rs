//! Calls of tools over HTTP: whole and streamed, of a model that must call.

use crate::node::{MODEL, Node};
use serde_json::{Value, json};

const CHAT: &str = "/v1/chat/completions";

fn tools() -> Value {
    json!([
        {"type": "function", "function": {"name": "add", "description": "Adds.", "strict": true, "parameters": {
            "type": "object", "properties": {"a": {"type": "integer", "minimum": 0, "maximum": 99},
                "b": {"$ref": "#/$defs/small"}}, "required": ["a", "b"], "additionalProperties": false,
            "$defs": {"small": {"type": "integer", "minimum": 0, "maximum": 9}}}}},
        {"type": "function", "function": {"name": "get-time"}},
    ])
}

fn ask(extra: &Value) -> Value {
    let mut body = json!({"model": MODEL, "messages": [{"role": "user", "content": "What is 3 + 4?"}], "tools": tools(),
        "temperature": 1, "seed": 3, "max_tokens": 4_000});
    body.as_object_mut().expect("an object").extend(extra.as_object().expect("an object").clone());
    body
}

/// Checks the calls of a message; gives names and arguments.
fn calls(message: &Value) -> Vec<(String, Value)> {
    let calls = message["tool_calls"].as_array().unwrap_or_else(|| panic!("no calls: {message}"));
    let one = |call: &Value| {
        assert_eq!(call["type"], "function");
        assert!(call["id"].as_str().is_some_and(|id| !id.is_empty()));
        let arguments: Value =
            serde_json::from_str(call["function"]["arguments"].as_str().expect("a text")).expect("JSON");
        let name = call["function"]["name"].as_str().expect("a name").to_owned();
        let definitions = tools();
        let tool =
            definitions.as_array().expect("tools").iter().find(|tool| tool["function"]["name"] == *name);
        let parameters = &tool.expect("a known tool")["function"]["parameters"];
        if parameters.is_object() {
            assert!(jsonschema::is_valid(parameters, &arguments), "{name}: {arguments}");
        } else {
            assert_eq!(arguments, json!({}));
        }
        (name, arguments)
    };
    calls.iter().map(one).collect()
}

#[tokio::test]
async fn a_required_call_is_made_with_arguments_that_fit() {
    let node = Node::random(&[]).await;
    for seed in 0..10 {
        let extra = json!({"tool_choice": "required", "seed": seed, "parallel_tool_calls": seed % 2 == 0});
        let answer = node.client.post(CHAT, &ask(&extra)).await.json();
        let choice = &answer["choices"][0];
        assert_eq!(choice["finish_reason"], "tool_calls", "{answer}");
        assert_eq!(choice["message"]["content"], Value::Null);
        let made = calls(&choice["message"]);
        assert!(!made.is_empty() && (seed % 2 == 0 || made.len() == 1), "{answer}");
    }
}

#[tokio::test]
async fn a_named_function_is_called_once() {
    let node = Node::random(&[]).await;
    for name in ["add", "get-time"] {
        let extra = json!({"tool_choice": {"type": "function", "function": {"name": name}}});
        let answer = node.client.post(CHAT, &ask(&extra)).await.json();
        let made = calls(&answer["choices"][0]["message"]);
        assert_eq!((made.len(), made[0].0.as_str()), (1, name));
        assert_eq!(answer["choices"][0]["finish_reason"], "stop", "the client knew");
    }
}

#[tokio::test]
async fn a_stream_makes_the_same_calls() {
    let node = Node::random(&[]).await;
    let extra = json!({"tool_choice": "required", "logprobs": true});
    let whole = node.client.post(CHAT, &ask(&extra)).await.json();
    let mut streamed = ask(&extra);
    streamed["stream"] = true.into();
    let events = node.client.post(CHAT, &streamed).await.events();
    let chunks: Vec<Value> =
        events[..events.len() - 1].iter().map(|event| serde_json::from_str(event).expect("JSON")).collect();
    let deltas = chunks.iter().filter_map(|chunk| chunk["choices"][0]["delta"]["tool_calls"].as_array());
    let deltas: Vec<Value> = deltas.flatten().cloned().collect();
    for (index, delta) in deltas.iter().enumerate() {
        assert_eq!(delta["index"], index);
    }
    let same = json!({"tool_calls": deltas});
    assert_eq!(calls(&same), calls(&whole["choices"][0]["message"]));
    let said = chunks.iter().filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str());
    assert_eq!(said.collect::<String>(), "", "a call is no text");
    assert_eq!(chunks.last().expect("chunks")["choices"][0]["finish_reason"], "tool_calls");
    let entries = chunks.iter().filter_map(|chunk| chunk["choices"][0]["logprobs"]["content"].as_array());
    let entries: Vec<Value> = entries.flatten().cloned().collect();
    assert_eq!(json!(entries), whole["choices"][0]["logprobs"]["content"]);
}

#[tokio::test]
async fn a_model_that_need_not_call_sees_the_tools_and_may_talk() {
    let node = Node::start(&[]).await;
    let tokens = async |extra: Value| {
        let answer = node.client.post(CHAT, &ask(&extra)).await.json();
        assert!(answer["choices"][0]["message"]["content"].is_string(), "{answer}");
        assert!(answer["choices"][0]["message"].get("tool_calls").is_none(), "{answer}");
        answer["usage"]["prompt_tokens"].as_u64().expect("a count")
    };
    let short = json!({"max_tokens": 8});
    let none = tokens(json!({"max_tokens": 8, "tool_choice": "none"})).await;
    assert!(tokens(short).await > none + 100, "the template shows the tools");
    assert_eq!(tokens(json!({"max_tokens": 8, "tools": []})).await, none);
}

#[tokio::test]
async fn calls_and_results_may_stand_in_a_conversation() {
    let node = Node::start(&[]).await;
    let call = json!({"id": "c1", "type": "function", "function": {"name": "add", "arguments": "{\"a\": 3, \"b\": 4}"}});
    let messages = json!([{"role": "user", "content": "What is 3 + 4?"},
        {"role": "assistant", "content": null, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": "7"}]);
    let answer = node.client.post(CHAT, &ask(&json!({"messages": messages, "max_tokens": 4}))).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
}

#[tokio::test]
async fn tools_that_cannot_be_used_are_refused_by_name() {
    let node = Node::start(&[]).await;
    let named = |parameters: Value| json!([{"type": "function", "function": {"name": "f", "parameters": parameters}}]);
    for (extra, code, param) in [
        (
            json!({"tools": named(json!({"type": "strange"})), "tool_choice": "required"}),
            "invalid_json_schema",
            "tools[0].function.parameters",
        ),
        (json!({"tools": [{"type": "web_search"}]}), "invalid_value", "tools[0].type"),
        (json!({"tool_choice": "sometimes"}), "invalid_value", "tool_choice"),
        (
            json!({"tool_choice": {"type": "function", "function": {"name": "none"}}}),
            "invalid_value",
            "tool_choice",
        ),
        (
            json!({"response_format": {"type": "json_object"}}),
            "invalid_parameter_combination",
            "response_format",
        ),
    ] {
        node.client.post(CHAT, &ask(&extra)).await.refused(400, code, Some(param));
    }
    let plain = Node::without_tools(&[]).await;
    plain.client.post(CHAT, &ask(&json!({}))).await.refused(400, "unsupported_parameter", Some("tools"));
    assert_eq!(
        plain.client.post(CHAT, &ask(&json!({"tool_choice": "none", "max_tokens": 2}))).await.status,
        200
    );
}
