//! What the OpenAI requests accept, and how each bad one is refused: code, parameter and sentence.

#![expect(clippy::expect_used, reason = "a test fails by panicking")]

use serde_json::{Value, json};
use tidegate_wire::openai::{ChatRequest, CompletionRequest, Invalid, Prompt, Role};

fn chat(extra: &Value) -> Result<ChatRequest, Invalid> {
    ChatRequest::parse(
        merged(json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]}), extra).as_bytes(),
    )
}

fn completion(extra: &Value) -> Result<CompletionRequest, Invalid> {
    CompletionRequest::parse(merged(json!({"model": "m", "prompt": "hi"}), extra).as_bytes())
}

/// `base` with the members of `extra` put in; the word `absent` takes one out.
fn merged(mut base: Value, extra: &Value) -> String {
    let members = base.as_object_mut().expect("an object");
    for (name, value) in extra.as_object().expect("an object") {
        if value == "absent" {
            members.remove(name);
        } else {
            members.insert(name.clone(), value.clone());
        }
    }
    base.to_string()
}

#[track_caller]
fn refused<T: std::fmt::Debug>(answer: Result<T, Invalid>, code: &str, param: Option<&str>) -> String {
    let error = answer.expect_err("it must be refused");
    assert_eq!((error.code, error.param.as_deref()), (code, param), "{error}");
    error.message
}

