//! Spans really leave: a local HTTP server takes what the exporter sends, decodes the protobuf and looks inside.
#![expect(clippy::unwrap_used, reason = "a scene that cannot be set up fails the test")]

use std::convert::Infallible;
use std::time::Duration;

use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use tidegate_telemetry::environment::Environment;
use tidegate_telemetry::start::assemble;
use tidegate_telemetry::{LogOptions, RequestScope, Span as RequestSpan, Telemetry};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tracing::{Dispatch, dispatcher, info_span};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CLIENT_SPAN: &str = "00f067aa0ba902b7";

/// What one export request carried.
struct Received {
    path: String,
    export: ExportTraceServiceRequest,
}

/// A server that accepts OTLP over HTTP/1 and, as gRPC, over HTTP/2 on the same port.
struct Collector {
    address: String,
    received: mpsc::Receiver<Received>,
}

impl Collector {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (sender, received) = mpsc::channel(16);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let sender = sender.clone();
                let service = service_fn(move |request| take(request, sender.clone()));
                tokio::spawn(async move {
                    let server = auto::Builder::new(TokioExecutor::new());
                    let _ = server.serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        Self { address, received }
    }

    async fn spans(&mut self) -> (Received, Vec<Span>) {
        let received =
            tokio::time::timeout(Duration::from_secs(10), self.received.recv()).await.unwrap().unwrap();
        let scopes = received.export.resource_spans.iter().flat_map(|resource| &resource.scope_spans);
        let spans = scopes.flat_map(|scope| scope.spans.clone()).collect();
        (received, spans)
    }
}

async fn take(
    request: Request<Incoming>,
    sender: mpsc::Sender<Received>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let path = request.uri().path().to_owned();
    let grpc = request.headers().get("content-type").is_some_and(|kind| kind == "application/grpc");
    let body = request.into_body().collect().await.unwrap().to_bytes();
    // A gRPC message has five bytes in front: compressed or not, and its length.
    let message = if grpc { body.slice(5..) } else { body };
    let export = ExportTraceServiceRequest::decode(message).unwrap();
    sender.send(Received { path, export }).await.unwrap();
    let answer = Response::builder().header("content-type", "application/x-protobuf");
    if grpc {
        let answer = answer.header("content-type", "application/grpc").header("grpc-status", "0");
        return Ok(answer.body(Full::new(Bytes::from_static(&[0; 5]))).unwrap());
    }
    Ok(answer.body(Full::default()).unwrap())
}

fn telemetry(variables: &[(&str, &str)]) -> (Dispatch, Telemetry) {
    let environment: Environment = variables.iter().copied().collect();
    let quiet = LogOptions { level: "error".to_owned(), ..LogOptions::default() };
    let (dispatch, telemetry, _) = assemble("tidegate-test", quiet, &environment).unwrap();
    (dispatch, telemetry)
}

/// A request as a client with its own trace sends it.
fn incoming() -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert("traceparent", format!("00-{TRACE}-{CLIENT_SPAN}-01").parse().unwrap());
    headers.insert("tracestate", "vendor=value".parse().unwrap());
    headers.insert("baggage", "tenant=blue".parse().unwrap());
    headers
}

