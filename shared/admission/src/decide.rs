//! The five rules of admission. One pure function from a view, the limits and what is asked to a decision.

use std::fmt;

use crate::{caller::Allowance, estimate::WINDOW, limits::Limits, priority::Priority, view::View};

/// Part of the drain rate that lower priorities are credited with however many higher tickets are taken.
pub const LEAST_SHARE: f64 = 0.02;
/// Requests that ask for each slot that comes free, from which on a request's own length counts. With fewer, long ones too
/// find a slot sooner or later, and refusing them gains nothing.
pub const CROWDED: f64 = 2.0;
/// Bounds of `retry-after` in seconds.
pub const RETRY_AFTER: (f64, f64) = (0.5, 60.0);

/// Why a request is refused, or a ticket dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reason {
    /// The draw fell below the rejection probability (rule 4).
    Capacity,
    /// The queue is at the limit of this priority (rule 2), or a ticket in its old place needed the last one's.
    QueueFull,
    /// It could not finish in time (rule 3), or its time ran out while it waited.
    Deadline,
    /// No live backend serves the pool, and none did for a while.
    NoBackend,
    /// No backend ever served such a pool.
    UnknownPool,
    /// The limits of the request's key do not allow it now.
    RateLimit,
}

impl Reason {
    /// All reasons.
    pub const ALL: [Reason; 6] = [
        Reason::Capacity,
        Reason::QueueFull,
        Reason::Deadline,
        Reason::NoBackend,
        Reason::UnknownPool,
        Reason::RateLimit,
    ];

    /// The word for it in error codes, headers and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Reason::Capacity => "capacity",
            Reason::QueueFull => "queue_full",
            Reason::Deadline => "deadline",
            Reason::NoBackend => "no_backend",
            Reason::UnknownPool => "unknown_pool",
            Reason::RateLimit => "rate_limit_exceeded",
        }
    }

    /// The reason that a word names, exactly as [`Reason::as_str`] writes it.
    pub fn from_word(word: &str) -> Option<Reason> {
        Reason::ALL.into_iter().find(|reason| reason.as_str() == word)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What one request brings to its decision.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Asked {
    /// Its priority.
    pub priority: Priority,
    /// Seconds that it has left from now to its last byte.
    pub remaining: f64,
    /// Seconds that its kind takes once it has a slot, where its router can say: see [`crate::history`].
    pub length: Option<f64>,
    /// One uniform draw of [0, 1) per request, for rule 4.
    pub draw: f64,
    /// One uniform draw of [0, 1), which spreads `retry-after`.
    pub jitter: f64,
}

/// What was measured and predicted, in seconds and per second.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Measured {
    /// Mean service time.
    pub mean: f64,
    /// 90th percentile of the service time.
    pub p90: f64,
    /// Slots that come free per second while all are busy.
    pub drain: f64,
    /// Predicted wait of this request.
    pub wait: f64,
    /// Wait that it can afford.
    pub budget: f64,
}

/// The numbers behind a decision, for logs and spans.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Numbers {
    /// Slots over live backends that are not draining.
    pub slots: f64,
    /// Running + abandoned + ahead.
    pub held: f64,
    /// Tickets that would be served before this request.
    pub ahead: f64,
    /// Tickets of all priorities.
    pub queued: f64,
    /// Tickets at which its priority is refused.
    pub queue_limit: f64,
    /// Slots + queue limit.
    pub capacity: f64,
    /// Rejection probability.
    pub p: f64,
    /// The draw that was compared with it.
    pub draw: f64,
    /// Present once a service time is known and the pool has slots.
    pub measured: Option<Measured>,
    /// What the request's key has used, this request included where it was admitted; present where it came with a key.
    pub allowance: Option<Allowance>,
}

/// A refusal.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Refusal {
    /// Why.
    pub reason: Reason,
    /// Seconds after which a retry has a chance.
    pub retry_after: f64,
    /// A retry with as little time cannot succeed either, however idle the fleet.
    pub hopeless: bool,
}

/// The three answers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Verdict {
    /// A slot is free and nobody waits: run at once.
    Admit,
    /// Wait for a slot.
    Queue,
    /// Refused.
    Reject(Refusal),
}

/// A verdict and what it rests on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Decision {
    /// The answer.
    pub verdict: Verdict,
    /// Its numbers.
    pub numbers: Numbers,
}

