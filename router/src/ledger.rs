//! The account of slots, tickets and leases, as the router calls it. One state machine, two places to keep it.
//!
//! In the order of reading: [`desk`] is what every call does on this side, [`holding`] is what this router itself holds,
//! [`memory`] keeps the account in this process, [`redis`] keeps it in Redis, [`fleet`] shows it to people. The rules and
//! transitions themselves are `tidegate-admission`'s.

mod clock;
mod desk;
mod fleet;
mod holding;
mod memory;
mod redis;
#[cfg(test)]
mod suite;

use std::{sync::Arc, time::Duration};

use futures_util::future::Either;
pub use tidegate_admission::{
    Allowance, AttemptId, Backend, Caller, End, HandBack, Limits, Measured, Numbers, Priority, Reason, View,
    snapshot::{BackendState, Totals},
};
use tidegate_admission::{Mended, limits::FOREVER};
use tidegate_telemetry::metrics::{self, LedgerMetrics};
use tokio::sync::oneshot;

#[cfg(any(test, fuzzing))]
pub use self::redis::hostile;
pub use self::{
    fleet::{Curve, Fleet, FleetBackend, FleetPool, FleetRouter, FleetTicket, LedgerMode, Stand},
    memory::MemoryLedger,
    redis::RedisLedger,
};

/// Most tokens that one request is charged and counted with, whatever its backend says: more than any model's context, so that no
/// sum overflows.
pub const MOST_TOKENS: u64 = 1 << 32;

/// What one router brings to the account.
#[derive(Debug, Clone)]
pub struct LedgerOptions {
    /// Names this life of the router; unique. Attempt ids are `{router_id}-{counter}`.
    pub router_id: String,
    /// The limits that this router decides by.
    pub limits: Limits,
    /// Time from one reconciliation of abandoned work to the next (`--reset-interval`).
    pub reset_interval: Duration,
    /// What it does while the shared ledger is out of reach (`--on-redis-loss`).
    pub on_loss: OnLoss,
    /// Pools whose requests wait for a first backend, however long that takes (`--pool`).
    pub pools: Vec<String>,
    /// Where it counts what it sees of the ledger.
    pub metrics: LedgerMetrics,
}

/// What a router does while the shared ledger is out of reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnLoss {
    /// It goes on with its share: the limits and each backend's slots, divided by the last known number of routers.
    #[default]
    Share,
    /// It admits nothing new, and ends what it has.
    Closed,
    /// It goes on with the full limits, as if it were alone.
    Open,
}

impl OnLoss {
    /// The word for it in the flag and in the log.
    pub fn as_str(self) -> &'static str {
        match self {
            OnLoss::Share => "share",
            OnLoss::Closed => "closed",
            OnLoss::Open => "open",
        }
    }
}

impl LedgerOptions {
    /// The limits in one pool.
    fn limits_in(&self, pool: &str) -> Limits {
        let named = self.pools.iter().any(|name| name == pool);
        let pool_memory = if named { FOREVER } else { self.limits.pool_memory };
        Limits { pool_memory, ..self.limits }
    }

    /// What this router decides by, for people.
    fn flags(&self) -> String {
        format!("{} reset_interval={}", self.limits, self.reset_interval.as_secs_f64())
    }
}

/// What a step put right, as metrics count it.
fn sample(mended: Mended) -> metrics::Mended {
    let Mended { routers, backends, tickets, slots, drift } = mended;
    metrics::Mended { routers, backends, tickets, slots, drift }
}

/// A duration in the ledger's unit; 35 years and more are 35 years, so that every instant is exact as a double.
fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).map_or(FOREVER, |micros| micros.min(FOREVER))
}

