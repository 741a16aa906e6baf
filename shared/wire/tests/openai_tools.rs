//! Tools, choices and response formats: what is accepted, and how each bad one is refused.

#![expect(clippy::expect_used, reason = "a test fails by panicking")]

use serde_json::{Value, json};
use tidegate_wire::openai::{
    ChatRequest, FinishReason, Invalid, ResponseFormat, ToolCall, ToolChoice,
    chat_answer::{ChatChoice, ChunkChoice},
};

fn chat(extra: &Value) -> Result<ChatRequest, Invalid> {
    let mut base = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]});
    let members = extra.as_object().expect("an object").clone();
    base.as_object_mut().expect("an object").extend(members);
    ChatRequest::parse(base.to_string().as_bytes())
}

#[track_caller]
fn refused(extra: &Value, code: &str, param: &str) {
    let error = chat(extra).expect_err("it must be refused");
    assert_eq!((error.code, error.param.as_deref()), (code, Some(param)), "{error}");
}

fn tool(name: &str) -> Value {
    json!({"type": "function", "function": {"name": name, "parameters": {"type": "object"}}})
}

#[test]
fn tools_may_be_called_unless_the_choice_says_otherwise() {
    let tools = |extra: Value| chat(&extra).expect("accepted").tools;
    let plain = tools(json!({}));
    assert_eq!((plain.tools.len(), plain.choice, plain.parallel), (0, ToolChoice::None, true));
    let two = tools(json!({"tools": [tool("f"), tool("g-2")], "parallel_tool_calls": false}));
    assert_eq!((two.choice, two.parallel, two.tools[1].name.as_str()), (ToolChoice::Auto, false, "g-2"));
    assert_eq!(two.tools[0].definition, tool("f"));
    assert_eq!(tools(json!({"tools": [tool("f")], "tool_choice": "required"})).choice, ToolChoice::Required);
    assert_eq!(tools(json!({"tools": [tool("f")], "tool_choice": "none"})).choice, ToolChoice::None);
    let named = json!({"tools": [tool("f")], "tool_choice": {"type": "function", "function": {"name": "f"}}});
    assert_eq!(tools(named).choice, ToolChoice::Named("f".to_owned()));
    assert_eq!(tools(json!({"tool_choice": "auto", "tools": []})).choice, ToolChoice::None);
    let bare = tools(json!({"tools": [{"type": "function", "function": {"name": "f"}}]}));
    assert_eq!(bare.tools[0].parameters["additionalProperties"], json!(false), "it takes no arguments");
}

#[test]
fn bad_tools_are_refused_by_name() {
    let one = |tool: Value| json!({"tools": [tool]});
    refused(&json!({"tools": {}}), "invalid_type", "tools");
    refused(&one(json!(5)), "invalid_type", "tools[0]");
    refused(&one(json!({})), "missing_required_parameter", "tools[0].type");
    refused(&one(json!({"type": "custom"})), "invalid_value", "tools[0].type");
    refused(&one(json!({"type": "function"})), "missing_required_parameter", "tools[0].function");
    refused(&one(tool("")), "invalid_value", "tools[0].function.name");
    refused(&one(tool("a b")), "invalid_value", "tools[0].function.name");
    refused(&one(tool(&"x".repeat(65))), "invalid_value", "tools[0].function.name");
    let parameters = json!({"type": "function", "function": {"name": "f", "parameters": "x"}});
    refused(&one(parameters), "invalid_type", "tools[0].function.parameters");
    let unknown = json!({"type": "function", "function": {"name": "f", "colour": 1}});
    refused(&one(unknown), "unknown_parameter", "tools[0].function.colour");
    refused(&json!({"tools": [tool("f"), tool("f")]}), "invalid_value", "tools[1].function.name");
    let many: Vec<Value> = (0..129).map(|number| tool(&format!("f{number}"))).collect();
    refused(&json!({"tools": many}), "array_above_max_length", "tools");
    refused(&json!({"tool_choice": "required"}), "invalid_parameter_combination", "tool_choice");
    refused(&json!({"tools": [tool("f")], "tool_choice": "any"}), "invalid_value", "tool_choice");
    refused(&json!({"tools": [tool("f")], "tool_choice": 1}), "invalid_type", "tool_choice");
    let named = |name: &str| json!({"tools": [tool("f")], "tool_choice": {"type": "function", "function": {"name": name}}});
    refused(&named("g"), "invalid_value", "tool_choice");
    let allowed = json!({"tools": [tool("f")], "tool_choice": {"type": "allowed_tools"}});
    refused(&allowed, "invalid_value", "tool_choice.type");
}

