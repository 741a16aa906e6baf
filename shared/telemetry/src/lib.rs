//! Tidegate's telemetry: what both binaries say about themselves, and the thread that ties one request together.
//!
//! Reading order:
//!
//! 1. [`start`](mod@start): [`init`] puts logs, traces and propagation in place once per process; [`Telemetry`] ends them.
//! 2. [`environment`]: which `OTEL_*` variables are in force, as a pure function over a map of variables.
//! 3. [`log`]: how a log line looks and which lines are written.
//! 4. [`export`]: spans leave over OTLP on a thread of their own, so that no request ever waits for a collector.
//! 5. [`propagation`]: `traceparent`, `tracestate` and `baggage`, in and out.
//! 6. [`scope`]: the request that work is done for; `sampling`: whether it is traced; [`span`]: what its spans are told.
//! 7. [`metrics`]: every metric's name, once, and the registries of router and backend.
//!
//! Where a collector is named, spans that Tidegate's crates open at level INFO or above become OpenTelemetry spans, whatever the
//! log level is: propagation hangs on them. Spans of libraries (hyper, tower) do not.

pub mod environment;
pub mod export;
pub mod log;
pub mod metrics;
pub mod propagation;
mod sampling;
pub mod scope;
pub mod span;
pub mod start;

pub use log::{LogFormat, LogOptions};
pub use opentelemetry::KeyValue;
pub use scope::RequestScope;
pub use span::Span;
pub use start::{Telemetry, TelemetryError, init};
