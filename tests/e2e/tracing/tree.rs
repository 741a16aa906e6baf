//! One trace across the hop: ids, parents, kinds, attributes and times.

use super::scene::{CHAT, DEMO, Parent, Protocol, Router, variables};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tidegate_tests::client::chat_body;
use tidegate_tests::collector::{CLIENT, Collector, INTERNAL, SERVER, Span};
use tidegate_tests::process::Process;
use tidegate_tests::redis::RedisServer;

/// The five spans of a request that was served, from the outermost one in.
struct Tree {
    server: Span,
    admission: Span,
    call: Span,
    backend: Span,
    engine: Span,
}

impl Tree {
    /// Takes a trace apart, and checks how its spans hang together.
    fn of(spans: &[Span], parent: &Parent) -> Self {
        assert_eq!(spans.len(), 5, "{spans:#?}");
        let below = |id: &str, name: &str, kind: i32| {
            let found = spans.iter().find(|span| span.parent == id && span.name == name && span.kind == kind);
            found.unwrap_or_else(|| panic!("no {name} of kind {kind} below {id} in {spans:#?}")).clone()
        };
        let server = below(&parent.span, "POST /v1/chat/completions", SERVER);
        let admission = below(&server.id, "tidegate.admission", INTERNAL);
        let call = below(&server.id, "chat tidegate-demo", CLIENT);
        let backend = below(&call.id, "POST /v1/chat/completions", SERVER);
        let engine = below(&backend.id, "chat tidegate-demo", INTERNAL);
        for (inner, outer) in [(&admission, &server), (&call, &server), (&engine, &backend)] {
            assert!(inner.is_within(outer), "{inner:#?} is not within {outer:#?}");
        }
        assert!(admission.end <= call.start && call.start <= backend.start, "{spans:#?}");
        assert!(spans.iter().all(|span| span.status == 0), "nothing failed: {spans:#?}");
        Self { server, admission, call, backend, engine }
    }

    /// Checks what stands in every one of them; the answer has cost so much.
    fn check(&self, usage: &Value) {
        for server in [&self.server, &self.backend] {
            assert_eq!(server.get("http.request.method"), "POST");
            assert_eq!(server.get("http.route"), CHAT);
            assert_eq!(server.get("url.path"), CHAT);
            assert_eq!(server.get("url.scheme"), "http");
            assert_eq!(server.get("http.response.status_code"), 200);
            assert_eq!(server.get("tidegate.request_id"), self.server.get("tidegate.request_id"));
        }
        assert_eq!(self.server.get("tidegate.verdict"), "granted");
        assert_eq!(self.server.get("tidegate.priority"), "normal");
        assert_eq!(
            (self.admission.get("tidegate.verdict"), self.admission.get("tidegate.outcome")),
            (&json!("granted"), &json!("granted"))
        );
        assert_eq!(
            (self.admission.number("tidegate.slots"), self.admission.number("tidegate.p")),
            (3.0, 0.0)
        );
        assert!((0.0..1.0).contains(&self.admission.number("tidegate.draw")));
        assert!(self.admission.number("tidegate.ledger_ms") <= self.admission.number("tidegate.waited_ms"));
        assert_eq!(self.call.get("gen_ai.operation.name"), "chat");
        assert_eq!(self.call.get("gen_ai.provider.name"), "tidegate");
        assert_eq!(self.call.get("gen_ai.request.model"), DEMO);
        assert_eq!(self.call.get("http.response.status_code"), 200);
        assert_eq!(self.call.get("gen_ai.usage.input_tokens"), &usage["prompt_tokens"]);
        assert_eq!(self.call.get("gen_ai.usage.output_tokens"), &usage["completion_tokens"]);
        assert_eq!(self.call.get("tidegate.attempt"), self.engine.get("tidegate.attempt"));
        self.check_engine(usage);
    }

    fn check_engine(&self, usage: &Value) {
        assert_eq!(self.engine.get("tidegate.prompt_tokens"), &usage["prompt_tokens"]);
        assert_eq!(self.engine.get("tidegate.completion_tokens"), &usage["completion_tokens"]);
        assert_eq!(self.engine.get("tidegate.preemptions"), 0);
        let names = self.engine.attributes.keys().filter(|name| name.starts_with("gen_ai.usage"));
        assert_eq!(names.count(), 0, "usage is told once, by the CLIENT span");
        let phases = ["tokenize_ms", "engine_wait_ms", "prefill_ms", "decode_ms"];
        let phases: f64 = phases.iter().map(|phase| self.engine.number(&format!("tidegate.{phase}"))).sum();
        // The phases follow each other without a gap, from the arrival, which the backend's SERVER span begins with.
        let whole = self.backend.milliseconds();
        assert!(phases > 0.0 && phases <= whole + 1.0, "{phases} ms of {whole} ms: {:#?}", self.engine);
        assert_eq!(self.engine.events[0].0, "tidegate.first_token");
    }
}

