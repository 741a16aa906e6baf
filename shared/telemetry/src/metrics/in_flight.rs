//! Gauges that cannot leak: each counts its guards.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;

use super::label::Wait;

/// Counts as one in a gauge for as long as it lives.
#[derive(Debug)]
#[must_use = "it counts only while it lives"]
pub struct InFlight(Gauge);

impl InFlight {
    pub(super) fn enter(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// How a wait for a slot ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WaitEnd {
    /// With a slot.
    Granted,
    /// Its time ran out.
    Deadline,
    /// The ticket lost its place: to one that was handed back, or with its pool.
    Dropped,
    /// The client hung up, or the ledger was lost.
    GivenUp,
}

impl WaitEnd {
    /// All ends.
    pub(super) const ALL: [Self; 4] = [Self::Granted, Self::Deadline, Self::Dropped, Self::GivenUp];

    /// The word for it in the label `outcome`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Granted => "granted",
            Self::Deadline => "deadline",
            Self::Dropped => "dropped",
            Self::GivenUp => "given_up",
        }
    }
}

/// One request that waits: counts in the gauge while it lives, and in the counter of ended waits when it is dropped.
#[derive(Debug)]
#[must_use = "it counts only while it lives"]
pub struct Waiting {
    pub(super) _gauge: InFlight,
    pub(super) waits: Family<Wait, Counter>,
    pub(super) pool: String,
    pub(super) priority: &'static str,
    /// What it has come to; given up, unless somebody says otherwise.
    pub(super) end: WaitEnd,
}

impl Waiting {
    /// The wait ended like this.
    pub fn ended(&mut self, end: WaitEnd) {
        self.end = end;
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let pool = std::mem::take(&mut self.pool);
        self.waits.get_or_create(&Wait { outcome: self.end.as_str(), priority: self.priority, pool }).inc();
    }
}
