//! `GET /metrics`: what this backend counts, with the engine as it stands at the moment of the scrape, in the format that the
//! scraper asks for.

use crate::node::Backend;
use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use futures_util::future::{BoxFuture, FutureExt, ready};
use http::{HeaderMap, HeaderValue, header};
use std::sync::Arc;
use tidegate_telemetry::metrics::push::{self, Pushing};
use tidegate_telemetry::metrics::{EngineSample, Exposition, Format};

/// All metrics as text.
pub(crate) async fn metrics(State(backend): State<Backend>, headers: HeaderMap) -> Response {
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    let format = Format::accepted(accept);
    let text = scrape(&backend);
    let content_type = HeaderValue::from_static(format.content_type());
    ([(header::CONTENT_TYPE, content_type)], Exposition::read(&text).write(format)).into_response()
}

/// Pushes the same to a collector where the environment asks for it.
pub(crate) fn push(backend: &Backend) -> anyhow::Result<Option<Pushing>> {
    let backend = backend.clone();
    let source = move || -> BoxFuture<'static, String> { ready(scrape(&backend)).boxed() };
    Ok(push::push(Arc::new(source))?)
}

/// All metrics as OpenMetrics text.
fn scrape(backend: &Backend) -> String {
    backend.metrics().set_engine(&sample(backend));
    backend.metrics().encode()
}

fn sample(backend: &Backend) -> EngineSample {
    let stats = backend.engine().stats();
    EngineSample {
        running: stats.running as u64,
        waiting: stats.waiting as u64,
        abandoned: u64::from(backend.slots().counts().abandoned),
        slots: u64::from(backend.slots().capacity()),
        cache_usage: stats.cache_blocks_used as f64 / stats.cache_blocks_total.max(1) as f64,
        since_step: stats.since_last_step.unwrap_or_default(),
        prompt_tokens: stats.prompt_tokens,
        generation_tokens: stats.generated_tokens,
        prefix_queries: stats.prompt_tokens,
        prefix_hits: stats.cached_tokens,
        preemptions: stats.preemptions,
        steps: stats.steps,
        finished: stats.finished,
        cancelled: stats.cancelled,
        failed: stats.failed,
        timed_out: stats.timed_out,
    }
}
