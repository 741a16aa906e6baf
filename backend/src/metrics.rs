//! `GET /metrics`: what this backend counts, with the engine as it stands at the moment of the scrape.

use crate::node::Backend;
use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, header};
use tidegate_telemetry::metrics::{CONTENT_TYPE, EngineSample};

/// All metrics as text.
pub(crate) async fn metrics(State(backend): State<Backend>) -> Response {
    backend.metrics().set_engine(&sample(&backend));
    ([(header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE))], backend.metrics().encode())
        .into_response()
}

fn sample(backend: &Backend) -> EngineSample {
    let stats = backend.engine().stats();
    EngineSample {
        running: stats.running as u64,
        waiting: stats.waiting as u64,
        abandoned: u64::from(backend.slots().counts().abandoned),
        cache_usage: stats.cache_blocks_used as f64 / stats.cache_blocks_total.max(1) as f64,
        prompt_tokens: stats.prompt_tokens,
        generation_tokens: stats.generated_tokens,
        prefix_queries: stats.prompt_tokens,
        prefix_hits: stats.cached_tokens,
        preemptions: stats.preemptions,
        steps: stats.steps,
    }
}
