//! One push over the wire: gRPC by the generated client, or protobuf over HTTP.

use std::time::Duration;

use http::{HeaderName, HeaderValue, Request, header};
use opentelemetry_http::hyper::HyperClient;
use opentelemetry_http::{Bytes, HttpClient};
use opentelemetry_otlp::ExporterBuildError;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_client::MetricsServiceClient;
use prost::Message;
use tokio::runtime::Handle;
use tonic::metadata::MetadataMap;
use tonic::transport::{Channel, Endpoint};

use crate::environment::{Protocol, Push};

/// Silence after which a connection is asked whether it lives.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// A connection to the collector, made when it is first used. Clones share it.
#[derive(Debug, Clone)]
pub(super) enum Sender {
    /// OTLP over gRPC.
    Grpc { client: MetricsServiceClient<Channel>, metadata: MetadataMap, timeout: Duration },
    /// OTLP over HTTP.
    Http { client: HyperClient, endpoint: String, headers: Vec<(HeaderName, HeaderValue)> },
}

impl Sender {
    /// A connection that lives on the runtime of `handle`.
    pub(super) fn new(push: &Push, handle: &Handle) -> Result<Self, ExporterBuildError> {
        let _entered = handle.enter();
        let (endpoint, timeout, headers) = (push.otlp.endpoint.clone(), push.timeout, push.headers.clone());
        if push.otlp.protocol == Protocol::HttpProtobuf {
            let client = HyperClient::with_default_connector(timeout, None);
            return Ok(Self::Http { client, endpoint, headers });
        }
        let invalid = |error| ExporterBuildError::InvalidConfiguration(format!("{endpoint}: {error}"));
        let channel = Endpoint::from_shared(endpoint.clone()).map_err(invalid)?;
        // A connection that has died without a word is given up, and the next push makes another.
        let channel = channel.connect_timeout(timeout).http2_keep_alive_interval(KEEP_ALIVE).connect_lazy();
        let metadata = MetadataMap::from_headers(headers.into_iter().collect());
        Ok(Self::Grpc { client: MetricsServiceClient::new(channel), metadata, timeout })
    }

    /// Sends one request.
    ///
    /// # Errors
    /// In words: the collector is away, or refuses.
    pub(super) async fn send(&mut self, request: ExportMetricsServiceRequest) -> Result<(), String> {
        match self {
            Self::Grpc { client, metadata, timeout } => {
                let mut request = tonic::Request::new(request);
                *request.metadata_mut() = metadata.clone();
                request.set_timeout(*timeout);
                client.export(request).await.map(drop).map_err(|status| status.to_string())
            }
            Self::Http { client, endpoint, headers } => {
                let request = post(endpoint, headers, request.encode_to_vec())?;
                let answer = client.send_bytes(request).await.map_err(|error| error.to_string())?;
                let status = answer.status();
                if status.is_success() { Ok(()) } else { Err(format!("the collector answers {status}")) }
            }
        }
    }
}

fn post(
    endpoint: &str,
    headers: &[(HeaderName, HeaderValue)],
    body: Vec<u8>,
) -> Result<Request<Bytes>, String> {
    let mut request = Request::post(endpoint).body(Bytes::from(body)).map_err(|error| error.to_string())?;
    request.headers_mut().extend(headers.iter().cloned());
    let protobuf = HeaderValue::from_static("application/x-protobuf");
    request.headers_mut().insert(header::CONTENT_TYPE, protobuf);
    Ok(request)
}
