//! An OTLP collector: takes traces over gRPC and over HTTP/protobuf on one port, and can be told to misbehave.

use crate::wait;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value::Value as Any};
use opentelemetry_proto::tonic::trace::v1 as otlp;
use prost::Message;
use serde_json::{Map, Value, json};
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard};
use tokio::net::TcpListener;

/// Values of `SpanKind` in OTLP's `trace.proto`.
pub const INTERNAL: i32 = 1;
/// As [`INTERNAL`].
pub const SERVER: i32 = 2;
/// As [`INTERNAL`].
pub const CLIENT: i32 = 3;
/// `STATUS_CODE_ERROR` in OTLP's `trace.proto`.
pub const ERROR: i32 = 2;

/// What it does with an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// Takes it.
    Take,
    /// Takes it and keeps nothing but the number of its spans.
    Count,
    /// Answers that it cannot take it now: 503, or UNAVAILABLE in gRPC.
    Unavailable,
    /// Never answers.
    Silent,
}

/// One span as it arrived.
#[derive(Debug, Clone)]
pub struct Span {
    /// `service.name` of the process that sent it.
    pub service: String,
    /// Its name.
    pub name: String,
    /// [`SERVER`], [`CLIENT`] or [`INTERNAL`].
    pub kind: i32,
    /// 32 hex digits.
    pub trace: String,
    /// 16 hex digits.
    pub id: String,
    /// The same of its parent; empty for none.
    pub parent: String,
    /// Nanoseconds since 1970.
    pub start: u64,
    /// The same.
    pub end: u64,
    /// Its attributes.
    pub attributes: Map<String, Value>,
    /// Names and attributes of its events.
    pub events: Vec<(String, Map<String, Value>)>,
    /// [`ERROR`], or less.
    pub status: i32,
}

impl Span {
    /// An attribute; null where it is missing.
    pub fn get(&self, name: &str) -> &Value {
        self.attributes.get(name).unwrap_or(&Value::Null)
    }

    /// A number.
    pub fn number(&self, name: &str) -> f64 {
        self.get(name).as_f64().unwrap_or_else(|| panic!("{name} is no number in {self:?}"))
    }

    /// How long it took.
    pub fn milliseconds(&self) -> f64 {
        (self.end - self.start) as f64 / 1e6
    }

    /// True where it lies within `outer`, on one machine's clock.
    pub fn is_within(&self, outer: &Span) -> bool {
        outer.start <= self.start && self.start <= self.end && self.end <= outer.end
    }
}

#[derive(Debug)]
struct State {
    manner: Manner,
    /// How often the manner applies before everything is taken; `None` for ever.
    times: Option<u32>,
    exports: u32,
    counted: u64,
    spans: Vec<Span>,
    paths: Vec<String>,
}

/// A running collector. It ends with the test's runtime.
#[derive(Debug, Clone)]
pub struct Collector {
    /// Its base URL, for `OTEL_EXPORTER_OTLP_ENDPOINT`.
    pub url: String,
    state: Arc<Mutex<State>>,
}

impl Collector {
    /// One that takes everything.
    pub async fn start() -> Self {
        Self::with(Manner::Take, None).await
    }

