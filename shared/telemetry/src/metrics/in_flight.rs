//! A gauge that cannot leak: it counts its guards.

use prometheus_client::metrics::gauge::Gauge;

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
