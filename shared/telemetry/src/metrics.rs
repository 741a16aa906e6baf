//! Every metric that Tidegate shows, named once, and the registries behind `GET /metrics`.
//!
//! Names and meanings follow vLLM's with the prefix `tidegate:`, so that dashboards and autoscalers made for vLLM need
//! only another prefix; `docs/metrics.md` has them all.
//!
//! 1. [`name`]: the names.
//! 2. `label`: the label sets; every label value comes from configuration or from Tidegate, never from a client, and `bound`
//!    keeps their number down.
//! 3. `router`: what a router counts, with `per_pool`, `ledger` and `account`.
//! 4. `backend`: what a backend counts, with `engine` and `gen_ai`.
//! 5. `exposition`: the text in the format that a scraper asks for; [`push`](mod@push): to a collector, over OTLP.

mod account;
mod backend;
mod bound;
mod bucket;
mod engine;
mod exemplar;
mod exposition;
mod gen_ai;
mod in_flight;
mod label;
mod ledger;
pub mod name;
mod per_pool;
mod process;
pub mod push;
mod router;

pub use account::{BackendSample, FleetSample, PoolSample};
pub use backend::{BackendMetrics, EngineSample, Served};
pub use bound::OTHER;
pub use engine::EngineMetrics;
pub use exemplar::TraceLabel;
pub use exposition::{Exposition, Format, MetricFamily, Sample};
pub use in_flight::{InFlight, WaitEnd, Waiting};
pub use ledger::{LedgerMetrics, Mended};
pub use router::{BackendError, RouterMetrics};

use prometheus_client::encoding::text;
use prometheus_client::registry::Registry;

/// The registries as one OpenMetrics text. No family may be in two of them.
fn encode(registries: &[&Registry]) -> String {
    let mut out = String::new();
    for registry in registries {
        // Writing into a String fails only if a metric's own encoding does; what was written up to there is still true.
        if text::encode_registry(&mut out, registry).is_err() {
            tracing::error!("a metric could not be encoded");
        }
    }
    out.push_str("# EOF\n");
    out
}
