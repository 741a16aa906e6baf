//! `GET /health`: the fleet's degradation state. Always 200: a load balancer asks `/readyz` and must never eject a router
//! because the fleet is full.

use crate::ledger::{Fleet, FleetPool, LedgerMode};
use crate::shared::Shared;
use axum::extract::State;
use axum::response::Json;
use tidegate_admission::Limits;
use tidegate_wire::health::{
    BackendStatistics, GracefulDegradation, HealthReport, HealthStatus, QueueStatistics,
};

/// The handler.
pub async fn handle(State(shared): State<Shared>) -> Json<HealthReport> {
    let fleet = shared.fleet.look().await;
    Json(report(&fleet, &shared.config.limits))
}

/// The whole report; each number is the worst pool's.
pub fn report(fleet: &Fleet, limits: &Limits) -> HealthReport {
    let status = worst(fleet.pools.iter().map(pool_status)).unwrap_or(HealthStatus::Critical);
    let status =
        if fleet.ledger == LedgerMode::Degraded { status.max(HealthStatus::Degraded) } else { status };
    let rejection_rate = fleet.pools.iter().map(rejection_rate).fold(0.0, f64::max);
    let fullest = fleet.pools.iter().max_by(|a, b| queue_percent(a).total_cmp(&queue_percent(b)));
    let busiest = fleet.pools.iter().max_by(|a, b| capacity_used(a).total_cmp(&capacity_used(b)));
    HealthReport {
        status,
        graceful_degradation: GracefulDegradation {
            rejection_rate,
            queue_statistics: queue_statistics(fullest, limits),
            backend_statistics: backend_statistics(busiest, limits),
        },
        engine: None,
    }
}

fn worst(states: impl Iterator<Item = HealthStatus>) -> Option<HealthStatus> {
    states.max()
}

fn pool_status(pool: &FleetPool) -> HealthStatus {
    let queue_full = pool.max_queue_size > 0 && pool.queued >= pool.max_queue_size;
    if pool.slots == 0 || queue_full {
        HealthStatus::Critical
    } else if pool.rejection_probability > 0.0 || pool.abandoned > 0 {
        HealthStatus::Degraded
    } else if pool.running >= pool.slots || pool.queued > 0 {
        HealthStatus::Stressed
    } else {
        HealthStatus::Healthy
    }
}

fn queue_status(pool: &FleetPool) -> HealthStatus {
    match pool.queued {
        0 => HealthStatus::Healthy,
        queued if queued >= pool.max_queue_size => HealthStatus::Critical,
        _ if pool.rejection_probability > 0.0 => HealthStatus::Degraded,
        _ => HealthStatus::Stressed,
    }
}

fn rejection_rate(pool: &FleetPool) -> f64 {
    share(pool.totals.rejections(), pool.totals.attempts(), 0.0)
}

fn queue_percent(pool: &FleetPool) -> f64 {
    100.0 * share(u64::from(pool.queued), u64::from(pool.max_queue_size), 0.0)
}

fn capacity_used(pool: &FleetPool) -> f64 {
    share(u64::from(pool.running + pool.abandoned), u64::from(pool.slots), 0.0)
}

fn queue_statistics(pool: Option<&FleetPool>, limits: &Limits) -> QueueStatistics {
    QueueStatistics {
        current_size: pool.map_or(0, |pool| u64::from(pool.queued)),
        max_size: u64::from(limits.max_queue_size),
        capacity_percent: pool.map_or(0.0, queue_percent),
        status: pool.map_or(HealthStatus::Healthy, queue_status),
    }
}

fn backend_statistics(pool: Option<&FleetPool>, limits: &Limits) -> BackendStatistics {
    let totals = pool.map(|pool| pool.totals).unwrap_or_default();
    let ended = totals.finished + totals.failed + totals.timed_out + totals.client_gone;
    BackendStatistics {
        total_requests: ended,
        successful_requests: totals.finished,
        timeout_requests: totals.timed_out,
        success_rate: share(totals.finished, ended, 1.0),
        timeout_rate: share(totals.timed_out, ended, 0.0),
        slots: pool.map_or(0, |pool| u64::from(pool.slots)),
        running: pool.map_or(0, |pool| u64::from(pool.running)),
        abandoned: pool.map_or(0, |pool| u64::from(pool.abandoned)),
        capacity_used: pool.map_or(0.0, capacity_used),
        time_until_reset: pool.map_or(0.0, FleetPool::seconds_until_reset),
        rejection_threshold: limits.rejection_start,
    }
}

/// `part` over `whole`, or `nothing` where there is no whole.
fn share(part: u64, whole: u64, nothing: f64) -> f64 {
    if whole == 0 { nothing } else { part as f64 / whole as f64 }
}