/// One request through a server span and a client span; returns the headers for the next process.
fn one_request(headers: &HeaderMap) -> HeaderMap {
    let mut outgoing = HeaderMap::new();
    let open = || info_span!(target: "tidegate_test", "server", otel.kind = "server", answer = 42);
    let server = RequestScope::begin(headers, HeaderValue::from_static("mine"), open);
    server.enter(|| {
        let client = info_span!(target: "tidegate_test", "client", otel.kind = "client");
        RequestSpan::of(client).inject(&mut outgoing);
    });
    outgoing
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn text(headers: &HeaderMap, name: &str) -> String {
    headers.get(name).map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default()
}

/// Both spans arrived, in the client's trace, one below the other, and the next process is told of the lower one.
fn assert_one_trace(spans: &[Span], outgoing: &HeaderMap) {
    let named = |name: &str| spans.iter().find(|span| span.name == name).unwrap();
    let (server, client) = (named("server"), named("client"));
    assert_eq!(hex(&server.trace_id), TRACE);
    assert_eq!(hex(&client.trace_id), TRACE);
    assert_eq!(hex(&server.parent_span_id), CLIENT_SPAN);
    assert_eq!(client.parent_span_id, server.span_id);
    assert_eq!(text(outgoing, "traceparent"), format!("00-{TRACE}-{}-01", hex(&client.span_id)));
    assert_eq!(text(outgoing, "tracestate"), "vendor=value");
    assert_eq!(text(outgoing, "baggage"), "tenant=blue");
    assert!(server.attributes.iter().any(|attribute| attribute.key == "answer"));
}

#[tokio::test]
async fn spans_leave_over_http_with_trace_parent_and_resource() {
    let mut collector = Collector::start().await;
    let endpoint = format!("http://{}", collector.address);
    let (dispatch, telemetry) = telemetry(&[("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint)]);
    let outgoing = dispatcher::with_default(&dispatch, || one_request(&incoming()));
    tokio::task::spawn_blocking(move || telemetry.shutdown()).await.unwrap();

    let (received, spans) = collector.spans().await;
    assert_eq!(received.path, "/v1/traces");
    assert_one_trace(&spans, &outgoing);
    let resource = received.export.resource_spans[0].resource.clone().unwrap();
    let attribute = |key: &str| {
        let found = resource.attributes.iter().find(|attribute| attribute.key == key);
        found.and_then(|attribute| attribute.value.clone()?.value)
    };
    assert_eq!(attribute("service.name"), Some(Value::StringValue("tidegate-test".to_owned())));
    assert_eq!(attribute("service.version"), Some(Value::StringValue(env!("CARGO_PKG_VERSION").to_owned())));
    assert!(attribute("service.instance.id").is_some());
}

#[tokio::test]
async fn spans_leave_over_grpc() {
    let mut collector = Collector::start().await;
    let endpoint = format!("http://{}", collector.address);
    let variables = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ("OTEL_SERVICE_NAME", "edge"),
    ];
    let (dispatch, telemetry) = telemetry(&variables);
    let outgoing = dispatcher::with_default(&dispatch, || one_request(&incoming()));
    tokio::task::spawn_blocking(move || telemetry.shutdown()).await.unwrap();

    let (received, spans) = collector.spans().await;
    assert_eq!(received.path, "/opentelemetry.proto.collector.trace.v1.TraceService/Export");
    assert_one_trace(&spans, &outgoing);
    let resource = received.export.resource_spans[0].resource.clone().unwrap();
    let named = |value: &Value| matches!(value, Value::StringValue(name) if name == "edge");
    let mut values = resource.attributes.iter().filter(|attribute| attribute.key == "service.name");
    assert!(values.any(|attribute| named(attribute.value.as_ref().unwrap().value.as_ref().unwrap())));
}

#[tokio::test]
async fn a_level_that_hides_spans_from_the_log_does_not_cut_the_trace() {
    let variables = [("RUST_LOG", "off"), ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")];
    let (dispatch, _telemetry) = telemetry(&variables);
    dispatcher::with_default(&dispatch, || {
        assert!(text(&one_request(&incoming()), "traceparent").contains(TRACE));
    });
}

#[tokio::test]
async fn a_request_without_a_trace_starts_one_that_reaches_the_collector() {
    let mut collector = Collector::start().await;
    let endpoint = format!("http://{}/custom", collector.address);
    let (dispatch, telemetry) = telemetry(&[("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", &endpoint)]);
    let outgoing = dispatcher::with_default(&dispatch, || one_request(&HeaderMap::new()));
    tokio::task::spawn_blocking(move || telemetry.shutdown()).await.unwrap();
    let (received, spans) = collector.spans().await;
    assert_eq!(received.path, "/custom");
    assert_eq!(spans.len(), 2);
    assert!(text(&outgoing, "traceparent").contains(&hex(&spans[0].trace_id)));
}

#[tokio::test]
async fn a_collector_that_never_answers_holds_nothing_up() {
    // Accepts connections into its backlog and says nothing, which is worse than refusing them.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", silent.local_addr().unwrap());
    let (dispatch, telemetry) = telemetry(&[("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint)]);
    let started = tokio::time::Instant::now();
    dispatcher::with_default(&dispatch, || {
        // More than the queue holds, so that a queue that blocked when full would show.
        for _ in 0..5_000 {
            one_request(&incoming());
        }
    });
    assert!(started.elapsed() < Duration::from_secs(3), "requests waited: {:?}", started.elapsed());
    let ending = tokio::time::Instant::now();
    tokio::task::spawn_blocking(move || telemetry.shutdown()).await.unwrap();
    assert!(ending.elapsed() < Duration::from_secs(6), "shutdown hung: {:?}", ending.elapsed());
}

#[test]
fn telemetry_starts_and_ends_outside_a_runtime_too() {
    let (dispatch, telemetry) = telemetry(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")]);
    dispatcher::with_default(&dispatch, || one_request(&incoming()));
    telemetry.shutdown();
}
