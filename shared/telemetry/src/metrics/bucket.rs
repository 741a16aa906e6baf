//! Histogram buckets: seconds, tokens, sequences.

use prometheus_client::metrics::exemplar::HistogramWithExemplars;
use prometheus_client::metrics::histogram::Histogram;

use super::exemplar::TraceLabel;

/// A histogram whose buckets may carry the trace of one request each.
pub(super) type Traced = HistogramWithExemplars<TraceLabel>;

/// Waiting and answering: from 1 ms to ten minutes.
const REQUEST: [f64; 18] = [
    0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 40.0, 60.0, 120.0, 300.0,
    600.0,
];
/// One token, one step, or one round trip on a local network.
const SHORT: [f64; 14] =
    [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5];
/// Tokens of a text or of a step: powers of two.
const TOKENS: [f64; 16] = [
    1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0, 2048.0, 4096.0, 8192.0, 32768.0,
    131_072.0,
];
/// Sequences that run together.
const SEQUENCES: [f64; 9] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0];
/// `gen_ai.server.request.duration`: OpenTelemetry's semantic conventions for GenAI metrics advise these buckets and the two
/// below.
const GEN_AI_DURATION: [f64; 14] =
    [0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92];
/// `gen_ai.server.time_to_first_token`.
const GEN_AI_FIRST_TOKEN: [f64; 16] =
    [0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];
/// `gen_ai.server.time_per_output_token`.
const GEN_AI_PER_TOKEN: [f64; 13] = [0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5];

/// For anything that a client waits for.
pub(super) fn request() -> Histogram {
    Histogram::new(REQUEST)
}

/// For what happens many times within a request.
pub(super) fn short() -> Histogram {
    Histogram::new(SHORT)
}

/// For counts of tokens.
pub(super) fn tokens() -> Histogram {
    Histogram::new(TOKENS)
}

/// For counts of sequences.
pub(super) fn sequences() -> Histogram {
    Histogram::new(SEQUENCES)
}

/// As [`request`], with exemplars.
pub(super) fn traced_request() -> Traced {
    Traced::new(REQUEST.into_iter())
}

/// As [`short`], with exemplars.
pub(super) fn traced_short() -> Traced {
    Traced::new(SHORT.into_iter())
}

/// For `gen_ai.server.request.duration`.
pub(super) fn gen_ai_duration() -> Traced {
    Traced::new(GEN_AI_DURATION.into_iter())
}

/// For `gen_ai.server.time_to_first_token`.
pub(super) fn gen_ai_first_token() -> Traced {
    Traced::new(GEN_AI_FIRST_TOKEN.into_iter())
}

/// For `gen_ai.server.time_per_output_token`.
pub(super) fn gen_ai_per_token() -> Traced {
    Traced::new(GEN_AI_PER_TOKEN.into_iter())
}