/// Applies the rules in their order.
pub fn decide(view: &View, limits: &Limits, asked: &Asked) -> Decision {
    let numbers = numbers(view, limits, asked);
    let verdict = match rejects(view, view.free, limits, &numbers) {
        Some(reason) => Verdict::Reject(refuse(reason, view, &numbers, asked)),
        None if view.free && view.queued_total() == 0 => Verdict::Admit,
        None => Verdict::Queue,
    };
    Decision { verdict, numbers }
}

/// The refusal of a request for a reason found outside the rules, with the same `retry-after` as theirs.
pub fn refuse(reason: Reason, view: &View, numbers: &Numbers, asked: &Asked) -> Refusal {
    Refusal {
        reason,
        retry_after: retry_after(view, numbers, asked.jitter),
        hopeless: numbers.measured.is_some_and(|measured| asked.remaining <= measured.p90),
    }
}

/// Rules 1 to 4; none of them means rule 5. `free`: whether a slot is.
pub(crate) fn rejects(view: &View, free: bool, limits: &Limits, numbers: &Numbers) -> Option<Reason> {
    if numbers.slots <= 0.0 && !view.holds(limits.pool_memory) {
        return Some(Reason::NoBackend);
    }
    if free && numbers.queued <= 0.0 {
        return None;
    }
    if numbers.queued >= numbers.queue_limit {
        return Some(Reason::QueueFull);
    }
    if numbers.measured.is_some_and(|measured| measured.wait > measured.budget) {
        return Some(Reason::Deadline);
    }
    (numbers.draw < numbers.p).then_some(Reason::Capacity)
}

/// The quantities of the rules.
pub fn numbers(view: &View, limits: &Limits, asked: &Asked) -> Numbers {
    let slots = f64::from(view.slots);
    let ahead = f64::from(view.ahead(asked.priority));
    let held = f64::from(view.running) + f64::from(view.abandoned) + ahead;
    let queue_limit = limits.queue_limit(asked.priority);
    let capacity = slots + queue_limit;
    Numbers {
        slots,
        held,
        ahead,
        queued: f64::from(view.queued_total()),
        queue_limit,
        capacity,
        p: probability(held, slots, capacity, limits.rejection_start),
        draw: asked.draw,
        measured: measured(view, limits, asked, ahead),
        allowance: None,
    }
}

/// Where the curve begins: the held requests up to which none is rejected.
pub fn start(slots: f64, capacity: f64, rejection_start: f64) -> f64 {
    let wished = rejection_start * capacity;
    if wished > slots { wished } else { slots }
}

/// The rejection probability: 0 up to the start of the curve, then a straight line to 1 at the capacity.
pub fn probability(held: f64, slots: f64, capacity: f64, rejection_start: f64) -> f64 {
    let start = start(slots, capacity, rejection_start);
    if capacity <= start {
        return 0.0;
    }
    let p = (held - start) / (capacity - start);
    p.clamp(0.0, 1.0)
}

/// The predicted wait and the budget. Nothing before the first service time, nor on a cold pool.
fn measured(view: &View, limits: &Limits, asked: &Asked, ahead: f64) -> Option<Measured> {
    let estimate = &view.estimate;
    if !estimate.measured() || view.slots == 0 {
        return None;
    }
    let drain = estimate.drain(f64::from(view.slots));
    let left = drain - view.taken_above(asked.priority) / WINDOW;
    let least = LEAST_SHARE * drain;
    let wait = (ahead + 1.0) / if left > least { left } else { least };
    let crowded = estimate.attempts_per_second() >= CROWDED * drain;
    let length = asked.length.filter(|_| crowded).unwrap_or(estimate.p90);
    let (affordable, share) = (asked.remaining - length, limits.wait_share * asked.remaining);
    let budget = if affordable < share { affordable } else { share };
    Some(Measured { mean: estimate.mean, p90: estimate.p90, drain, wait, budget })
}

/// `clamp(max(wait, 1 s) * max(1, attempts per s / drain) * U(0.5, 1.5), 0.5 s, 60 s)`, in seconds.
pub fn retry_after(view: &View, numbers: &Numbers, jitter: f64) -> f64 {
    let (wait, overload) = match numbers.measured {
        Some(measured) => (measured.wait, view.estimate.attempts_per_second() / measured.drain),
        None => (1.0, 1.0),
    };
    let wait = if wait > 1.0 { wait } else { 1.0 };
    let overload = if overload > 1.0 { overload } else { 1.0 };
    (wait * overload * (0.5 + jitter)).clamp(RETRY_AFTER.0, RETRY_AFTER.1)
}
