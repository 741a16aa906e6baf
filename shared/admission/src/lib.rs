//! Who may come in: Tidegate's admission rules and the state machine of its ledger.
//!
//! Pure and std only. No clock, no randomness, no I/O: the time, the draw and the jitter are inputs, so that the
//! same inputs give the same answer in memory, in Redis (whose scripts mirror this crate rule by rule), in a model
//! checker and in a simulation. Arithmetic is add, compare, multiply and divide on `f64`, which rounds alike
//! everywhere.
//!
//! Read in this order:
//!
//! 1. [`time`] and [`priority`]: instants in microseconds, and who goes first.
//! 2. [`limits`]: the thresholds that a router's flags set.
//! 3. [`estimate`]: service time and drain rate, measured and decaying.
//! 4. [`history`]: how long requests of a kind take, as one router has seen it.
//! 5. [`view`]: what a decision is made from.
//! 6. [`decide`]: the five rules, `p`, the predicted wait and `retry-after`.
//! 7. [`caller`]: whose a request is: what its key may use, and its tenant's part of the fleet.
//! 8. [`stale`]: refusals from a view that a router already has.
//! 9. [`event`]: what happens to a pool, and what follows from it; [`attempt`]: its subject.
//! 10. [`pool`]: the state machine: events in, actions out.
//! 11. [`share`]: what each router may do while the ledger is out of reach.
//! 12. [`snapshot`]: the whole account, for people and for comparison; [`mended`]: what it puts right by itself.
//! 13. [`invariants`]: what holds in every state, as named predicates.

pub mod attempt;
pub mod caller;
pub mod decide;
pub mod estimate;
pub mod event;
pub mod history;
pub mod invariants;
pub mod limits;
pub mod mended;
pub mod pool;
pub mod priority;
pub mod share;
pub mod snapshot;
pub mod stale;
pub mod time;
pub mod view;

#[cfg(test)]
mod tests;

pub use caller::{Allowance, Caller, Quota};
pub use decide::{Asked, Decision, Measured, Numbers, Reason, Refusal, Verdict};
pub use event::{
    Action, Admit, AttemptId, Backend, End, Event, Granted, HandBack, Held, Outcome, Place, Reentry, Renewal,
    Reply, Return, Roll, Seat, Stage,
};
pub use history::{Class, History};
pub use limits::Limits;
pub use mended::Mended;
pub use pool::Pool;
pub use priority::Priority;
pub use share::Share;
pub use time::Time;
pub use view::View;
