//! `GET /metrics`: what this router counts, with the fleet as it stands at the moment of the scrape; and the embedded backend's
//! part, where there is one, since nobody else can ask it.

use crate::ledger::{BackendState, Fleet, FleetBackend, FleetPool, LedgerMode};
use crate::roster::Roster;
use crate::shared::Shared;
use crate::upstream::EMBEDDED_URL;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use futures_util::future::BoxFuture;
use http::{HeaderMap, Request, header};
use http_body_util::BodyExt;
use std::sync::Arc;
use std::time::Duration;
use tidegate_telemetry::metrics::push::{self, Pushing};
use tidegate_telemetry::metrics::{BackendSample, Exposition, FleetSample, Format, PoolSample};

/// All metrics, in the format that the scraper asks for.
pub(crate) async fn metrics(State(shared): State<Shared>, headers: HeaderMap) -> Response {
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    let format = Format::accepted(accept);
    let (own, embedded) = scrape(&shared).await;
    let mut text = Exposition::read(&own);
    text.join(Exposition::read(&embedded));
    ([(header::CONTENT_TYPE, format.content_type())], text.write(format)).into_response()
}

/// Pushes the same to a collector where the environment asks for it.
pub(crate) fn push(shared: Shared) -> anyhow::Result<Option<Pushing>> {
    let source = move || -> BoxFuture<'static, String> {
        let shared = shared.clone();
        Box::pin(async move {
            let (own, embedded) = scrape(&shared).await;
            let mut text = Exposition::read(&own);
            text.join(Exposition::read(&embedded));
            text.write(Format::OpenMetrics)
        })
    };
    Ok(push::push(Arc::new(source))?)
}

/// This router's OpenMetrics text, and the embedded backend's; the latter is empty where there is none.
async fn scrape(shared: &Shared) -> (String, String) {
    let sample = sample(&*shared.fleet.look().await, &shared.desk.roster);
    shared.metrics.set_fleet(sample);
    (shared.metrics.encode(), embedded(shared).await.unwrap_or_default())
}

/// What the backend in this process says of itself.
async fn embedded(shared: &Shared) -> Option<String> {
    let open = Format::OpenMetrics.content_type();
    let request = Request::get("/metrics").header(header::ACCEPT, open).body(Body::empty()).ok()?;
    let response = shared.upstream.send(EMBEDDED_URL, false, Box::new(request)).await.ok()?;
    let text = response.into_body().collect().await.ok()?.to_bytes();
    String::from_utf8(text.to_vec()).ok()
}

fn sample(fleet: &Fleet, roster: &Roster) -> FleetSample {
    FleetSample {
        degraded: fleet.ledger == LedgerMode::Degraded,
        routers: fleet.routers.len(),
        flag_sets: fleet.flag_sets().len(),
        pools: fleet.pools.iter().map(|of| pool(of, roster)).collect(),
    }
}

fn pool(pool: &FleetPool, roster: &Roster) -> PoolSample {
    PoolSample {
        pool: pool.model.clone(),
        slots: pool.slots,
        running: pool.running,
        abandoned: pool.abandoned,
        queued: pool.queued,
        queue_limit: pool.max_queue_size,
        capacity: pool.capacity,
        rejection_probability: pool.rejection_probability,
        drain_per_s: pool.drain_per_s,
        oldest_wait: Duration::from_millis(pool.oldest_wait_ms),
        desired_backends: pool.desired_backends,
        backends: pool.backends.iter().map(|of| backend(of, roster)).collect(),
    }
}

fn backend(backend: &FleetBackend, roster: &Roster) -> BackendSample {
    let on_account = backend.state.as_str();
    let left_out = (backend.state != BackendState::Gone).then(|| roster.left_out(&backend.id)).flatten();
    BackendSample {
        id: backend.id.clone(),
        state: left_out.unwrap_or(on_account),
        slots: backend.slots,
        running: backend.running,
        abandoned: backend.abandoned,
    }
}
