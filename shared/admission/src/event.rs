//! What happens to a pool, and what follows from it: the words of the state machine.
//!
//! Every event names its attempt, and every transition is idempotent by that name: an event that is applied a second
//! time (because its answer was lost) changes nothing.

use std::sync::Arc;

pub use crate::attempt::AttemptId;
use crate::{
    caller::Caller,
    decide::{Asked, Numbers, Reason, Refusal},
    limits::Limits,
    mended::Mended,
    priority::Priority,
    time::{Time, seconds},
};

/// How work ended, or why it was given up. Counted for `/health`; only what finished is a sample of service time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum End {
    /// The answer was sent to its last byte.
    Finished,
    /// The backend broke, or the request was at fault.
    Failed,
    /// Its time ran out.
    TimedOut,
    /// The client hung up.
    ClientGone,
}

impl End {
    /// All ends.
    pub const ALL: [End; 4] = [End::Finished, End::Failed, End::TimedOut, End::ClientGone];

    /// The word for it in the account and in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            End::Finished => "finished",
            End::Failed => "failed",
            End::TimedOut => "timed_out",
            End::ClientGone => "client_gone",
        }
    }
}

/// Why a router gives a granted slot back before any work was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HandBack {
    /// The backend said that it is full: the account was wrong by one. The slot counts as abandoned until the
    /// backend's next report.
    Concurrency,
    /// The backend could not be reached. The slot is free, and this ticket avoids this life of that backend.
    Unreachable,
}

impl HandBack {
    /// The word for it in the account and in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            HandBack::Concurrency => "concurrency",
            HandBack::Unreachable => "unreachable",
        }
    }
}

/// A ticket's place: what it keeps when it is handed back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Place {
    /// Its priority.
    pub priority: Priority,
    /// Its number among all arrivals of the pool; smaller goes first within a priority.
    pub arrival: u64,
    /// When it arrived.
    pub entered: Time,
    /// When its time is over.
    pub deadline: Time,
}

/// A backend as it is registered.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Backend {
    /// Stable name.
    pub id: String,
    /// Names this life of its process; a later one is greater, as text, and frees what the old one ran.
    pub epoch: String,
    /// Base URL.
    pub url: String,
    /// Requests that it runs at once.
    pub slots: u32,
    /// True once it takes no new work.
    pub draining: bool,
}

/// A request that asks to come in.
#[derive(Debug, Clone, PartialEq)]
pub struct Admit {
    /// Its first attempt.
    pub attempt: AttemptId,
    /// The router that asks.
    pub router: String,
    /// The limits that this router decides by.
    pub limits: Limits,
    /// Its priority.
    pub priority: Priority,
    /// Microseconds that it has left from now to its last byte.
    pub remaining: u64,
    /// Seconds that its kind takes once it has a slot, where its router can say: see [`crate::history`].
    pub length: Option<f64>,
    /// One uniform draw of [0, 1), for rule 4.
    pub draw: f64,
    /// One uniform draw of [0, 1), which spreads `retry-after`.
    pub jitter: f64,
    /// Id of the backend that it would rather have, where that one has a free slot.
    pub prefer: Option<String>,
    /// Whose it is, where keys are in use.
    pub caller: Option<Arc<Caller>>,
}

impl Admit {
    /// What it brings to its decision.
    pub fn asked(&self) -> Asked {
        Asked {
            priority: self.priority,
            remaining: seconds(self.remaining),
            length: self.length,
            draw: self.draw,
            jitter: self.jitter,
        }
    }
}

/// A granted slot that comes back unused: its ticket takes its old place under another attempt id.
#[derive(Debug, Clone, PartialEq)]
pub struct Return {
    /// The attempt that was granted.
    pub attempt: AttemptId,
    /// The attempt that waits in its place.
    pub next: AttemptId,
    /// The router that holds both.
    pub router: String,
    /// The limits that this router decides by.
    pub limits: Limits,
    /// Why it comes back.
    pub why: HandBack,
    /// The place that it had, as its grant said.
    pub place: Place,
    /// Whose it is, where keys are in use: counts where the account has lost the attempt.
    pub caller: Option<Arc<Caller>>,
}

/// A router's renewal of its lease, as a whole.
#[derive(Debug, Clone, PartialEq)]
pub struct Renewal {
    /// The router that renews.
    pub router: String,
    /// Counts what this router says of itself as a whole, renewals and re-entries alike, from 1 up. The account acts on
    /// none twice, and on none that is older than the last.
    pub number: u64,
    /// What it decides by, for people.
    pub flags: String,
    /// The limits that it decides by.
    pub limits: Limits,
    /// Every attempt that it knows. What it leaves out at two renewals running is freed.
    pub known: Vec<AttemptId>,
    /// Those whose fate it asks for: they wait, or they are abandoned.
    pub check: Vec<AttemptId>,
    /// Microseconds from one reconciliation of abandoned work to the next.
    pub reset_interval: u64,
}

/// A router that was without the ledger for a while, or whose ledger has lost something, says all that it holds in the
/// pool: its word counts for its own attempts, and replaces what the account has of them.
#[derive(Debug, Clone, PartialEq)]
pub struct Reentry {
    /// The router.
    pub router: String,
    /// Counts on with [`Renewal::number`].
    pub number: u64,
    /// What it decides by, for people.
    pub flags: String,
    /// The limits that it decides by.
    pub limits: Limits,
    /// Routers that it last knew of, itself among them: an account that knows nothing waits for as many to re-enter.
    pub routers: u32,
    /// All that it holds.
    pub held: Vec<Held>,
}

