//! Every metric that Tidegate shows, named once, and the registries behind `GET /metrics`.
//!
//! Names and meanings follow vLLM's with the prefix `tidegate:`, so that dashboards and autoscalers made for vLLM need
//! only another prefix. The text is OpenMetrics 1.0, which Prometheus reads; serve it as [`CONTENT_TYPE`].
//!
//! 1. [`name`]: the names.
//! 2. [`label`]: the label sets; every label value comes from configuration or from Tidegate, never from a client.
//! 3. [`router`]: what a router counts.
//! 4. [`backend`]: what a backend counts.

pub mod backend;
pub mod bucket;
pub mod in_flight;
pub mod label;
pub mod name;
pub mod router;

pub use backend::{BackendMetrics, EngineSample};
pub use in_flight::InFlight;
pub use router::{PoolSample, RouterMetrics};

use prometheus_client::encoding::text;
use prometheus_client::registry::Registry;

/// The content type of what the `encode` methods return.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The registry as OpenMetrics text.
fn encode(registry: &Registry) -> String {
    let mut out = String::new();
    // Writing into a String fails only if a metric's own encoding does; what was written up to there is still true.
    if text::encode(&mut out, registry).is_err() {
        tracing::error!("a metric could not be encoded");
    }
    out
}
