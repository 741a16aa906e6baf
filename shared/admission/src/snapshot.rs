//! The whole account of a pool at one instant: for `/fleet` and `/health`, and to compare two ledgers by.

use crate::{decide::Reason, event::End, priority::Priority, time::Time, view::View};

/// Microseconds of one bucket of the totals.
pub const BUCKET: u64 = 5_000_000;
/// Buckets that the totals cover: 60 s in all.
pub const BUCKETS: u64 = 12;

/// What is counted over the last 60 s.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Counted {
    /// Let in: granted at once or queued.
    Admitted,
    /// Refused at the door.
    Rejected(Reason),
    /// Ended, after having been let in.
    Ended(End),
}

impl Counted {
    /// The word for it in the account.
    pub fn as_str(self) -> &'static str {
        match self {
            Counted::Admitted => "admitted",
            Counted::Rejected(reason) => reason.as_str(),
            Counted::Ended(end) => end.as_str(),
        }
    }
}

/// Counts of the last 60 s (to the nearest 5 s).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    /// Requests let in.
    pub admitted: u64,
    /// Refused by rule 4.
    pub capacity: u64,
    /// Refused by rule 2.
    pub queue_full: u64,
    /// Refused by rule 3.
    pub deadline: u64,
    /// Refused because no backend was live.
    pub no_backend: u64,
    /// Refused because of their keys' limits: no sign of a full fleet, and counted with no other refusals.
    pub rate_limited: u64,
    /// Ended well.
    pub finished: u64,
    /// Ended badly: the backend broke, or the ticket lost its place to one handed back.
    pub failed: u64,
    /// Ran out of time, waiting or running.
    pub timed_out: u64,
    /// Given up by their clients.
    pub client_gone: u64,
}

impl Totals {
    /// Requests that asked to come in.
    pub fn attempts(&self) -> u64 {
        self.admitted + self.rejections()
    }

    /// Requests refused at the door.
    pub fn rejections(&self) -> u64 {
        self.capacity + self.queue_full + self.deadline + self.no_backend
    }

    /// Adds `count` of something, by the word for it; words that name nothing here count nothing.
    pub fn add(&mut self, word: &str, count: u64) {
        let field = match word {
            "admitted" => &mut self.admitted,
            "capacity" => &mut self.capacity,
            "queue_full" => &mut self.queue_full,
            "deadline" => &mut self.deadline,
            "no_backend" => &mut self.no_backend,
            "rate_limit_exceeded" => &mut self.rate_limited,
            "finished" => &mut self.finished,
            "failed" => &mut self.failed,
            "timed_out" => &mut self.timed_out,
            "client_gone" => &mut self.client_gone,
            _ => return,
        };
        *field = field.saturating_add(count);
    }

    /// Adds another account's counts.
    pub fn merge(&mut self, other: &Totals) {
        self.admitted += other.admitted;
        self.capacity += other.capacity;
        self.queue_full += other.queue_full;
        self.deadline += other.deadline;
        self.no_backend += other.no_backend;
        self.rate_limited += other.rate_limited;
        self.finished += other.finished;
        self.failed += other.failed;
        self.timed_out += other.timed_out;
        self.client_gone += other.client_gone;
    }
}

/// Whether a backend takes work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BackendState {
    /// It takes work.
    Live,
    /// It finishes what it has.
    Draining,
    /// It no longer renews; it stays on the account until nothing is left that ran on it.
    Gone,
}

impl BackendState {
    /// The word for it in `/fleet`.
    pub fn as_str(self) -> &'static str {
        match self {
            BackendState::Live => "live",
            BackendState::Draining => "draining",
            BackendState::Gone => "gone",
        }
    }
}

/// One backend on the account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackendView {
    /// Stable name.
    pub id: String,
    /// Base URL.
    pub url: String,
    /// This life of it.
    pub epoch: String,
    /// Requests that it runs at once.
    pub slots: u32,
    /// Requests that run on it.
    pub running: u32,
    /// Given up there, not confirmed.
    pub abandoned: u32,
    /// Whether it takes work.
    pub state: BackendState,
}

/// One waiting ticket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TicketView {
    /// Its attempt.
    pub id: String,
    /// The router that holds it.
    pub router: String,
    /// Its priority.
    pub priority: Priority,
    /// Microseconds since its request arrived.
    pub age: u64,
}

/// One router with a lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouterView {
    /// Its id: one life of one process.
    pub id: String,
    /// Microseconds since it renewed its lease.
    pub age: u64,
    /// What it decides by; empty until its first renewal.
    pub flags: String,
}

/// The whole account.
#[derive(Debug, Clone, PartialEq)]
pub struct Snapshot {
    /// Counts and estimates.
    pub view: View,
    /// Counts of the last 60 s.
    pub totals: Totals,
    /// Backends by id.
    pub backends: Vec<BackendView>,
    /// Tickets in the order of service.
    pub tickets: Vec<TicketView>,
    /// Routers by id.
    pub routers: Vec<RouterView>,
    /// When abandoned work was last reconciled.
    pub last_reset: Time,
}

impl Snapshot {
    /// Microseconds that the oldest ticket has waited; 0 with an empty queue.
    pub fn oldest_wait(&self) -> u64 {
        self.tickets.iter().map(|ticket| ticket.age).max().unwrap_or(0)
    }
}
