//! The label sets.

use prometheus_client::encoding::EncodeLabelSet;

/// By pool, that is by model.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Pool {
    /// The pool's model name; empty where a request named no known one.
    pub pool: String,
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Answer {
    /// The pool's model name; empty where a request named no known one.
    pub pool: String,
    /// The path as the route table has it.
    pub route: &'static str,
    /// The HTTP status.
    pub status: u16,
}

/// A refusal at the door.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Refusal {
    /// The error code: `capacity`, `queue_full`, `deadline`, `no_backend`, `draining`.
    pub reason: &'static str,
    /// `high`, `normal` or `low`.
    pub priority: &'static str,
    /// The pool's model name.
    pub pool: String,
}

/// An answer of a backend.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Status {
    /// The path as the route table has it.
    pub route: &'static str,
    /// The HTTP status.
    pub status: u16,
}