/// A plain chat and a stream, against a router that serves the demo model, with two services that have these names.
async fn both(router: &Router, collector: &Collector, services: [&str; 2]) {
    let parent = Parent::new();
    let answer = router.chat(&parent, DEMO, "What is 17 + 25?").await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let plain = Tree::of(&collector.trace(&parent.trace, 5).await, &parent);
    plain.check(&answer.json()["usage"]);
    assert_eq!([plain.server.service.as_str(), plain.engine.service.as_str()], services);
    assert_eq!(plain.call.get("gen_ai.request.stream"), &Value::Null);

    let parent = Parent::new();
    let text = router.stream(&parent, DEMO).await.into_body().collect().await.unwrap();
    assert!(text.trailers().is_none(), "what is for the router alone is not passed on");
    let text = String::from_utf8(text.to_bytes().to_vec()).unwrap();
    assert!(text.ends_with("data: [DONE]\n\n") && !text.contains("\"usage\":{"), "{text}");
    let stream = Tree::of(&collector.trace(&parent.trace, 5).await, &parent);
    // The same question has the same answer; now the cache knows its beginning.
    stream.check(&answer.json()["usage"]);
    assert_eq!(stream.call.get("gen_ai.request.stream"), true);
    let first = stream.call.number("gen_ai.response.time_to_first_chunk");
    assert!(first > 0.0 && first * 1e3 <= stream.call.milliseconds(), "{first} s in {:#?}", stream.call);
    let cached = stream.engine.number("tidegate.cached_tokens");
    assert!(cached > 0.0, "{:#?}", stream.engine);
    assert_eq!(stream.call.number("gen_ai.usage.cache_read.input_tokens"), cached);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fleet_over_grpc() {
    let (collector, redis) = (Collector::start().await, RedisServer::start().await);
    let variables = variables(&collector, Protocol::Grpc);
    let flags = ["--redis-url", redis.url.as_str()];
    let backend =
        Process::start_with("tidegate-backend", &[&["--port", "0"], &flags[..]].concat(), &variables);
    let router = Router::start(&flags, &variables, 1).await;
    both(&router, &collector, ["tidegate-router", "tidegate-backend"]).await;
    let export = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
    assert!(collector.paths().iter().all(|path| path == export), "{:?}", collector.paths());
    let lines = super::scene::access_lines(&backend.output());
    assert_eq!(lines.len(), 2, "the backend writes its own lines: {lines:?}");
    assert!(
        lines.iter().all(|line| line["completion_tokens"].as_u64() > Some(0) && line["decode_ms"].is_f64()),
        "{lines:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn embedded_over_http() {
    let collector = Collector::start().await;
    let router = Router::traced(&collector, &[], 1).await;
    both(&router, &collector, ["tidegate-router"; 2]).await;
    assert!(collector.paths().iter().all(|path| path == "/v1/traces"), "{:?}", collector.paths());
    assert_eq!(router.access_lines(2).await.len(), 2, "one line a request, though two services see it");
}

#[tokio::test]
async fn a_trace_that_begins_here_has_no_parent_and_its_context_goes_on() {
    use std::time::Duration;
    use tidegate_tests::fake_node::{FakeNode, MODEL, Plan};
    let (collector, node) =
        (Collector::start().await, FakeNode::start(1, Plan::Answer(Duration::ZERO)).await);
    let router = Router::traced(&collector, &["--backend", &node.url], 1).await;
    let body = chat_body(MODEL, "x");
    router.client.post(CHAT, &[], &body).await;
    let sent = |name: &str| node.last_headers()[name].to_str().unwrap().to_owned();
    let ids: Vec<String> = sent("traceparent").split('-').map(str::to_owned).collect();
    let spans = collector.trace(&ids[1], 3).await;
    let roots = spans.iter().filter(|span| span.parent.is_empty()).count();
    assert_eq!((spans.len(), roots), (3, 1), "{spans:#?}");
    assert!(spans.iter().any(|span| span.kind == CLIENT && span.id == ids[2]), "{ids:?} {spans:#?}");

    let parent = Parent::new();
    let headers = [
        ("traceparent", parent.header()),
        ("tracestate", "vendor=1".into()),
        ("baggage", "tenant=blue".into()),
    ];
    let headers = headers.each_ref().map(|(name, value)| (*name, value.as_str()));
    router.client.post(CHAT, &headers, &body).await;
    assert!(sent("traceparent").starts_with(&format!("00-{}-", parent.trace)), "{}", sent("traceparent"));
    assert_eq!((sent("tracestate").as_str(), sent("baggage").as_str()), ("vendor=1", "tenant=blue"));
}