#[test]
fn a_full_chat_request_is_read() {
    let request = chat(&json!({
        "messages": [
            {"role": "system", "content": "be brief"},
            {"role": "developer", "content": "be kind"},
            {"role": "user", "name": "ann", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
            {"role": "assistant", "content": "c", "refusal": null, "tool_calls": [], "audio": null, "annotations": []},
            {"role": "tool", "tool_call_id": "call-1", "content": "d"},
        ],
        "n": 2, "stop": ["x", "y"], "seed": -7, "temperature": 0, "top_p": 0.5, "max_completion_tokens": 9,
        "presence_penalty": -2, "frequency_penalty": 2, "stream": true, "stream_options": {"include_usage": true},
        "user": "u", "metadata": {"k": "v"}, "store": true, "service_tier": "flex", "logprobs": false, "tools": [],
        "tool_choice": "none", "response_format": {"type": "text"}, "logit_bias": {}, "top_logprobs": 0,
        "modalities": ["text"], "parallel_tool_calls": true, "functions": null, "made_up": null,
    }))
    .expect("all of it is accepted");
    let roles: Vec<Role> = request.messages.iter().map(|message| message.role).collect();
    assert_eq!(roles, [Role::System, Role::Developer, Role::User, Role::Assistant, Role::Tool]);
    assert_eq!(request.messages[2].content, "a\nb");
    assert_eq!(request.messages[2].name.as_deref(), Some("ann"));
    let generation = request.generation;
    assert_eq!((generation.n, generation.seed, generation.max_tokens), (2, Some(-7), Some(9)));
    assert_eq!((generation.temperature, generation.top_p), (Some(0.0), Some(0.5)));
    assert_eq!((generation.presence_penalty, generation.frequency_penalty), (Some(-2.0), Some(2.0)));
    assert_eq!(generation.stop, ["x", "y"]);
    assert!(generation.stream && generation.include_usage);
}

#[test]
fn bodies_that_are_not_json_objects_say_where() {
    let message = refused(ChatRequest::parse(b"{\"model\": \"m\",\n !}"), "invalid_json", None);
    assert!(message.contains("line 2 column 2"), "{message}");
    refused(ChatRequest::parse(b""), "invalid_json", None);
    refused(ChatRequest::parse(b"{\"model\": \"m\"} trailing"), "invalid_json", None);
    refused(ChatRequest::parse(b"[1]"), "invalid_type", None);
    let message = refused(ChatRequest::parse(b"{\"model\": \"\xff\"}"), "invalid_utf8", None);
    assert!(message.contains("offset 11"), "{message}");
    let deep = format!("{{\"messages\": {}", "[".repeat(100_000));
    refused(ChatRequest::parse(deep.as_bytes()), "invalid_json", None);
}

#[test]
fn messages_are_checked_one_by_one() {
    refused(chat(&json!({"messages": "absent"})), "missing_required_parameter", Some("messages"));
    refused(chat(&json!({"messages": []})), "empty_array", Some("messages"));
    refused(chat(&json!({"messages": "hi there"})), "invalid_type", Some("messages"));
    let one = |message: Value| chat(&json!({"messages": [{"role": "user", "content": "hi"}, message]}));
    refused(one(json!("hi")), "invalid_type", Some("messages[1]"));
    refused(one(json!({"content": "hi"})), "missing_required_parameter", Some("messages[1].role"));
    refused(one(json!({"role": 7, "content": "hi"})), "invalid_type", Some("messages[1].role"));
    let message =
        refused(one(json!({"role": "wizard", "content": "hi"})), "invalid_value", Some("messages[1].role"));
    assert!(message.contains("'wizard'") && message.contains("'developer'"), "{message}");
    refused(one(json!({"role": "user"})), "missing_required_parameter", Some("messages[1].content"));
    refused(one(json!({"role": "user", "content": 1})), "invalid_type", Some("messages[1].content"));
    refused(one(json!({"role": "user", "content": []})), "empty_array", Some("messages[1].content"));
    let image = json!({"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]});
    refused(one(image), "invalid_value", Some("messages[1].content[0].type"));
    refused(
        one(json!({"role": "tool", "content": "x"})),
        "missing_required_parameter",
        Some("messages[1].tool_call_id"),
    );
    let called = json!({"role": "assistant", "content": "", "tool_calls": [{"id": "1"}]});
    refused(one(called), "missing_required_parameter", Some("messages[1].tool_calls[0].type"));
    refused(
        one(json!({"role": "user", "content": "x", "colour": 1})),
        "unknown_parameter",
        Some("messages[1].colour"),
    );
}

#[test]
fn numbers_out_of_range_name_bound_and_value() {
    for (name, value, code) in [
        ("temperature", json!(2.1), "decimal_above_max_value"),
        ("temperature", json!(-0.1), "decimal_below_min_value"),
        ("temperature", json!("hot"), "invalid_type"),
        ("top_p", json!(0), "decimal_below_min_value"),
        ("top_p", json!(1.01), "decimal_above_max_value"),
        ("presence_penalty", json!(2.5), "decimal_above_max_value"),
        ("frequency_penalty", json!(-2.5), "decimal_below_min_value"),
        ("n", json!(0), "integer_below_min_value"),
        ("n", json!(17), "integer_above_max_value"),
        ("n", json!(1.5), "invalid_type"),
        ("max_tokens", json!(0), "integer_below_min_value"),
        ("max_tokens", json!(-5), "integer_below_min_value"),
        ("max_tokens", json!(5_000_000_000u64), "integer_above_max_value"),
        ("max_completion_tokens", json!(0), "integer_below_min_value"),
        ("max_tokens", json!(u64::MAX), "integer_above_max_value"),
        ("seed", json!(u64::MAX), "integer_above_max_value"),
        ("seed", json!("x"), "invalid_type"),
        ("stream", json!("yes"), "invalid_type"),
        ("user", json!(5), "invalid_type"),
        ("metadata", json!("x"), "invalid_type"),
        ("store", json!("x"), "invalid_type"),
    ] {
        refused(chat(&json!({name: value})), code, Some(name));
        refused(completion(&json!({name: value})), code, Some(name));
    }
    let message = refused(chat(&json!({"temperature": 3})), "decimal_above_max_value", Some("temperature"));
    assert!(message.contains("<= 2") && message.contains("got 3"), "{message}");
    refused(chat(&json!({"model": 5})), "invalid_type", Some("model"));
    refused(chat(&json!({"model": "absent"})), "missing_required_parameter", Some("model"));
    let both = json!({"max_tokens": 5, "max_completion_tokens": 5});
    refused(chat(&both), "invalid_parameter_combination", Some("max_tokens"));
}

#[test]
fn stop_strings_are_at_most_four_and_none_is_empty() {
    assert_eq!(chat(&json!({"stop": "end"})).expect("a string").generation.stop, ["end"]);
    assert!(chat(&json!({"stop": []})).expect("none").generation.stop.is_empty());
    refused(chat(&json!({"stop": ["1", "2", "3", "4", "5"]})), "array_above_max_length", Some("stop"));
    refused(chat(&json!({"stop": ""})), "empty_string", Some("stop"));
    refused(chat(&json!({"stop": ["a", ""]})), "empty_string", Some("stop[1]"));
    refused(chat(&json!({"stop": ["a", 1]})), "invalid_type", Some("stop[1]"));
    refused(chat(&json!({"stop": 1})), "invalid_type", Some("stop"));
}

#[test]
fn stream_options_need_a_stream() {
    let options = json!({"include_usage": true});
    refused(
        chat(&json!({"stream_options": options})),
        "invalid_parameter_combination",
        Some("stream_options"),
    );
    let unknown = json!({"stream": true, "stream_options": {"colour": true}});
    refused(chat(&unknown), "unknown_parameter", Some("stream_options.colour"));
    let plain = chat(&json!({"stream": true, "stream_options": {}})).expect("accepted");
    assert!(!plain.generation.include_usage);
}

#[test]
fn what_is_not_supported_is_refused_by_name() {
    for (name, value) in [
        ("functions", json!([{"name": "f"}])),
        ("function_call", json!({"name": "f"})),
        ("modalities", json!(["text", "audio"])),
        ("audio", json!({"voice": "x"})),
        ("reasoning_effort", json!("high")),
        ("web_search_options", json!({})),
    ] {
        refused(chat(&json!({name: value})), "unsupported_parameter", Some(name));
    }
    refused(completion(&json!({"suffix": "x"})), "unsupported_parameter", Some("suffix"));
    refused(completion(&json!({"echo": true, "logprobs": 0})), "unsupported_parameter", Some("echo"));
    completion(&json!({"echo": false, "suffix": null, "best_of": 2, "n": 2, "logprobs": null}))
        .expect("neutral");
    refused(chat(&json!({"use_beam_search": true})), "unknown_parameter", Some("use_beam_search"));
    refused(completion(&json!({"messages": []})), "unknown_parameter", Some("messages"));
}

#[test]
fn log_probabilities_are_asked_for_in_either_way() {
    let chat_logprobs = |extra: Value| chat(&extra).expect("accepted").generation.logprobs;
    assert_eq!(chat_logprobs(json!({})), None);
    assert_eq!(chat_logprobs(json!({"logprobs": false, "top_logprobs": 0})), None);
    assert_eq!(chat_logprobs(json!({"logprobs": true})), Some(0));
    assert_eq!(chat_logprobs(json!({"logprobs": true, "top_logprobs": 20})), Some(20));
    refused(chat(&json!({"logprobs": 1})), "invalid_type", Some("logprobs"));
    refused(chat(&json!({"top_logprobs": 1})), "invalid_parameter_combination", Some("top_logprobs"));
    let many = json!({"logprobs": true, "top_logprobs": 21});
    refused(chat(&many), "integer_above_max_value", Some("top_logprobs"));
    let completion_logprobs = |extra: Value| completion(&extra).expect("accepted").generation.logprobs;
    assert_eq!(completion_logprobs(json!({"logprobs": false})), None);
    assert_eq!(completion_logprobs(json!({"logprobs": 0})), Some(0));
    assert_eq!(completion_logprobs(json!({"logprobs": 5})), Some(5));
    refused(completion(&json!({"logprobs": 6})), "integer_above_max_value", Some("logprobs"));
    refused(completion(&json!({"logprobs": -1})), "integer_below_min_value", Some("logprobs"));
    refused(completion(&json!({"logprobs": true})), "invalid_type", Some("logprobs"));
}

#[test]
fn the_parameters_of_vllm_are_read() {
    let extra = json!({
        "top_k": 40, "min_p": 0.05, "repetition_penalty": 1.2, "stop_token_ids": [3, 4], "ignore_eos": true,
        "min_tokens": 5, "max_tokens": 5, "logit_bias": {"7": -100, "8": 2.5},
    });
    for generation in
        [chat(&extra).expect("accepted").generation, completion(&extra).expect("accepted").generation]
    {
        assert_eq!((generation.top_k, generation.min_p), (Some(40), Some(0.05)));
        assert_eq!((generation.repetition_penalty, generation.min_tokens), (Some(1.2), 5));
        assert_eq!((generation.stop_token_ids, generation.ignore_eos), (vec![3, 4], true));
        assert_eq!(generation.logit_bias, [(7, -100.0), (8, 2.5)]);
    }
    let top_k = |k: i64| chat(&json!({"top_k": k})).expect("accepted").generation.top_k;
    assert_eq!((top_k(-1), top_k(0), top_k(1)), (Some(0), Some(0), Some(1)), "-1 and 0 mean all");
}

#[test]
fn the_parameters_of_vllm_are_refused_by_name_out_of_their_range() {
    for (name, value, code) in [
        ("top_k", json!(-2), "integer_below_min_value"),
        ("top_k", json!(1.5), "invalid_type"),
        ("min_p", json!(-0.1), "decimal_below_min_value"),
        ("min_p", json!(1.1), "decimal_above_max_value"),
        ("repetition_penalty", json!(0), "decimal_below_min_value"),
        ("repetition_penalty", json!(-1), "decimal_below_min_value"),
        ("repetition_penalty", json!(101), "decimal_above_max_value"),
        ("stop_token_ids", json!(5), "invalid_type"),
        ("stop_token_ids", json!(vec![1; 1025]), "array_above_max_length"),
        ("ignore_eos", json!(1), "invalid_type"),
        ("min_tokens", json!(-1), "integer_below_min_value"),
        ("logit_bias", json!([1]), "invalid_type"),
        ("logit_bias", json!({"x": 1}), "invalid_value"),
        ("logit_bias", json!({"-1": 1}), "invalid_value"),
        ("logit_bias", json!({"5": 101}), "decimal_above_max_value"),
        ("logit_bias", json!({"5": -101}), "decimal_below_min_value"),
        ("logit_bias", json!({"5": "much"}), "invalid_type"),
    ] {
        refused(chat(&json!({name: value})), code, Some(name));
        refused(completion(&json!({name: value})), code, Some(name));
    }
    refused(chat(&json!({"stop_token_ids": [1, -2]})), "invalid_type", Some("stop_token_ids[1]"));
    let both = json!({"min_tokens": 6, "max_tokens": 5});
    refused(chat(&both), "integer_above_max_value", Some("min_tokens"));
}

#[test]
fn best_of_is_at_least_n_and_counts_as_answers() {
    let request = completion(&json!({"best_of": 3, "n": 2, "echo": true})).expect("accepted");
    assert_eq!((request.best_of, request.generation.n, request.echo), (3, 2, true));
    let request = completion(&json!({"n": 2})).expect("accepted");
    assert_eq!((request.best_of, request.echo), (2, false));
    refused(completion(&json!({"best_of": 1, "n": 2})), "integer_below_min_value", Some("best_of"));
    refused(completion(&json!({"best_of": 21})), "integer_above_max_value", Some("best_of"));
    let streamed = json!({"best_of": 2, "stream": true});
    refused(completion(&streamed), "invalid_parameter_combination", Some("best_of"));
    let many = json!({"prompt": ["a", "b"], "best_of": 9});
    refused(completion(&many), "too_many_sequences", Some("best_of"));
}

#[test]
fn prompts_come_as_text_or_tokens_one_or_many() {
    let prompts = |value: Value| completion(&json!({"prompt": value})).map(|request| request.prompts);
    let text = |text: &str| Prompt::Text(text.to_owned());
    assert_eq!(prompts(json!("a")).expect("text"), [text("a")]);
    assert_eq!(prompts(json!(["a", "b"])).expect("texts"), [text("a"), text("b")]);
    assert_eq!(prompts(json!([1, 2])).expect("tokens"), [Prompt::Tokens(vec![1, 2])]);
    assert_eq!(prompts(json!([[1], [2]])).expect("both"), [Prompt::Tokens(vec![1]), Prompt::Tokens(vec![2])]);
    refused(prompts(json!("absent")), "missing_required_parameter", Some("prompt"));
    refused(prompts(json!("")), "empty_prompt", Some("prompt"));
    refused(prompts(json!([])), "empty_prompt", Some("prompt"));
    refused(prompts(json!(["a", ""])), "empty_prompt", Some("prompt[1]"));
    refused(prompts(json!([[1], []])), "empty_prompt", Some("prompt[1]"));
    refused(prompts(json!([1, -2])), "invalid_type", Some("prompt[1]"));
    refused(prompts(json!([1, 2.5])), "invalid_type", Some("prompt[1]"));
    refused(prompts(json!([1, "a"])), "invalid_type", Some("prompt[0]"));
    refused(prompts(json!([{"a": 1}])), "invalid_type", Some("prompt[0]"));
    refused(prompts(json!({"a": 1})), "invalid_type", Some("prompt"));
}

#[test]
fn one_request_asks_for_at_most_sixteen_answers() {
    let many: Vec<String> = (0..8).map(|number| number.to_string()).collect();
    completion(&json!({"prompt": many, "n": 2})).expect("sixteen");
    refused(completion(&json!({"prompt": many, "n": 3})), "too_many_sequences", Some("n"));
    let many: Vec<String> = (0..17).map(|number| number.to_string()).collect();
    refused(completion(&json!({"prompt": many})), "too_many_sequences", Some("prompt"));
}

#[test]
fn a_refusal_is_an_openai_error_body() {
    let error = chat(&json!({"n": 0})).expect_err("out of range");
    let body: Value = serde_json::from_str(&error.to_body().to_json()).expect("JSON");
    assert_eq!(body["error"]["type"], "invalid_request_error");
    assert_eq!(body["error"]["param"], "n");
    assert_eq!(body["error"]["code"], "integer_below_min_value");
}
