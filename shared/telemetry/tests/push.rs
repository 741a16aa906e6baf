//! Metrics really leave: a local server takes what is pushed, decodes the protobuf and looks inside.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a scene that cannot be set up, and a push without what it should have, fail the test"
)]

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::metrics::v1::Metric;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value;
use opentelemetry_sdk::Resource;
use prost::Message;
use tidegate_telemetry::environment::{Environment, Push};
use tidegate_telemetry::metrics::RouterMetrics;
use tidegate_telemetry::metrics::push::{Pushing, Source};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

/// What one push carried.
struct Received {
    path: String,
    headers: HeaderMap,
    export: ExportMetricsServiceRequest,
}

impl Received {
    fn metric(&self, name: &str) -> &Metric {
        let scopes = self.export.resource_metrics.iter().flat_map(|resource| &resource.scope_metrics);
        let mut metrics = scopes.flat_map(|scope| &scope.metrics);
        metrics.find(|metric| metric.name == name).unwrap_or_else(|| panic!("{name} was not pushed"))
    }

    /// The value of a counter without labels but its pool.
    fn total(&self, name: &str) -> i64 {
        let metric = self.metric(name);
        let Some(Data::Sum(sum)) = &metric.data else { panic!("{metric:?}") };
        match sum.data_points[0].value {
            Some(Value::AsInt(total)) => total,
            other => panic!("{other:?}"),
        }
    }
}

/// Takes OTLP over HTTP/1 and, as gRPC, over HTTP/2 on the same port.
async fn take(listener: TcpListener, sender: mpsc::Sender<Received>) {
    while let Ok((stream, _)) = listener.accept().await {
        let sender = sender.clone();
        let service = service_fn(move |request| answer(request, sender.clone()));
        tokio::spawn(async move {
            let server = auto::Builder::new(TokioExecutor::new());
            let _ = server.serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn answer(
    request: Request<Incoming>,
    sender: mpsc::Sender<Received>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (parts, body) = request.into_parts();
    let grpc = parts.headers.get("content-type").is_some_and(|kind| kind == "application/grpc");
    let body = body.collect().await.unwrap().to_bytes();
    // A gRPC message has five bytes in front: compressed or not, and its length.
    let message = if grpc { body.slice(5..) } else { body };
    let export = ExportMetricsServiceRequest::decode(message).unwrap();
    // A test that has seen enough takes no more.
    let received = Received { path: parts.uri.path().to_owned(), headers: parts.headers, export };
    let _ = sender.send(received).await;
    let answer = Response::builder();
    if grpc {
        let answer = answer.header("content-type", "application/grpc").header("grpc-status", "0");
        return Ok(answer.body(Full::new(Bytes::from_static(&[0; 5]))).unwrap());
    }
    Ok(answer.header("content-type", "application/x-protobuf").body(Full::default()).unwrap())
}

/// Pushes a router's metrics to `endpoint`, as these variables ask for it.
fn push(metrics: &Arc<RouterMetrics>, endpoint: &str, more: &[(&str, &str)]) -> Pushing {
    let given = [("OTEL_METRICS_EXPORTER", "otlp"), ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)];
    let environment: Environment = given.iter().chain(more).copied().collect();
    let push = Push::read(&environment, &mut Vec::new()).unwrap().unwrap();
    let metrics = Arc::clone(metrics);
    let source: Source = Arc::new(move || Box::pin(std::future::ready(metrics.encode())));
    Pushing::begin(push, Resource::builder().with_service_name("edge").build(), source).unwrap()
}

async fn next(received: &mut mpsc::Receiver<Received>) -> Received {
    tokio::time::timeout(Duration::from_secs(20), received.recv()).await.unwrap().unwrap()
}

async fn metrics_arrive(more: &[(&str, &str)], path: &str) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let (sender, mut received) = mpsc::channel(16);
    tokio::spawn(take(listener, sender));
    let metrics = Arc::new(RouterMetrics::new());
    let often = [("OTEL_METRIC_EXPORT_INTERVAL", "50"), ("OTEL_EXPORTER_OTLP_HEADERS", "x-key=a%20b")];
    let variables: Vec<_> = often.iter().chain(more).copied().collect();
    metrics.resent("m", "unreachable");
    let pushing = push(&metrics, &endpoint, &variables);

    let first = next(&mut received).await;
    assert_eq!((first.path.as_str(), first.total("tidegate:backend_resends")), (path, 1));
    assert_eq!(first.headers.get("x-key").unwrap(), "a b");
    let resource = first.export.resource_metrics[0].resource.as_ref().unwrap();
    assert!(format!("{resource:?}").contains("edge"), "{resource:?}");

    metrics.resent("m", "unreachable");
    while next(&mut received).await.total("tidegate:backend_resends") < 2 {}
    metrics.resent("m", "unreachable");
    let finished = tokio::spawn(pushing.finish());
    while next(&mut received).await.total("tidegate:backend_resends") < 3 {}
    finished.await.unwrap();
}

#[tokio::test]
async fn metrics_arrive_over_http_again_and_again_and_at_the_end() {
    metrics_arrive(&[], "/v1/metrics").await;
}

#[tokio::test]
async fn metrics_arrive_over_grpc() {
    let path = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export";
    metrics_arrive(&[("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")], path).await;
}

#[tokio::test]
async fn a_collector_that_breaks_off_loses_nothing() {
    for protocol in ["http/protobuf", "grpc"] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let metrics = Arc::new(RouterMetrics::new());
        metrics.resent("m", "unreachable");
        let often = ("OTEL_METRIC_EXPORT_INTERVAL", "20");
        let pushing = push(&metrics, &endpoint, &[often, ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)]);
        drop(listener.accept().await.unwrap());
        let (sender, mut received) = mpsc::channel(16);
        tokio::spawn(take(listener, sender));
        assert_eq!(next(&mut received).await.total("tidegate:backend_resends"), 1, "{protocol}");
        pushing.finish().await;
    }
}

#[tokio::test]
async fn a_collector_that_says_nothing_does_not_keep_the_process() {
    for protocol in ["http/protobuf", "grpc"] {
        // Accepts connections into its backlog and says nothing, which is worse than refusing them.
        let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", silent.local_addr().unwrap());
        let patient = ("OTEL_EXPORTER_OTLP_TIMEOUT", "3600000");
        let metrics = Arc::new(RouterMetrics::new());
        let pushing = push(&metrics, &endpoint, &[patient, ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)]);
        tokio::time::timeout(Duration::from_secs(30), pushing.finish()).await.unwrap();
    }
}
