//! `GET /health`: how far this backend is from its limits; `/livez` and `/readyz` for probes.

mod outcomes;

pub use outcomes::{Outcome, Outcomes, Window};

use crate::{api::json, node::Backend, slots::Counts};
use axum::{extract::State, response::Response};
use http::StatusCode;
use tidegate_wire::health::{
    BackendStatistics, EngineHealth, GracefulDegradation, HealthReport, HealthStatus, QueueStatistics,
};

/// `GET /health`. Always 200: a balancer asks `/readyz`, and must not take a backend out because it is full.
pub async fn health(State(backend): State<Backend>) -> Response {
    json(&report(&backend))
}

/// `GET /livez`: the process answers.
pub async fn livez() -> &'static str {
    "ok\n"
}

/// `GET /readyz`: loaded, stepping, not draining.
pub async fn readyz(State(backend): State<Backend>) -> (StatusCode, &'static str) {
    if backend.is_stalled() {
        (StatusCode::SERVICE_UNAVAILABLE, "stalled\n")
    } else if backend.is_draining() {
        (StatusCode::SERVICE_UNAVAILABLE, "draining\n")
    } else {
        (StatusCode::OK, "ready\n")
    }
}

/// `GET /node`: the report that routers watch.
pub async fn node(State(backend): State<Backend>) -> Response {
    json(&backend.report())
}

/// The report of a backend alone, in the shape that routers use for the fleet.
pub fn report(backend: &Backend) -> HealthReport {
    let counts = backend.slots().counts();
    let window = backend.outcomes().window();
    let slots = backend.slots().capacity();
    HealthReport {
        status: status(backend.is_ready(), counts, slots, &window),
        graceful_degradation: GracefulDegradation {
            rejection_rate: window.rejection_rate(),
            queue_statistics: no_queue(),
            backend_statistics: statistics(backend, counts, &window),
        },
        engine: Some(EngineHealth {
            architecture: backend.model_info().architecture.clone(),
            batching: backend.model_info().batching.to_string(),
        }),
    }
}

/// The report of a backend of `slots` slots whose model is not loaded yet.
pub(crate) fn loading(slots: u32) -> HealthReport {
    let nothing = Window::default();
    let backend_statistics = BackendStatistics {
        total_requests: 0,
        successful_requests: 0,
        timeout_requests: 0,
        success_rate: nothing.success_rate(),
        timeout_rate: nothing.timeout_rate(),
        slots: u64::from(slots),
        running: 0,
        abandoned: 0,
        capacity_used: 0.0,
        time_until_reset: 0.0,
        rejection_threshold: 1.0,
    };
    HealthReport {
        status: HealthStatus::Critical,
        graceful_degradation: GracefulDegradation {
            rejection_rate: nothing.rejection_rate(),
            queue_statistics: no_queue(),
            backend_statistics,
        },
        engine: None,
    }
}

fn status(ready: bool, counts: Counts, slots: u32, window: &Window) -> HealthStatus {
    if !ready {
        HealthStatus::Critical
    } else if counts.abandoned > 0 || window.rejected > 0 {
        HealthStatus::Degraded
    } else if counts.running >= slots {
        HealthStatus::Stressed
    } else {
        HealthStatus::Healthy
    }
}

/// A backend alone has no queue: who finds no slot is refused.
fn no_queue() -> QueueStatistics {
    QueueStatistics { current_size: 0, max_size: 0, capacity_percent: 0.0, status: HealthStatus::Healthy }
}

fn statistics(backend: &Backend, counts: Counts, window: &Window) -> BackendStatistics {
    let totals = backend.outcomes().totals();
    let slots = backend.slots().capacity();
    BackendStatistics {
        total_requests: totals.ended(),
        successful_requests: totals.succeeded,
        timeout_requests: totals.timed_out,
        success_rate: window.success_rate(),
        timeout_rate: window.timeout_rate(),
        slots: u64::from(slots),
        running: u64::from(counts.running),
        abandoned: u64::from(counts.abandoned),
        capacity_used: f64::from(counts.running + counts.abandoned) / f64::from(slots),
        time_until_reset: backend.until_reset().as_secs_f64(),
        // It refuses when the last slot is taken, and not before.
        rejection_threshold: 1.0,
    }
}
