//! Histogram buckets, in seconds.

use prometheus_client::metrics::histogram::Histogram;

/// Waiting and answering: from 1 ms to two minutes, as OpenTelemetry's GenAI conventions and vLLM cut them.
const REQUEST: [f64; 16] =
    [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 40.0, 60.0, 120.0];
/// One token, or one round trip on a local network.
const SHORT: [f64; 12] = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0];

/// For anything that a client waits for.
pub(super) fn request() -> Histogram {
    Histogram::new(REQUEST)
}

/// For what happens many times within a request.
pub(super) fn short() -> Histogram {
    Histogram::new(SHORT)
}
