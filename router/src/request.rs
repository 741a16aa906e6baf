//! The way of one request, from bytes to the last byte of its answer. Read in the order of the way:
//!
//! 0. [`way`]: its steps in one place; [`answer`]: whatever goes wrong in them becomes an answer, and all are counted.
//! 1. [`tenant`]: who may come in, where keys are in use.
//! 2. [`intake`]: an HTTP request becomes a [`Job`], or is refused as bad; `field` is what it reads of the body.
//! 3. [`stream_open`]: a stream that waits long is opened and kept alive.
//!    [`fallback`]: where its pool refuses, another one is asked, by [`model`]'s other name in the body.
//! 4. [`admission`]: the ledger gives a slot, a ticket, or a refusal.
//! 5. [`permit`]: the guards that hold ticket and slot; [`meter`] is what they have cost.
//! 6. [`lengths`]: what this router has learnt of how long requests take.
//! 7. [`dispatch`]: the job goes to the backend of the slot; [`forwarded`]: what that is told of the client; [`idle`]: how long it may
//!    be silent; [`retries`]: how often it may go to another one.
//! 8. [`body`]: the answer flows back and holds the slot to its last byte; [`watched`]: it ends at its deadline whatever its client
//!    does.
//!
//! `hostile` is what holds for whatever strangers send.
//!
//! What the way says of a request: [`access`] is what all layers note and the line that comes of it, `decision` and [`call`] are the
//! spans of an admission and of an attempt; `usage` and `content` read the answer as it passes.

pub mod access;
pub mod admission;
pub mod answer;
pub mod body;
pub mod call;
mod content;
mod decision;
pub mod dispatch;
pub mod fallback;
mod field;
pub mod forwarded;
#[cfg(any(test, fuzzing))]
pub mod hostile;
pub mod idle;
pub mod intake;
pub mod lengths;
pub mod meter;
mod model;
pub mod permit;
pub mod retries;
pub mod stream_open;
pub mod tenant;
mod usage;
pub mod watched;
pub mod way;

use crate::names::Destination;
use access::Notes;
use bytes::Bytes;
use http::{HeaderMap, Uri};
use std::sync::Arc;
use tidegate_admission::{Caller, Class, Priority};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

/// A request that was read whole and may ask for admission.
#[derive(Debug, Clone)]
pub struct Job {
    /// Path and query as the client sent them; backends know the same paths.
    pub target: Uri,
    /// The headers that a backend gets, but for what each attempt adds.
    pub headers: HeaderMap,
    /// The body, forwarded byte for byte but for the model's name where the client used another one.
    pub body: Bytes,
    /// The room that the body takes of what all bodies share, where it is no small one.
    pub room: Option<Arc<OwnedSemaphorePermit>>,
    /// The model, as its backends name it.
    pub model: String,
    /// The pool that serves it.
    pub pool: String,
    /// True where that is not the model that was asked for, but one that serves instead.
    pub fallback: bool,
    /// Where it goes if that pool refuses it.
    pub others: Vec<Destination>,
    /// True where the client asked for server-sent events.
    pub stream: bool,
    /// Its class in the queue.
    pub priority: Priority,
    /// Tokens that its answer may have at most, where it says so.
    pub max_tokens: Option<u64>,
    /// The requests that its length is told by: those that declare as many tokens.
    pub class: Class,
    /// When its head had been read.
    pub arrived: Instant,
    /// The instant at which the last byte must have gone out.
    pub deadline: Instant,
    /// The uniform draw in `[0, 1)` that rule 4 compares with the rejection probability.
    pub draw: f64,
    /// The uniform draw in `[0, 1)` that spreads `retry-after`.
    pub jitter: f64,
    /// Whose it is, where keys are in use.
    pub caller: Option<Arc<Caller>>,
    /// What is known of it so far.
    pub notes: Notes,
}