/// One attempt as its router holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// The attempt.
    pub attempt: AttemptId,
    /// Its place.
    pub place: Place,
    /// Lives of backends that it avoids, as [`Seat::life`] names them: they could not be reached for it.
    pub avoid: Vec<String>,
    /// What it is doing.
    pub stage: Stage,
    /// Whose it is, where keys are in use.
    pub caller: Option<Arc<Caller>>,
}

/// What a held attempt is doing.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Stage {
    /// It waits for a slot.
    Waiting,
    /// It runs.
    Running(Seat),
    /// It was given up, and its work may still run.
    Abandoned(Seat),
}

/// A slot as it was granted: on this life of this backend, since then.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Seat {
    /// Id of the backend.
    pub backend: String,
    /// This life of it.
    pub epoch: String,
    /// When it was granted.
    pub since: Time,
}

impl Seat {
    /// Names the life of the backend, for tickets that avoid it.
    pub fn life(&self) -> String {
        life(&self.backend, &self.epoch)
    }
}

/// Names one life of a backend, for tickets that avoid it.
pub(crate) fn life(backend: &str, epoch: &str) -> String {
    format!("{backend}\n{epoch}")
}

/// What happens to a pool.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A request asks to come in.
    Admit(Admit),
    /// An attempt's work has ended: running or abandoned to gone. With the tokens that it has used, where they are known.
    Release(AttemptId, End, Option<u64>),
    /// A ticket is given up. Where it was granted meanwhile, its slot is freed: nothing ran.
    Cancel(AttemptId, End),
    /// A running request is given up; it holds its slot until its work is known to have stopped. With the tokens that it has used
    /// so far, where they are known.
    Abandon(AttemptId, End, Option<u64>),
    /// The work of an abandoned request has stopped.
    Confirm(AttemptId),
    /// A granted slot is given back unused.
    HandBack(Return),
    /// A backend registers or renews.
    PutBackend(Backend),
    /// A backend has gone.
    RemoveBackend(String),
    /// A backend reports the attempts that it holds: abandoned ones that it does not hold have stopped.
    Reconcile(String, Vec<AttemptId>),
    /// A router renews its lease.
    Renew(Renewal),
    /// A router says all that it holds, after a time without the ledger.
    Reenter(Reentry),
    /// A router has refused so many requests, for each reason, from the view that it had.
    Refused(Vec<(Reason, u32)>),
    /// Nothing but that time passes.
    Tick,
}

impl Event {
    /// Whether it opens a pool that does not exist yet.
    pub fn opens(&self) -> bool {
        matches!(self, Event::PutBackend(_) | Event::Reenter(_))
    }

    /// Whose request asks to come in, where one does and keys are in use.
    pub fn caller(&self) -> Option<&Caller> {
        match self {
            Event::Admit(ask) => ask.caller.as_deref(),
            _ => None,
        }
    }
}

/// The routers of a pool, as one of them learns it at each renewal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Roll {
    /// The ledger's clock.
    pub at: Time,
    /// Routers with a lease, this one among them.
    pub routers: u32,
    /// Those whose id comes before this one's.
    pub rank: u32,
}

/// A slot given to an attempt.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Granted {
    /// The attempt that may run.
    pub attempt: AttemptId,
    /// The router that holds it.
    pub router: String,
    /// Id of the backend.
    pub backend: String,
    /// Base URL of the backend.
    pub url: String,
    /// This life of the backend.
    pub epoch: String,
    /// When it was granted.
    pub since: Time,
    /// Its place, should it have to be handed back.
    pub place: Place,
}

/// What follows for routers other than by the answer to their own call.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Action {
    /// A waiting ticket got a slot.
    Grant(Granted),
    /// A waiting ticket is gone.
    Drop {
        /// Its attempt.
        attempt: AttemptId,
        /// The router that held it.
        router: String,
        /// Why it is gone.
        reason: Reason,
    },
}

/// The answer to the caller.
#[derive(Debug, Clone, PartialEq)]
pub enum Reply {
    /// Done, or done before.
    Done,
    /// The attempt runs. Numbers where it was decided on in this call.
    Granted(Granted, Option<Numbers>),
    /// The attempt waits.
    Queued {
        /// 1 for the ticket that is served next.
        position: u32,
        /// Where it stands.
        place: Place,
        /// Where it was decided on in this call.
        numbers: Option<Numbers>,
    },
    /// The attempt is refused and holds nothing.
    Rejected(Refusal, Option<Numbers>),
    /// The lease is renewed.
    Renewed {
        /// Of the checked attempts: those that run.
        granted: Vec<Granted>,
        /// Of the known attempts: those that the account does not have as this router's.
        gone: Vec<AttemptId>,
        /// The account has lost its memory and waits for the routers: this one must re-enter what it holds.
        recovering: bool,
        /// Who else there is.
        roll: Roll,
    },
    /// What the router holds is on the account.
    Reentered {
        /// Others have yet to re-enter: until then nothing is granted.
        recovering: bool,
        /// Who else there is.
        roll: Roll,
    },
}

/// All that one event caused.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// For the caller.
    pub reply: Reply,
    /// For people: what should not have been.
    pub mended: Mended,
    /// For the routers that are named in them, in the order in which they happened.
    pub actions: Vec<Action>,
}
