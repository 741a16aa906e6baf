//! The paths for operators on the admin port: what the ledger holds, and what load balancers ask.

use crate::ledger::{Fleet, FleetPool, LedgerMode, OnLoss};
use crate::shared::Shared;
use axum::extract::State;
use axum::response::{IntoResponse, Json, Response};
use axum::routing::get;
use http::{StatusCode, header};
use serde_json::{Value, json};
use std::time::Duration;
use tidegate_telemetry::metrics::{CONTENT_TYPE, PoolSample};

/// All paths for operators.
pub fn admin_paths(shared: Shared) -> axum::Router {
    let app = axum::Router::new()
        .route("/fleet", get(fleet))
        .route("/metrics", get(metrics))
        .route("/health", get(crate::health::handle))
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .merge(crate::page::page_paths())
        .merge(crate::trial::trial_paths(&shared))
        .with_state(shared);
    tidegate_serve::door::guard(app)
}

/// The process lives: it answers.
pub async fn livez() -> &'static str {
    "ok\n"
}

/// Ready unless draining, or without a ledger under `--on-redis-loss closed`; whatever the backends do.
pub async fn readyz(State(shared): State<Shared>) -> (StatusCode, &'static str) {
    let closed = shared.config.on_redis_loss == OnLoss::Closed;
    if shared.draining.is_cancelled() {
        (StatusCode::SERVICE_UNAVAILABLE, "draining\n")
    } else if closed && shared.desk.ledger.mode() == LedgerMode::Degraded {
        (StatusCode::SERVICE_UNAVAILABLE, "the shared ledger is out of reach\n")
    } else {
        (StatusCode::OK, "ready\n")
    }
}

async fn metrics(State(shared): State<Shared>) -> Response {
    let fleet = shared.fleet.look().await;
    shared.metrics.set_degraded(fleet.ledger == LedgerMode::Degraded);
    shared.metrics.set_flag_sets(fleet.flag_sets().len());
    for pool in &fleet.pools {
        let sample = PoolSample {
            slots: pool.slots,
            running: pool.running,
            abandoned: pool.abandoned,
            queued: pool.queued,
            oldest_wait: Duration::from_millis(pool.oldest_wait_ms),
            desired_backends: pool.desired_backends,
        };
        shared.metrics.set_pool(&pool.model, sample);
    }
    ([(header::CONTENT_TYPE, CONTENT_TYPE)], shared.metrics.encode()).into_response()
}

async fn fleet(State(shared): State<Shared>) -> Json<Value> {
    Json(fleet_json(&*shared.fleet.look().await))
}

/// The ledger's view as JSON; counts are numbers.
fn fleet_json(fleet: &Fleet) -> Value {
    let routers = fleet.routers.iter();
    json!({
        "pools": fleet.pools.iter().map(pool_json).collect::<Vec<_>>(),
        "routers": routers
            .map(|router| json!({"id": router.id, "age_ms": router.age_ms, "flags": router.flags}))
            .collect::<Vec<_>>(),
        "ledger": fleet.ledger.as_str(),
        "flags_differ": fleet.flag_sets().len() > 1,
    })
}

fn pool_json(pool: &FleetPool) -> Value {
    let backends = pool.backends.iter().map(|backend| {
        json!({
            "id": backend.id, "url": backend.url, "slots": backend.slots, "running": backend.running,
            "abandoned": backend.abandoned, "state": backend.state.as_str(),
        })
    });
    let tickets = pool.tickets.iter().map(|ticket| {
        json!({
            "id": ticket.id, "router": ticket.router, "priority": ticket.priority.as_str(), "age_ms": ticket.age_ms,
        })
    });
    json!({
        "model": pool.model,
        "slots": pool.slots,
        "running": pool.running,
        "abandoned": pool.abandoned,
        "queued": pool.queued,
        "max_queue_size": pool.max_queue_size,
        "capacity": pool.capacity,
        "rejection_probability": pool.rejection_probability,
        "drain_per_s": pool.drain_per_s,
        "oldest_wait_ms": pool.oldest_wait_ms,
        "desired_backends": pool.desired_backends,
        "backends": backends.collect::<Vec<_>>(),
        "tickets": tickets.collect::<Vec<_>>(),
    })
}
