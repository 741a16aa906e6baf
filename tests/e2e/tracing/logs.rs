//! Log lines: JSON where nobody looks, the request's ids in each, one line for each finished request, and nothing of what people
//! ask or are answered.

use super::scene::{CHAT, DEMO, Parent, Protocol, Router, access_lines, variables};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use std::time::Duration;
use tidegate_tests::client::chat_body;
use tidegate_tests::collector::{Collector, Span};
use tidegate_tests::fake_node::{FakeNode, MODEL, Plan};
use tidegate_tests::process::Process;
use tidegate_tests::redis::RedisServer;
use tidegate_tests::wait;

/// Stands in a prompt, and so in what a fake node answers.
const SECRET: &str = "xylophone-in-the-prompt";
/// A client's key.
const KEY: &str = "sk-nobody-may-read-this";

/// Asks in every way that people ask, with the prompt and the key, right and wrong.
async fn ask(router: &Router, model: &str) {
    let bearer = format!("Bearer {KEY}");
    let headers =
        [("content-type", "application/json"), ("authorization", bearer.as_str()), ("api-key", KEY)];
    let mut streamed = chat_body(model, SECRET);
    streamed["stream"] = json!(true);
    let bodies = [
        (CHAT, chat_body(model, SECRET).to_string()),
        (CHAT, streamed.to_string()),
        ("/v1/completions", json!({"model": model, "prompt": SECRET, "max_tokens": 4}).to_string()),
        ("/v1/completions", json!({"model": model, "prompt": SECRET, "temperature": SECRET}).to_string()),
        ("/v1/embeddings", json!({"model": model, "input": SECRET}).to_string()),
        (CHAT, json!({"model": SECRET, "messages": []}).to_string()),
        (CHAT, json!({"model": model, "messages": [{"role": SECRET, "content": SECRET}]}).to_string()),
        (CHAT, json!({"model": model, "stream": SECRET, "messages": SECRET}).to_string()),
        (CHAT, format!("{{\"model\": \"{model}\", \"messages\": \"{SECRET}\" {SECRET}")),
        (CHAT, SECRET.to_owned()),
    ];
    for (path, body) in bodies {
        let answer = router.client.open(http::Method::POST, path, &headers, body.into()).await;
        answer.into_body().collect().await.unwrap();
    }
}

