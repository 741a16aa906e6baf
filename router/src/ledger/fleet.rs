//! The account as people and `/health` see it.

use std::{collections::BTreeSet, time::Duration};

use tidegate_admission::{
    Limits, Priority, View,
    snapshot::{BackendState, BackendView, Snapshot, TicketView, Totals},
    time::seconds,
};

pub use curve::{Curve, Stand};

mod curve;

/// Where the account is kept, and whether it can be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LedgerMode {
    /// In this process.
    Memory,
    /// In Redis.
    Redis,
    /// In Redis, which is out of reach.
    Degraded,
}

impl LedgerMode {
    /// The word for it in `/fleet`.
    pub fn as_str(self) -> &'static str {
        match self {
            LedgerMode::Memory => "memory",
            LedgerMode::Redis => "redis",
            LedgerMode::Degraded => "degraded",
        }
    }
}

/// The whole account.
#[derive(Debug, Clone)]
pub struct Fleet {
    /// Pools by model name.
    pub pools: Vec<FleetPool>,
    /// Routers by id.
    pub routers: Vec<FleetRouter>,
    /// Where the account is kept.
    pub ledger: LedgerMode,
}

/// One pool.
#[derive(Debug, Clone)]
pub struct FleetPool {
    /// The model name that names the pool.
    pub model: String,
    /// Slots over live backends that are not draining.
    pub slots: u32,
    /// Requests that run.
    pub running: u32,
    /// Given up, not confirmed to have stopped.
    pub abandoned: u32,
    /// Tickets.
    pub queued: u32,
    /// Tickets that may wait at most, by this router's flags.
    pub max_queue_size: u32,
    /// Slots + `max_queue_size`: what the pool can hold in all.
    pub capacity: u32,
    /// Rejection probability of a request of normal priority, which is what a request has that says nothing.
    pub rejection_probability: f64,
    /// The rejection curve and where the pool stands on it, by this router's flags.
    pub curve: Curve,
    /// Mean service time in seconds; 0 until one is known.
    pub service_mean: f64,
    /// 90th percentile of the service time in seconds; 0 until one is known.
    pub service_p90: f64,
    /// Slots that come free per second while all are busy; 0 until a service time is known.
    pub drain_per_s: f64,
    /// Wait of the oldest ticket.
    pub oldest_wait_ms: u64,
    /// Backends that all that is held would fill: held over slots per backend, rounded up.
    pub desired_backends: u32,
    /// Time until abandoned work is reconciled next.
    pub until_reset: Duration,
    /// Backends by id.
    pub backends: Vec<FleetBackend>,
    /// Tickets in the order of service.
    pub tickets: Vec<FleetTicket>,
    /// Counts of the last 60 s.
    pub totals: Totals,
}

/// One backend.
#[derive(Debug, Clone)]
pub struct FleetBackend {
    /// Stable name.
    pub id: String,
    /// Base URL.
    pub url: String,
    /// This life of its process.
    pub epoch: String,
    /// Requests that it runs at once.
    pub slots: u32,
    /// Requests that run on it.
    pub running: u32,
    /// Given up there, not confirmed.
    pub abandoned: u32,
    /// Whether it takes work; `as_str` is the word for it.
    pub state: BackendState,
}

/// One waiting ticket.
#[derive(Debug, Clone)]
pub struct FleetTicket {
    /// Its attempt.
    pub id: String,
    /// The router that holds it.
    pub router: String,
    /// Its priority.
    pub priority: Priority,
    /// Time since its request arrived.
    pub age_ms: u64,
}

/// One live router.
#[derive(Debug, Clone)]
pub struct FleetRouter {
    /// Its id.
    pub id: String,
    /// Time since it renewed its lease.
    pub age_ms: u64,
    /// What it decides by, as `name=value` words; empty until its first renewal.
    pub flags: String,
}

impl Fleet {
    /// Puts the pools' snapshots together.
    pub(super) fn new(
        ledger: LedgerMode,
        pools: Vec<(String, Snapshot)>,
        limits: &Limits,
        reset_interval: Duration,
    ) -> Fleet {
        let mut routers: Vec<FleetRouter> = Vec::new();
        for router in pools.iter().flat_map(|(_, snapshot)| &snapshot.routers) {
            let seen =
                FleetRouter { id: router.id.clone(), age_ms: router.age / 1000, flags: router.flags.clone() };
            match routers.iter_mut().find(|known| known.id == seen.id) {
                Some(known) if known.age_ms > seen.age_ms => *known = seen,
                Some(_) => {}
                None => routers.push(seen),
            }
        }
        routers.sort_by(|a, b| a.id.cmp(&b.id));
        let pools = pools
            .into_iter()
            .map(|(model, snapshot)| FleetPool::new(model, snapshot, limits, reset_interval));
        Fleet { pools: pools.collect(), routers, ledger }
    }
}

impl Fleet {
    /// The different sets of flags that the routers decide by. Each router decides by its own; more than one set is a mistake,
    /// or a rollout.
    pub fn flag_sets(&self) -> BTreeSet<&str> {
        self.routers.iter().map(|router| router.flags.as_str()).filter(|flags| !flags.is_empty()).collect()
    }
}

/// Held over slots per backend, rounded up; the slots are those of the backend that registered last.
fn desired_backends(view: &View) -> u32 {
    (view.running + view.abandoned + view.queued_total()).div_ceil(view.backend_slots.max(1))
}

impl FleetPool {
    fn new(model: String, snapshot: Snapshot, limits: &Limits, reset_interval: Duration) -> FleetPool {
        let view = &snapshot.view;
        let capacity = view.slots + limits.max_queue_size;
        let measured = view.estimate.measured() && view.slots > 0;
        let curve = Curve::of(view, limits);
        let since_reset = Duration::from_micros(view.at.since(snapshot.last_reset));
        FleetPool {
            slots: view.slots,
            running: view.running,
            abandoned: view.abandoned,
            queued: view.queued_total(),
            max_queue_size: limits.max_queue_size,
            capacity,
            rejection_probability: curve.normal.p,
            curve,
            service_mean: view.estimate.mean,
            service_p90: view.estimate.p90,
            desired_backends: desired_backends(view),
            drain_per_s: if measured { view.estimate.drain(f64::from(view.slots)) } else { 0.0 },
            oldest_wait_ms: snapshot.oldest_wait() / 1000,
            until_reset: reset_interval.saturating_sub(since_reset),
            backends: snapshot.backends.into_iter().map(FleetBackend::from).collect(),
            tickets: snapshot.tickets.into_iter().map(FleetTicket::from).collect(),
            totals: snapshot.totals,
            model,
        }
    }

    /// Seconds as a plain number, for `/health`.
    pub fn seconds_until_reset(&self) -> f64 {
        seconds(u64::try_from(self.until_reset.as_micros()).unwrap_or(u64::MAX))
    }
}

impl From<BackendView> for FleetBackend {
    fn from(backend: BackendView) -> FleetBackend {
        FleetBackend {
            id: backend.id,
            url: backend.url,
            epoch: backend.epoch,
            slots: backend.slots,
            running: backend.running,
            abandoned: backend.abandoned,
            state: backend.state,
        }
    }
}

impl From<TicketView> for FleetTicket {
    fn from(ticket: TicketView) -> FleetTicket {
        FleetTicket {
            id: ticket.id,
            router: ticket.router,
            priority: ticket.priority,
            age_ms: ticket.age / 1000,
        }
    }
}
