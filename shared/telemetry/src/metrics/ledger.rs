//! What an operator must see of the ledger: that it loses nothing, how fast it is, and whether it is there.

use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::{bucket, name};

/// The ledger's part of a router's metrics. Cheap to clone; all clones count into the same registry.
#[derive(Debug, Clone)]
pub struct LedgerMetrics {
    leases_expired: Counter,
    tickets_reclaimed: Counter,
    drift: Counter,
    round_trip: Histogram,
    degraded: Gauge,
}

impl LedgerMetrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            leases_expired: Counter::default(),
            tickets_reclaimed: Counter::default(),
            drift: Counter::default(),
            round_trip: bucket::short(),
            degraded: Gauge::default(),
        };
        let counters = [
            (name::LEASES_EXPIRED, "Slots whose router stopped renewing them", &metrics.leases_expired),
            (
                name::TICKETS_RECLAIMED,
                "Tickets whose router stopped renewing them",
                &metrics.tickets_reclaimed,
            ),
            (name::DRIFT, "Slots that a reset found counted although nothing ran on them", &metrics.drift),
        ];
        for (name, help, counter) in counters {
            registry.register(name, help, counter.clone());
        }
        let help = "Seconds of one ledger transition in Redis, there and back";
        registry.register(name::ROUND_TRIP, help, metrics.round_trip.clone());
        let help = "1 while this router works with its share because Redis is away";
        registry.register(name::DEGRADED, help, metrics.degraded.clone());
        metrics
    }

    /// `count` slots came free because their router died.
    pub fn leases_expired(&self, count: u64) {
        self.leases_expired.inc_by(count);
    }

    /// `count` tickets left the queue because their router died.
    pub fn tickets_reclaimed(&self, count: u64) {
        self.tickets_reclaimed.inc_by(count);
    }

    /// A reset freed `count` slots that nothing was running on.
    pub fn drift_found(&self, count: u64) {
        self.drift.inc_by(count);
    }

    /// One transition took this long.
    pub fn round_trip(&self, took: Duration) {
        self.round_trip.observe(took.as_secs_f64());
    }

    /// Redis is away, or back.
    pub fn set_degraded(&self, degraded: bool) {
        self.degraded.set(i64::from(degraded));
    }
}