fn told(spans: &[Span]) -> String {
    format!("{spans:?}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn neither_prompt_nor_answer_nor_key_is_in_any_line_or_span_at_any_level() {
    let (collector, redis) = (Collector::start().await, RedisServer::start().await);
    let mut variables = variables(&collector, Protocol::Http);
    variables.push(("RUST_LOG".to_owned(), "trace".to_owned()));
    let flags = ["--redis-url", redis.url.as_str()];
    let backend =
        Process::start_with("tidegate-backend", &[&["--port", "0"], &flags[..]].concat(), &variables);
    let fleet = Router::start(&flags, &variables, 1).await;
    let embedded = Router::start(&[], &variables, 1).await;
    for router in [&fleet, &embedded] {
        ask(router, DEMO).await;
        router.access_lines(10).await;
    }
    wait::until("the spans", || async { (collector.spans().len() >= 60).then_some(()) }).await;
    let said =
        [fleet.process.output(), embedded.process.output(), backend.output(), told(&collector.spans())];
    for said in said {
        for secret in [SECRET, KEY] {
            let line = said.lines().find(|line| line.contains(secret));
            assert!(line.is_none(), "{secret} in {line:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn content_is_written_only_where_it_is_asked_for_and_keys_never() {
    let (collector, node) =
        (Collector::start().await, FakeNode::start(1, Plan::Answer(Duration::ZERO)).await);
    let router = Router::traced(&collector, &["--backend", &node.url, "--log-content"], 1).await;
    ask(&router, MODEL).await;
    let lines = wait::until("lines with content", || async {
        let output = router.process.output();
        let lines = output.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let lines: Vec<Value> = lines.filter(|line| line["target"] == "tidegate::content").collect();
        (lines.len() >= 2).then_some(lines)
    })
    .await;
    let message = |role: &str| json!([{"role": role, "parts": [{"type": "text", "content": SECRET}]}]);
    let read = |text: &Value| serde_json::from_str::<Value>(text.as_str().unwrap()).unwrap();
    assert_eq!(
        (read(&lines[0]["input"]), read(&lines[0]["output"])),
        (message("user"), message("assistant"))
    );
    assert!(lines[0]["trace_id"].is_string() && lines[0]["request_id"].is_string(), "{}", lines[0]);
    wait::until("a span with content", || async {
        let spans = collector.spans();
        let call = spans.iter().find(|span| span.get("gen_ai.input.messages").is_string())?;
        (read(call.get("gen_ai.output.messages")) == message("assistant")).then_some(())
    })
    .await;
    assert!(!router.process.output().contains(KEY) && !told(&collector.spans()).contains(KEY));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_nobody_looks_every_line_is_json_and_those_of_a_request_have_its_ids() {
    let collector = Collector::start().await;
    let nodes =
        [FakeNode::start(1, Plan::Answer(Duration::ZERO)).await, FakeNode::start(1, Plan::Break).await];
    let mut router = Router::traced(&collector, &["--backend", &nodes[0].url, "--keep-alive", "1"], 1).await;
    let parent = Parent::new();
    let headers = [("traceparent", parent.header()), ("x-request-id", "mine".to_owned())];
    let headers = headers.each_ref().map(|(name, value)| (*name, value.as_str()));
    router.client.post(CHAT, &headers, &chat_body(MODEL, "x")).await;
    router.access_lines(1).await;
    router.process.signal("TERM");
    assert!(router.process.ended().await.success());
    let output = router.process.output();
    for line in output.lines() {
        let line: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        for member in ["timestamp", "level", "message", "target"] {
            assert!(line[member].is_string(), "{member} in {line}");
        }
    }
    let listening = output.lines().next().map(|line| serde_json::from_str::<Value>(line).unwrap());
    assert!(output.contains("\"clients\":\"http://127.0.0.1:"), "{listening:?}");
    let line = access_lines(&output).pop().unwrap();
    assert_eq!((&line["trace_id"], &line["request_id"]), (&parent.trace.into(), &"mine".into()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_finished_request_is_one_line_with_all_that_an_operator_asks() {
    let router = Router::start(&[], &[], 1).await;
    let answer = router.client.chat(DEMO, "What is 17 + 25?").await;
    let usage = answer.json()["usage"].clone();
    router.client.open_stream(DEMO, "What is 17 + 25?").await.into_body().collect().await.unwrap();
    router.client.chat("nonsense", "x").await;
    let lines = router.access_lines(3).await;
    let [plain, stream, refused] = lines.as_slice() else { panic!("{lines:?}") };
    for (line, streamed) in [(plain, false), (stream, true)] {
        let told = ["route", "status", "model", "priority", "stream", "verdict"].map(|name| &line[name]);
        assert_eq!(json!(told), json!([CHAT, 200, DEMO, "normal", streamed, "granted"]));
        assert_eq!(
            (&line["prompt_tokens"], &line["completion_tokens"]),
            (&usage["prompt_tokens"], &usage["completion_tokens"])
        );
        let number = |name: &str| line[name].as_f64().unwrap_or_else(|| panic!("{name} in {line}"));
        assert!(number("duration_ms") >= number("waited_ms") && number("waited_ms") >= 0.0, "{line}");
        assert_eq!((&line["resends"], &line["code"]), (&0.into(), &Value::Null));
    }
    assert!(stream["cached_tokens"].as_u64() > Some(0), "{stream}");
    assert!(
        stream["first_token_ms"].as_f64() < stream["duration_ms"].as_f64()
            && stream["first_token_ms"].is_f64(),
        "{stream}"
    );
    assert!(plain.get("trace_id").is_none(), "nothing is exported and nobody brought a trace");
    assert_eq!(
        (&refused["status"], &refused["code"], &refused["model"]),
        (&404.into(), &"model_not_found".into(), &Value::Null)
    );
}
