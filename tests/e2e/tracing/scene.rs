//! Routers and backends as processes that send their traces to a collector of the test.

use rand::RngExt;
use serde_json::{Value, json};
use tidegate_tests::client::{Answer, Client, chat_body};
use tidegate_tests::collector::{Collector, Span};
use tidegate_tests::process::Process;
use tidegate_tests::wait;

pub(crate) const CHAT: &str = "/v1/chat/completions";
/// What the demo model is called.
pub(crate) const DEMO: &str = "tidegate-demo";

/// How spans travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    Grpc,
    Http,
}

/// The variables that send spans to `collector`, ten times a second.
pub(crate) fn variables(collector: &Collector, protocol: Protocol) -> Vec<(String, String)> {
    let protocol = if protocol == Protocol::Grpc { "grpc" } else { "http/protobuf" };
    let pairs = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url.as_str()),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol),
        ("OTEL_BSP_SCHEDULE_DELAY", "100"),
    ];
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
}

/// A running router.
pub(crate) struct Router {
    pub(crate) process: Process,
    pub(crate) client: Client,
    admin: Client,
}

impl Router {
    /// Starts one and waits until it knows so many live backends.
    pub(crate) async fn start(flags: &[&str], variables: &[(String, String)], backends: usize) -> Self {
        let free = ["--port", "0", "--admin-port", "0"];
        let process = Process::start_with("tidegate-router", &[&free, flags].concat(), variables);
        let (client, admin) = (process.clients().await, process.operators().await);
        let router = Self { client: Client::new(&client), admin: Client::new(&admin), process };
        router
            .until(|pool| {
                let listed = pool["backends"].as_array().map(Vec::as_slice).unwrap_or_default();
                listed.iter().filter(|backend| backend["state"] == "live").count() == backends
            })
            .await;
        router
    }

    /// The same, which sends its spans to `collector` over HTTP.
    pub(crate) async fn traced(collector: &Collector, flags: &[&str], backends: usize) -> Self {
        Self::start(flags, &variables(collector, Protocol::Http), backends).await
    }

    /// Waits until the first pool of `/fleet` is so.
    pub(crate) async fn until(&self, look: impl Fn(&Value) -> bool) {
        wait::until("/fleet shows it", || async { look(&self.pool().await).then_some(()) }).await;
    }

    /// The first pool of `/fleet`.
    pub(crate) async fn pool(&self) -> Value {
        self.admin.get("/fleet").await.json()["pools"][0].clone()
    }

    /// A chat in the trace of `parent`.
    pub(crate) async fn chat(&self, parent: &Parent, model: &str, content: &str) -> Answer {
        self.client.post(CHAT, &[("traceparent", &parent.header())], &chat_body(model, content)).await
    }

    /// The head of a streamed one, whose body is still flowing.
    pub(crate) async fn stream(&self, parent: &Parent, model: &str) -> http::Response<hyper::body::Incoming> {
        let mut body = chat_body(model, "What is 17 + 25?");
        body["stream"] = json!(true);
        let headers = [("content-type", "application/json"), ("traceparent", &parent.header())];
        self.client.open(http::Method::POST, CHAT, &headers, body.to_string().into()).await
    }

    /// The lines that say how requests ended, once there are so many.
    pub(crate) async fn access_lines(&self, count: usize) -> Vec<Value> {
        wait::until(&format!("{count} access lines"), || async {
            let lines = access_lines(&self.process.output());
            (lines.len() >= count).then_some(lines)
        })
        .await
    }
}

/// The access lines in an output.
pub(crate) fn access_lines(output: &str) -> Vec<Value> {
    let lines = output.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines.filter(|line| line["target"] == "tidegate::access").collect()
}

/// A client's own span.
pub(crate) struct Parent {
    pub(crate) trace: String,
    pub(crate) span: String,
}

impl Parent {
    /// A new trace.
    pub(crate) fn new() -> Self {
        let mut random = rand::rng();
        let (trace, span): (u128, u64) = (random.random(), random.random());
        Self { trace: format!("{trace:032x}"), span: format!("{span:016x}") }
    }

    /// Its `traceparent`, sampled.
    pub(crate) fn header(&self) -> String {
        format!("00-{}-{}-01", self.trace, self.span)
    }
}

/// The one span of this name.
pub(crate) fn only<'a>(spans: &'a [Span], name: &str) -> &'a Span {
    let mut found = spans.iter().filter(|span| span.name == name);
    let first = found.next();
    assert!(first.is_some() && found.next().is_none(), "one span {name} in {spans:#?}");
    first.unwrap()
}