#[test]
fn calls_in_messages_come_with_their_arguments_as_objects() {
    let call = |arguments: &str| {
        let call = json!({"id": "1", "type": "function", "function": {"name": "f", "arguments": arguments}});
        json!({"messages": [{"role": "assistant", "content": null, "tool_calls": [call]}]})
    };
    let message = chat(&call(r#"{"b": 1, "a": 2}"#)).expect("accepted").messages.remove(0);
    assert_eq!(message.content, "");
    assert_eq!(message.tool_calls[0]["function"].to_string(), r#"{"name":"f","arguments":{"b":1,"a":2}}"#);
    let empty = chat(&call("")).expect("accepted").messages.remove(0);
    assert_eq!(empty.tool_calls[0]["function"]["arguments"], json!({}));
    let param = "messages[0].tool_calls[0].function.arguments";
    refused(&call("[1]"), "invalid_value", param);
    refused(&call("{"), "invalid_value", param);
    let silent = json!({"messages": [{"role": "assistant", "content": null}]});
    refused(&silent, "missing_required_parameter", "messages[0].content");
}

#[test]
fn response_formats() {
    let format = |format: Value| chat(&json!({"response_format": format})).expect("accepted").response_format;
    assert_eq!(format(json!({"type": "text"})), ResponseFormat::Text);
    let ResponseFormat::Json { schema, .. } = format(json!({"type": "json_object"})) else {
        unreachable!("JSON was asked for")
    };
    assert_eq!(schema, json!({"type": "object"}));
    let named = json!({"type": "json_schema", "json_schema": {"name": "x", "strict": true, "schema": {"type": "null"}}});
    let ResponseFormat::Json { schema, param } = format(named) else { unreachable!("JSON was asked for") };
    assert_eq!((schema, param), (json!({"type": "null"}), "response_format.json_schema.schema"));
    let bad = |format: Value, code, param| refused(&json!({"response_format": format}), code, param);
    bad(json!("json"), "invalid_type", "response_format");
    bad(json!({}), "missing_required_parameter", "response_format.type");
    bad(json!({"type": "xml"}), "invalid_value", "response_format.type");
    bad(json!({"type": "json_schema"}), "missing_required_parameter", "response_format.json_schema");
    let nameless = json!({"type": "json_schema", "json_schema": {"schema": {}}});
    bad(nameless, "missing_required_parameter", "response_format.json_schema.name");
    let wrong = json!({"type": "json_schema", "json_schema": {"name": "x", "schema": 5}});
    bad(wrong, "invalid_type", "response_format.json_schema.schema");
    let both = json!({"response_format": {"type": "json_object"}, "tools": [tool("f")]});
    refused(&both, "invalid_parameter_combination", "response_format");
    chat(&json!({"response_format": {"type": "json_object"}, "tools": [tool("f")], "tool_choice": "none"}))
        .expect("nothing can be called");
}

#[test]
fn calls_in_answers_and_chunks() {
    let call = ToolCall::new("c1".to_owned(), "f".to_owned(), "{}".to_owned());
    let as_json = json!({"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}});
    let choice = ChatChoice::new(0, String::new(), FinishReason::ToolCalls).with_calls(vec![call.clone()]);
    let choice = serde_json::to_value(choice).expect("JSON");
    assert_eq!(choice["finish_reason"], "tool_calls");
    assert_eq!(
        (&choice["message"]["content"], &choice["message"]["tool_calls"]),
        (&Value::Null, &json!([as_json]))
    );
    let chunk = serde_json::to_value(ChunkChoice::call(0, 2, call)).expect("JSON");
    assert_eq!(chunk["delta"]["tool_calls"][0]["index"], 2);
    assert_eq!(chunk["delta"]["tool_calls"][0]["function"]["name"], "f");
    let text = ChatChoice::new(0, String::new(), FinishReason::Stop).with_calls(Vec::new());
    assert_eq!(
        serde_json::to_value(text).expect("JSON")["message"],
        json!({"role": "assistant", "content": "", "refusal": null})
    );
}