    /// One that behaves like this so many times, or for ever, and takes everything from then on.
    pub async fn with(manner: Manner, times: Option<u32>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let state = State { manner, times, exports: 0, counted: 0, spans: Vec::new(), paths: Vec::new() };
        let collector = Self { url, state: Arc::new(Mutex::new(state)) };
        let serving = collector.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let collector = serving.clone();
                let service = service_fn(move |request| collector.clone().answer(request));
                tokio::spawn(async move {
                    let server = auto::Builder::new(TokioExecutor::new());
                    // A sender that hangs up is no matter of the collector.
                    let _ = server.serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        collector
    }

    /// Everything that has arrived.
    pub fn spans(&self) -> Vec<Span> {
        self.state().spans.clone()
    }

    /// Exports that were sent, taken or not.
    pub fn exports(&self) -> u32 {
        self.state().exports
    }

    /// Spans that were taken.
    pub fn counted(&self) -> u64 {
        self.state().counted
    }

    /// Paths that were sent to, in order.
    pub fn paths(&self) -> Vec<String> {
        self.state().paths.clone()
    }

    /// The spans of a trace, in the order of their starts, once so many have arrived.
    pub async fn trace(&self, trace: &str, count: usize) -> Vec<Span> {
        let mut spans = wait::until(&format!("{count} spans of {trace}"), || async {
            let found: Vec<Span> = self.spans().into_iter().filter(|span| span.trace == trace).collect();
            (found.len() >= count).then_some(found)
        })
        .await;
        spans.sort_by_key(|span| span.start);
        spans
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// How this export is to be answered.
    fn manner(&self, path: String) -> Manner {
        let mut state = self.state();
        state.exports += 1;
        if state.manner != Manner::Count {
            state.paths.push(path);
        }
        match &mut state.times {
            Some(0) => Manner::Take,
            Some(times) => {
                *times -= 1;
                state.manner
            }
            None => state.manner,
        }
    }

    async fn answer(self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
        let path = request.uri().path().to_owned();
        let grpc = request.headers().get("content-type").is_some_and(|kind| kind == "application/grpc");
        let Ok(body) = request.into_body().collect().await else { return Ok(Response::default()) };
        let manner = self.manner(path);
        match manner {
            Manner::Silent => std::future::pending::<()>().await,
            Manner::Unavailable => return Ok(answer(grpc, StatusCode::SERVICE_UNAVAILABLE, "14")),
            Manner::Take | Manner::Count => {}
        }
        let body = body.to_bytes();
        // A gRPC message has five bytes in front: compressed or not, and its length.
        let message = if grpc { body.slice(5..) } else { body };
        let export = ExportTraceServiceRequest::decode(message).unwrap();
        let mut state = self.state();
        state.counted += count(&export);
        if manner == Manner::Take {
            state.spans.extend(spans(export));
        }
        Ok(answer(grpc, StatusCode::OK, "0"))
    }
}

fn answer(grpc: bool, status: StatusCode, code: &'static str) -> Response<Full<Bytes>> {
    let answer = Response::builder();
    if !grpc {
        return answer
            .status(status)
            .header("content-type", "application/x-protobuf")
            .body(Full::default())
            .unwrap();
    }
    let answer = answer.header("content-type", "application/grpc").header("grpc-status", code);
    let empty: &[u8] = if code == "0" { &[0; 5] } else { &[] };
    answer.body(Full::new(Bytes::from_static(empty))).unwrap()
}

fn count(export: &ExportTraceServiceRequest) -> u64 {
    let scopes = export.resource_spans.iter().flat_map(|resource| &resource.scope_spans);
    scopes.map(|scope| scope.spans.len() as u64).sum()
}

fn spans(export: ExportTraceServiceRequest) -> Vec<Span> {
    let mut found = Vec::new();
    for resource in export.resource_spans {
        let known = attributes(resource.resource.map(|resource| resource.attributes).unwrap_or_default());
        let service = known.get("service.name").and_then(Value::as_str).unwrap_or_default();
        let spans = resource.scope_spans.into_iter().flat_map(|scope| scope.spans);
        found.extend(spans.map(|span| read(service, span)));
    }
    found
}

fn read(service: &str, span: otlp::Span) -> Span {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let events = span.events.into_iter().map(|event| (event.name, attributes(event.attributes)));
    Span {
        service: service.to_owned(),
        name: span.name,
        kind: span.kind,
        trace: hex(&span.trace_id),
        id: hex(&span.span_id),
        parent: hex(&span.parent_span_id),
        start: span.start_time_unix_nano,
        end: span.end_time_unix_nano,
        attributes: attributes(span.attributes),
        events: events.collect(),
        status: span.status.map_or(0, |status| status.code),
    }
}

fn attributes(given: Vec<KeyValue>) -> Map<String, Value> {
    given
        .into_iter()
        .map(|each| (each.key, each.value.and_then(|any| any.value).map_or(Value::Null, value)))
        .collect()
}

fn value(any: Any) -> Value {
    match any {
        Any::StringValue(text) => text.into(),
        Any::BoolValue(truth) => truth.into(),
        Any::IntValue(number) => number.into(),
        Any::DoubleValue(number) => json!(number),
        other => json!(format!("{other:?}")),
    }
}
