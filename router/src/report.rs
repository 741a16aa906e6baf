//! The fleet as JSON: what `/fleet` and `/live` say of it, and what `tidegate-router top` reads.

use crate::discovery::heard::Heard;
use crate::ledger::{Curve, Fleet, FleetBackend, FleetPool, FleetRouter, FleetTicket, Stand};
use crate::roster::Roster;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use tidegate_admission::Priority;

/// A word of the program's own when it is written, any text when it is read.
pub type Word = Cow<'static, str>;

/// The ledger's view; counts are numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FleetReport {
    /// Pools by model name.
    pub pools: Vec<PoolReport>,
    /// Routers by id.
    pub routers: Vec<RouterReport>,
    /// `memory`, `redis`, or `degraded` while Redis is out of reach.
    pub ledger: Word,
    /// Whether the routers decide by different flags.
    pub flags_differ: bool,
}

/// One pool. All but `rejection_probability`, `drain_per_s`, `curve` and `service_ms` are counts over the whole fleet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PoolReport {
    /// The model name that names the pool.
    pub model: String,
    /// Slots over live backends that are not draining.
    pub slots: u32,
    /// Requests that run.
    pub running: u32,
    /// Given up, not confirmed to have stopped.
    pub abandoned: u32,
    /// Requests that wait.
    pub queued: u32,
    /// Requests that may wait at most, by this router's flags.
    pub max_queue_size: u32,
    /// Slots + `max_queue_size`.
    pub capacity: u32,
    /// Rejection probability of a request that says nothing of its priority.
    pub rejection_probability: f64,
    /// Slots that come free per second while all are busy; 0 until a service time is known.
    pub drain_per_s: f64,
    /// Wait of the oldest ticket.
    pub oldest_wait_ms: u64,
    /// Backends that all that is held would fill.
    pub desired_backends: u32,
    /// The rejection curve and where the pool stands on it, by this router's flags.
    pub curve: CurveReport,
    /// How long finished work took; null until something has finished.
    pub service_ms: Option<ServiceReport>,
    /// Backends by id.
    pub backends: Vec<BackendReport>,
    /// Tickets in the order of service; in `/live` the first of them, `queued` says how many there are.
    pub tickets: Vec<TicketReport>,
}

/// The rejection curve: one line for each priority. All but `p` are numbers of requests.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CurveReport {
    /// Held requests up to which none is rejected.
    pub start: ByPriority,
    /// Held requests from which all are rejected.
    pub capacity: ByPriority,
    /// Running, abandoned, and the tickets that would be served before a new one.
    pub held: ByPriority,
    /// The rejection probability at `held`.
    pub p: ByPriority,
    /// Tickets at which one more is refused.
    pub queue_limit: ByPriority,
}

/// A number for each priority.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ByPriority {
    /// For high priority.
    pub high: f64,
    /// For normal priority.
    pub normal: f64,
    /// For low priority.
    pub low: f64,
}

/// The service time of finished work, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ServiceReport {
    /// The mean, decaying.
    pub mean: f64,
    /// The 90th percentile, decaying.
    pub p90: f64,
}

/// One backend.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BackendReport {
    /// Stable name.
    pub id: String,
    /// Base URL.
    pub url: String,
    /// Requests that it runs at once.
    pub slots: u32,
    /// Requests that run on it.
    pub running: u32,
    /// Given up there, not confirmed to have stopped.
    pub abandoned: u32,
    /// `live`, `draining` or `gone`; `ejected` or `trial` where this router leaves it out because it failed.
    pub state: Word,
    /// Time since this router last heard of it; null where it cannot tell.
    #[serde(default)]
    pub silent_ms: Option<u64>,
}

/// One request that waits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TicketReport {
    /// Its attempt.
    pub id: String,
    /// The router that holds it.
    pub router: String,
    /// `high`, `normal` or `low`.
    pub priority: Word,
    /// Time since its request arrived.
    pub age_ms: u64,
}

/// One live router.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RouterReport {
    /// Its id.
    pub id: String,
    /// Time since it renewed its lease.
    pub age_ms: u64,
    /// What it decides by, as `name=value` words; empty until its first renewal.
    pub flags: String,
}

