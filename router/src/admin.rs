//! The paths for operators on the admin port: what the ledger holds, and what load balancers ask.

mod gate;

use crate::ledger::{LedgerMode, OnLoss};
use crate::report::FleetReport;
use crate::scrape;
use crate::shared::Shared;
use crate::trial::own_page_only;
use crate::{demo_load, live};
use axum::extract::State;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::Json;
use axum::routing::{get, post};
use http::StatusCode;

/// All paths for operators.
pub fn admin_paths(shared: Shared) -> axum::Router {
    let app = axum::Router::new()
        .route("/fleet", get(fleet))
        .route("/live", get(live::feed::handle))
        .route("/demo-load", post(demo_load::handle).layer(from_fn(own_page_only)))
        .route("/metrics", get(scrape::metrics))
        .route("/health", get(crate::health::handle))
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .merge(crate::drain::drain_paths())
        .merge(crate::page::page_paths())
        .merge(crate::trial::trial_paths(&shared))
        .merge(gate::login_paths())
        .layer(from_fn_with_state(shared.clone(), gate::check))
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
    if shared.leaving.is_cancelled() {
        (StatusCode::SERVICE_UNAVAILABLE, "draining\n")
    } else if closed && shared.desk.ledger.mode() == LedgerMode::Degraded {
        (StatusCode::SERVICE_UNAVAILABLE, "the shared ledger is out of reach\n")
    } else {
        (StatusCode::OK, "ready\n")
    }
}

async fn fleet(State(shared): State<Shared>) -> Json<FleetReport> {
    Json(
        FleetReport::new(&*shared.fleet.look().await, usize::MAX).seen_by(&shared.heard, &shared.desk.roster),
    )
}