/// A request that asks to come in.
#[derive(Debug, Clone)]
pub struct Ask {
    /// Its first attempt: `{router_id}-{counter}`, never used before.
    pub attempt: AttemptId,
    /// Its priority.
    pub priority: Priority,
    /// Time left from now to its last byte: the smaller of `--request-timeout` and `x-request-timeout-ms`.
    pub remaining: Duration,
    /// Seconds that its kind takes once it has a slot, where this router has learnt it.
    pub length: Option<f64>,
    /// One uniform draw of [0, 1) per request.
    pub draw: f64,
    /// One uniform draw of [0, 1), which spreads `retry-after`.
    pub jitter: f64,
    /// Id of the backend that it would rather have, where that one has a free slot.
    pub prefer: Option<String>,
    /// Whose it is, where keys are in use.
    pub caller: Option<Arc<Caller>>,
}

/// The three answers to a request that asks to come in.
#[derive(Debug)]
pub enum Admission {
    /// It may run now.
    Granted(Grant),
    /// It waits.
    Queued(Ticket),
    /// It is refused and holds nothing.
    Rejected(Rejection),
}

/// The right to run one request on one backend. Ends with `release`, `abandon` and `confirm`, or `hand_back`.
#[derive(Debug, Clone)]
pub struct Grant {
    /// The attempt.
    pub attempt: AttemptId,
    /// Id of the backend.
    pub backend: String,
    /// Base URL of the backend.
    pub url: String,
    /// What was decided on, where this grant is the direct answer to an `admit`.
    pub numbers: Option<Numbers>,
}

/// A place in the queue. Whoever drops it without a grant calls `cancel`.
#[derive(Debug)]
pub struct Ticket {
    /// The attempt.
    pub attempt: AttemptId,
    /// 1 for the ticket that is served next.
    pub position: u32,
    /// Resolves when the wait is over; a sender that is gone means that the ledger lost the ticket.
    pub grant: oneshot::Receiver<Waited>,
    /// What was decided on, where this ticket is the answer to an `admit`.
    pub numbers: Option<Numbers>,
}

/// How a wait ended.
#[derive(Debug)]
pub enum Waited {
    /// With a slot.
    Granted(Box<Grant>),
    /// Without: its time ran out (`Deadline`), or a ticket that was handed back needed the room (`QueueFull`).
    Dropped(Reason),
}

/// A refusal.
#[derive(Debug, Clone)]
pub struct Rejection {
    /// Why.
    pub reason: Reason,
    /// When a retry has a chance: 0.5 s to 60 s.
    pub retry_after: Duration,
    /// A retry with as little time cannot succeed, however idle the fleet: `x-should-retry: false`.
    pub hopeless: bool,
    /// What it was decided on; `None` for an unknown pool and for a hand-back.
    pub numbers: Option<Numbers>,
}

/// Why the ledger could not answer. Nothing is known about whether the transition happened; the ledger itself frees
/// what its router does not know of after two renewals.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LedgerError {
    /// The ledger is out of reach, or did not answer in time.
    #[error("the ledger is out of reach: {0}")]
    Unavailable(String),
    /// The address or the options are no good.
    #[error("the ledger's address does not work: {0}")]
    Address(String),
    /// The ledger answered what no version of it answers, or its script failed.
    #[error("the ledger gave an answer that makes no sense: {0}")]
    Protocol(String),
    /// A hand-back of an attempt that this router does not hold.
    #[error("this router does not hold attempt {0}")]
    NotHeld(AttemptId),
}

impl LedgerError {
    /// The word for it in metrics.
    fn kind(&self) -> &'static str {
        match self {
            LedgerError::Unavailable(_) => "unavailable",
            LedgerError::Address(_) => "address",
            LedgerError::Protocol(_) | LedgerError::NotHeld(_) => "protocol",
        }
    }
}

/// The account of slots, tickets and leases. Cheap to clone.
#[derive(Debug, Clone)]
pub enum Ledger {
    /// Kept in this process.
    Memory(MemoryLedger),
    /// Kept in Redis, for all routers.
    Redis(RedisLedger),
}

/// The same call on whichever ledger it is. What Redis needs in a call lives on the heap, so that a call in this process, which never
/// waits, needs none of its room.
macro_rules! each {
    ($self:ident, $desk:ident => $call:expr) => {
        match $self {
            Ledger::Memory(ledger) => {
                let $desk = &ledger.desk;
                Either::Left($call)
            }
            Ledger::Redis(ledger) => {
                let $desk = &ledger.desk;
                Either::Right(Box::pin($call))
            }
        }
    };
}

