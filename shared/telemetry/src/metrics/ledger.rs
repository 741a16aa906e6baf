//! What a router sees of the ledger: how long it takes, when it is away, and what it had to put right.

use std::sync::Arc;
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::account::MOST_POOLS;
use super::bound::Bound;
use super::label::{Failure, Lease, Operation, Pool, Reclaimed};
use super::{bucket, name};

/// What one step of the ledger put right by itself. The router whose call made the step counts it, so that the sum over all
/// routers is the fleet's.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Mended {
    /// Routers whose lease had run out.
    pub routers: u32,
    /// Backends whose lease had run out.
    pub backends: u32,
    /// Tickets taken back from routers that died or no longer knew them.
    pub tickets: u32,
    /// Slots taken back from such routers.
    pub slots: u32,
    /// Slots that the reset found counted as used, and nothing ran in them.
    pub drift: u32,
}

/// The ledger's part of a router's registry. Clones count together.
#[derive(Debug, Clone)]
pub struct LedgerMetrics {
    /// Pools that have been counted under their name.
    pub(super) pools: Arc<Bound>,
    round_trip: Family<Operation, Histogram, fn() -> Histogram>,
    errors: Family<Failure, Counter>,
    losses: Family<Pool, Counter>,
    view_refusals: Family<Pool, Counter>,
    leases_expired: Family<Lease, Counter>,
    reclaimed: Family<Reclaimed, Counter>,
    drift: Family<Pool, Counter>,
}

impl Default for LedgerMetrics {
    fn default() -> Self {
        Self {
            pools: Arc::new(Bound::new(MOST_POOLS)),
            round_trip: Family::new_with_constructor(bucket::short),
            errors: Family::default(),
            losses: Family::default(),
            view_refusals: Family::default(),
            leases_expired: Family::default(),
            reclaimed: Family::default(),
            drift: Family::default(),
        }
    }
}

impl LedgerMetrics {
    pub(super) fn register(&self, to: &mut Registry) {
        let help = "Seconds of one call of the shared ledger, waiting for the connection included";
        to.register(name::ROUND_TRIP, help, self.round_trip.clone());
        to.register(name::LEDGER_ERRORS, "Calls of the shared ledger that failed", self.errors.clone());
        let help = "Times that this router went on alone because the shared ledger was out of reach";
        to.register(name::LEDGER_LOSSES, help, self.losses.clone());
        let help = "Requests refused from the last view of the ledger, without a call";
        to.register(name::VIEW_REFUSALS, help, self.view_refusals.clone());
        let help = "Leases that ran out: a router or a backend died without a word";
        to.register(name::LEASES_EXPIRED, help, self.leases_expired.clone());
        let help = "Tickets and slots taken back from routers that died or no longer knew them";
        to.register(name::RECLAIMED, help, self.reclaimed.clone());
        let help = "Slots that a reset found counted as used although nothing ran in them";
        to.register(name::DRIFT, help, self.drift.clone());
    }

    /// Shows a pool's counters at 0, so that their first increment is seen as one.
    pub(super) fn expect(&self, pool: &str) {
        self.count(pool, Mended::default());
        let _ = self.losses.get_or_create_owned(&self.by(pool));
        let _ = self.view_refusals.get_or_create_owned(&self.by(pool));
    }

    /// A call of this kind took this long, and failed in this way if it did.
    pub fn called(&self, operation: &'static str, took: Duration, failure: Option<&'static str>) {
        self.round_trip.get_or_create(&Operation { operation }).observe(took.as_secs_f64());
        if let Some(kind) = failure {
            self.errors.get_or_create(&Failure { kind }).inc();
        }
    }

    /// This router keeps the account of `pool` itself from now on.
    pub fn lost(&self, pool: &str) {
        self.losses.get_or_create(&self.by(pool)).inc();
    }

    /// A request was refused without asking.
    pub fn refused_from_view(&self, pool: &str) {
        self.view_refusals.get_or_create(&self.by(pool)).inc();
    }

    /// One step put this right. Nearly all put nothing right.
    pub fn mended(&self, pool: &str, mended: Mended) {
        if mended != Mended::default() {
            self.count(pool, mended);
        }
    }

    fn count(&self, pool: &str, mended: Mended) {
        for (holder, many) in [("router", mended.routers), ("backend", mended.backends)] {
            let lease = Lease { holder, pool: self.pools.name(pool) };
            self.leases_expired.get_or_create(&lease).inc_by(u64::from(many));
        }
        for (held, many) in [("ticket", mended.tickets), ("slot", mended.slots)] {
            let reclaimed = Reclaimed { held, pool: self.pools.name(pool) };
            self.reclaimed.get_or_create(&reclaimed).inc_by(u64::from(many));
        }
        self.drift.get_or_create(&self.by(pool)).inc_by(u64::from(mended.drift));
    }

    fn by(&self, pool: &str) -> Pool {
        Pool { pool: self.pools.name(pool) }
    }
}
