//! Spans leave over OTLP on a thread of their own.
//!
//! A request only puts its finished spans into the SDK's bounded queue, which drops what does not fit; it never waits.
//! One thread with its own small runtime does all the talking to the collector. That thread has no tracing
//! subscriber, so what hyper, h2 and tonic say while they export can never become spans or log lines again. A batch that
//! the collector refuses for now is sent again by the exporter, with growing pauses, within its time
//! (`OTEL_EXPORTER_OTLP_TIMEOUT`); what is lost in the end is lost, since keeping it would be a queue without a limit.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry_otlp::{ExporterBuildError, SpanExporter as OtlpExporter, WithExportConfig};
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::resource::{EnvResourceDetector, Resource, TelemetryResourceDetector};
use opentelemetry_sdk::trace::{SdkTracerProvider, SpanData, SpanExporter};
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;
use tracing::dispatcher::{self, Dispatch};

use crate::environment::{Otlp, Protocol, Sampling};
use crate::sampling::{DrawnIds, decide_by};

/// How long [`Export::shutdown`] may take: what the collector has not taken by then is lost.
pub(crate) const FLUSH_LIMIT: Duration = Duration::from_secs(3);

/// The running pipeline from finished spans to the collector.
pub(crate) struct Export {
    pub(crate) provider: SdkTracerProvider,
    /// Ends the export thread when dropped.
    _thread: ExportThread,
}

impl Export {
    pub(crate) fn start(otlp: &Otlp, sampling: Sampling, resource: Resource) -> Result<Self, ExportError> {
        let thread = ExportThread::start()?;
        let exporter = ElsewhereExporter::new(otlp, &thread.handle)?;
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_sampler(sampling.sampler())
            .with_id_generator(DrawnIds::default())
            .with_resource(resource)
            .build();
        decide_by(sampling.sampler());
        Ok(Self { provider, _thread: thread })
    }

    /// Sends what is left and ends, within [`FLUSH_LIMIT`] even where the collector does not answer.
    pub(crate) fn shutdown(self) {
        if let Err(error) = self.provider.shutdown_with_timeout(FLUSH_LIMIT) {
            tracing::warn!(%error, "the last traces could not be sent");
        }
    }
}

/// Why no pipeline could be set up.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The operating system gave no thread or no event queue.
    #[error("the export thread did not start: {0}")]
    Thread(#[from] std::io::Error),
    /// An `OTEL_EXPORTER_OTLP_*` variable holds something that this build cannot do.
    #[error(transparent)]
    Exporter(#[from] ExporterBuildError),
}

/// Who says this: the service, its version, and this life of the process. The environment wins over the defaults.
pub(crate) fn resource(
    service_name: &'static str,
    instance_id: String,
    given_name: Option<&str>,
) -> Resource {
    let defaults = [
        KeyValue::new("service.name", service_name),
        KeyValue::new("service.namespace", "tidegate"),
        KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
        KeyValue::new("service.instance.id", instance_id),
    ];
    let builder = Resource::builder_empty()
        .with_attributes(defaults)
        .with_detector(Box::new(TelemetryResourceDetector))
        .with_detector(Box::new(EnvResourceDetector::new()));
    match given_name {
        Some(name) => builder.with_service_name(name.to_owned()).build(),
        None => builder.build(),
    }
}

/// A thread with a runtime on which only an exporter works.
pub(crate) struct ExportThread {
    pub(crate) handle: Handle,
    /// Dropping it wakes the thread to its end.
    _stop: oneshot::Sender<()>,
}

impl ExportThread {
    pub(crate) fn start() -> std::io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel::<()>();
        std::thread::Builder::new().name("tidegate-otlp".to_owned()).spawn(move || {
            let _silent = dispatcher::set_default(&Dispatch::none());
            // An error says that the sender is gone, which is the signal itself.
            let _ = runtime.block_on(stopped);
            runtime.shutdown_background();
        })?;
        Ok(Self { handle, _stop: stop })
    }
}

/// The OTLP exporter, driven on the export thread whoever calls it.
#[derive(Debug)]
struct ElsewhereExporter {
    inner: Arc<OtlpExporter>,
    handle: Handle,
    /// Whether the last export failed, so that an outage is said once and not every five seconds.
    failing: AtomicBool,
}

impl ElsewhereExporter {
    fn new(otlp: &Otlp, handle: &Handle) -> Result<Self, ExporterBuildError> {
        // tonic's channel belongs to the runtime in which it is made.
        let _entered = handle.enter();
        let endpoint = otlp.endpoint.clone();
        let inner = match otlp.protocol {
            Protocol::Grpc => OtlpExporter::builder().with_tonic().with_endpoint(endpoint).build()?,
            Protocol::HttpProtobuf => OtlpExporter::builder()
                .with_http()
                .with_protocol(opentelemetry_otlp::Protocol::HttpBinary)
                .with_endpoint(endpoint)
                .build()?,
        };
        Ok(Self { inner: Arc::new(inner), handle: handle.clone(), failing: AtomicBool::new(false) })
    }

    fn report(&self, result: &OTelSdkResult) {
        match result {
            Ok(()) => {
                if self.failing.swap(false, Ordering::Relaxed) {
                    tracing::info!("the collector takes traces again");
                }
            }
            Err(error) => {
                if !self.failing.swap(true, Ordering::Relaxed) {
                    tracing::warn!(%error, "the collector does not take traces; requests go on without");
                }
            }
        }
    }
}

impl SpanExporter for ElsewhereExporter {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let inner = Arc::clone(&self.inner);
        let sending = self.handle.spawn(async move { inner.export(batch).await });
        let ended = |error| Err(OTelSdkError::InternalFailure(format!("export ended early: {error}")));
        let result = sending.await.unwrap_or_else(ended);
        self.report(&result);
        result
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        // The SDK calls this once, before the first export, when nothing else holds the exporter.
        if let Some(inner) = Arc::get_mut(&mut self.inner) {
            inner.set_resource(resource);
        }
    }
}