impl Ledger {
    /// Decides on a request by the five rules.
    pub fn admit(&self, pool: &str, ask: Ask) -> impl Future<Output = Result<Admission, LedgerError>> {
        each!(self, desk => desk.admit(pool, ask))
    }

    /// Work has ended: running or abandoned to gone; the slot goes to the next ticket in the same step. Idempotent.
    /// `tokens`: what it has used, where that is known.
    pub fn release(
        &self,
        pool: &str,
        attempt: &AttemptId,
        end: End,
        tokens: Option<u64>,
    ) -> impl Future<Output = Result<(), LedgerError>> {
        each!(self, desk => desk.release(pool, attempt, end, tokens))
    }

    /// Gives a ticket up. Where it was granted meanwhile, its slot is freed: nothing ran. Idempotent.
    pub fn cancel(
        &self,
        pool: &str,
        attempt: &AttemptId,
        end: End,
    ) -> impl Future<Output = Result<(), LedgerError>> {
        each!(self, desk => desk.cancel(pool, attempt, end))
    }

    /// Gives running work up: it holds its slot until it is confirmed to have stopped. Idempotent.
    /// `tokens`: what it has used so far, where that is known.
    pub fn abandon(
        &self,
        pool: &str,
        attempt: &AttemptId,
        end: End,
        tokens: Option<u64>,
    ) -> impl Future<Output = Result<(), LedgerError>> {
        each!(self, desk => desk.abandon(pool, attempt, end, tokens))
    }

    /// Abandoned work has stopped. Idempotent.
    pub fn confirm(&self, pool: &str, attempt: &AttemptId) -> impl Future<Output = Result<(), LedgerError>> {
        each!(self, desk => desk.confirm(pool, attempt))
    }

    /// Gives a granted slot back before anything was sent to the client. The ticket waits again, in its old place,
    /// under the id `next`.
    pub fn hand_back(
        &self,
        pool: &str,
        attempt: &AttemptId,
        why: HandBack,
        next: AttemptId,
    ) -> impl Future<Output = Result<Admission, LedgerError>> {
        each!(self, desk => desk.hand_back(pool, attempt, why, next))
    }

    /// Registers a backend, or renews it: its registration holds for 5 s. A new epoch frees what the old one ran.
    pub fn put_backend(&self, pool: &str, backend: Backend) -> impl Future<Output = Result<(), LedgerError>> {
        each!(self, desk => desk.put_backend(pool, backend))
    }

    /// A backend has gone. It stays on the account while something may still run on it.
    pub fn remove_backend(&self, pool: &str, id: &str) -> impl Future<Output = Result<(), LedgerError>> {
        each!(self, desk => desk.remove_backend(pool, id))
    }

    /// Takes in a node report: abandoned attempts that the backend no longer holds are confirmed.
    pub fn reconcile_backend(
        &self,
        pool: &str,
        id: &str,
        held: &[AttemptId],
    ) -> impl Future<Output = Result<(), LedgerError>> {
        each!(self, desk => desk.reconcile_backend(pool, id, held))
    }

    /// Where the account is kept at this moment.
    pub fn mode(&self) -> LedgerMode {
        match self {
            Ledger::Memory(ledger) => ledger.desk.mode(),
            Ledger::Redis(ledger) => ledger.desk.mode(),
        }
    }

    /// Counts and estimates of a pool; `None` where no backend ever served it.
    pub fn view(&self, pool: &str) -> impl Future<Output = Result<Option<View>, LedgerError>> {
        each!(self, desk => desk.view(pool))
    }

    /// Counts and estimates of every pool, by name: cheaper than [`Ledger::fleet`], however many wait.
    pub fn views(&self) -> impl Future<Output = Result<Vec<(String, View)>, LedgerError>> {
        each!(self, desk => desk.views())
    }

    /// The whole account, for `/fleet` and `/health`.
    pub fn fleet(&self) -> impl Future<Output = Result<Fleet, LedgerError>> {
        each!(self, desk => desk.fleet())
    }
}
