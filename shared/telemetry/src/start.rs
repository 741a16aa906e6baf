//! Puts logs, traces and propagation in place, once per process, and takes them down again.

use opentelemetry::global;
use opentelemetry::trace::TracerProvider as _;
use thiserror::Error;
use tracing::Level;
use tracing::dispatcher::{self, Dispatch};
use tracing::level_filters::LevelFilter;
use tracing_opentelemetry::OpenTelemetryLayer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::{Layer, Registry};

use crate::environment::{EndpointError, Environment, Settings};
use crate::export::{self, Export, ExportError};
use crate::log::{self, BoxLayer, LogOptions};
use crate::metrics;
use crate::propagation;

/// The running telemetry of this process. Keep it until the end, then call [`shutdown`](Self::shutdown).
pub struct Telemetry {
    /// None where no collector is named: there is nothing to flush.
    export: Option<Export>,
}

impl Telemetry {
    /// Sends the spans that are still queued, in at most three seconds. Blocks the calling thread meanwhile.
    pub fn shutdown(self) {
        if let Some(export) = self.export {
            export.shutdown();
        }
    }
}

/// Why telemetry could not start. All of these are configuration faults, to be said before anything serves.
#[derive(Debug, Error)]
pub enum TelemetryError {
    /// The collector's address cannot work.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// The exporter could not be made.
    #[error("OpenTelemetry export: {0}")]
    Export(#[from] ExportError),
    /// `--log-level` or `RUST_LOG` is not a filter.
    #[error("log level: {0}")]
    LogLevel(#[from] tracing_subscriber::filter::ParseError),
    /// This process has a subscriber already.
    #[error("logging is already set up in this process")]
    AlreadySet(#[from] dispatcher::SetGlobalDefaultError),
}

/// Sets up this process: logs as `log` says, traces and propagation as the `OTEL_*` variables say.
///
/// `service_name` is the `service.name` that traces carry unless the environment gives another.
///
/// # Errors
/// See [`TelemetryError`]; an absent collector is none.
pub fn init(service_name: &'static str, log: LogOptions) -> Result<Telemetry, TelemetryError> {
    let environment = Environment::of_process();
    let (dispatch, telemetry, warnings) = assemble(service_name, log, &environment)?;
    dispatcher::set_global_default(dispatch)?;
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    Ok(telemetry)
}

/// Everything that [`init`] does but making it the process's default, with the environment as an argument.
/// Propagation, which OpenTelemetry keeps per process, is set all the same. The last part is what to warn of.
///
/// # Errors
/// As [`init`].
pub fn assemble(
    service_name: &'static str,
    log: LogOptions,
    environment: &Environment,
) -> Result<(Dispatch, Telemetry, Vec<String>), TelemetryError> {
    let settings = Settings::read(environment)?;
    let lines = log::layer(log, environment)?;
    let resource =
        || export::resource(service_name, uuid::Uuid::new_v4().to_string(), settings.service_name.as_deref());
    let export = settings.otlp.as_ref();
    let export = export.map(|otlp| Export::start(otlp, settings.sampling, resource())).transpose()?;
    if let Some(push) = settings.push {
        metrics::push::ask(push, resource());
    }
    global::set_text_map_propagator(propagation::composite(&settings.propagators));
    let layers = export.as_ref().map(span_layer).into_iter().chain([lines]);
    let subscriber = Registry::default().with(layers.collect::<Vec<_>>());
    Ok((Dispatch::new(subscriber), Telemetry { export }, settings.warnings))
}

/// The layer that turns Tidegate's own spans into OpenTelemetry's.
///
/// Without an exporter there is none, so that no span is made: span ids that nobody will ever see would leave the next process
/// with a parent that does not exist.
fn span_layer(export: &Export) -> BoxLayer {
    let own_spans = Targets::new()
        .with_target("tidegate", Level::INFO)
        .with_target(log::ACCESS, LevelFilter::OFF)
        .with_target(log::CONTENT, LevelFilter::OFF);
    lean(OpenTelemetryLayer::new(export.provider.tracer("tidegate"))).with_filter(own_spans).boxed()
}

/// Leaves out what costs time in every span and tells an operator nothing: source lines, thread names, idle times.
fn lean<T>(layer: OpenTelemetryLayer<Registry, T>) -> OpenTelemetryLayer<Registry, T>
where
    T: opentelemetry::trace::Tracer + 'static,
    T::Span: Send + Sync,
{
    layer
        .with_location(false)
        .with_threads(false)
        .with_target(false)
        .with_tracked_inactivity(false)
        .with_context_activation(false)
}