impl FleetReport {
    /// What is said of `fleet`, with at most `most_tickets` tickets of each pool.
    pub fn new(fleet: &Fleet, most_tickets: usize) -> Self {
        Self {
            pools: fleet.pools.iter().map(|pool| PoolReport::new(pool, most_tickets)).collect(),
            routers: fleet.routers.iter().map(RouterReport::from).collect(),
            ledger: Word::Borrowed(fleet.ledger.as_str()),
            flags_differ: fleet.flag_sets().len() > 1,
        }
    }

    /// Says of each backend what only this router knows: how long it has been silent, and whether it is left out.
    #[must_use]
    pub fn seen_by(mut self, heard: &Heard, roster: &Roster) -> Self {
        for backend in self.pools.iter_mut().flat_map(|pool| &mut pool.backends) {
            if backend.state != "gone"
                && let Some(left_out) = roster.left_out(&backend.id)
            {
                backend.state = Word::Borrowed(left_out);
            }
            let silence = heard.silence(&backend.id);
            backend.silent_ms = silence.map(|silence| u64::try_from(silence.as_millis()).unwrap_or(u64::MAX));
        }
        self
    }
}

impl PoolReport {
    fn new(pool: &FleetPool, most_tickets: usize) -> Self {
        let measured = pool.service_mean > 0.0;
        Self {
            model: pool.model.clone(),
            slots: pool.slots,
            running: pool.running,
            abandoned: pool.abandoned,
            queued: pool.queued,
            max_queue_size: pool.max_queue_size,
            capacity: pool.capacity,
            rejection_probability: pool.rejection_probability,
            drain_per_s: pool.drain_per_s,
            oldest_wait_ms: pool.oldest_wait_ms,
            desired_backends: pool.desired_backends,
            curve: CurveReport::from(&pool.curve),
            service_ms: measured
                .then_some(ServiceReport { mean: pool.service_mean * 1e3, p90: pool.service_p90 * 1e3 }),
            backends: pool.backends.iter().map(BackendReport::from).collect(),
            tickets: pool.tickets.iter().take(most_tickets).map(TicketReport::from).collect(),
        }
    }
}

impl From<&Curve> for CurveReport {
    fn from(curve: &Curve) -> Self {
        let each = |of: fn(&Stand) -> f64| ByPriority {
            high: of(&curve.high),
            normal: of(&curve.normal),
            low: of(&curve.low),
        };
        Self {
            start: each(|stand| stand.start),
            capacity: each(|stand| stand.capacity),
            held: each(|stand| stand.held),
            p: each(|stand| stand.p),
            queue_limit: each(|stand| stand.queue_limit),
        }
    }
}

impl ByPriority {
    /// The number of one priority.
    pub fn of(&self, priority: Priority) -> f64 {
        match priority {
            Priority::High => self.high,
            Priority::Normal => self.normal,
            Priority::Low => self.low,
        }
    }
}

/// Silence after which a backend is probably lost, long before its lease ends: it speaks each second.
const SILENT_MS: u64 = 2000;

impl BackendReport {
    /// Milliseconds for which it has said nothing, where that is too long.
    pub fn silence(&self) -> Option<u64> {
        self.silent_ms.filter(|ms| *ms > SILENT_MS)
    }
}

impl From<&FleetBackend> for BackendReport {
    fn from(backend: &FleetBackend) -> Self {
        Self {
            id: backend.id.clone(),
            url: backend.url.clone(),
            slots: backend.slots,
            running: backend.running,
            abandoned: backend.abandoned,
            state: Word::Borrowed(backend.state.as_str()),
            silent_ms: None,
        }
    }
}

impl From<&FleetTicket> for TicketReport {
    fn from(ticket: &FleetTicket) -> Self {
        Self {
            id: ticket.id.clone(),
            router: ticket.router.clone(),
            priority: Word::Borrowed(ticket.priority.as_str()),
            age_ms: ticket.age_ms,
        }
    }
}

impl From<&FleetRouter> for RouterReport {
    fn from(router: &FleetRouter) -> Self {
        Self { id: router.id.clone(), age_ms: router.age_ms, flags: router.flags.clone() }
    }
}
