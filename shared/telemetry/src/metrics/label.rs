//! The label sets. Values come from configuration, from the account or from Tidegate itself, never from a client; pools and
//! backends, which operators name, pass a [bound](super::bound) besides.

use prometheus_client::encoding::EncodeLabelSet;

/// By pool, that is by model.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Pool {
    /// The pool's model name; empty where a request named no known one.
    pub(super) pool: String,
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Answer {
    /// The pool's model name; empty where a request named no known one.
    pub(super) pool: String,
    /// The path as the route table has it.
    pub(super) route: &'static str,
    /// The HTTP status.
    pub(super) status: u16,
}

/// A refusal at the door.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Refusal {
    /// The error code: `capacity`, `queue_full`, `deadline`, `no_backend`, `rate_limit_exceeded`, `draining`, `ledger_unavailable`.
    pub(super) reason: &'static str,
    /// `high`, `normal` or `low`; empty where a request was refused before it was read.
    pub(super) priority: &'static str,
    /// The pool's model name; empty where a request was refused before it was read.
    pub(super) pool: String,
}

/// A request that was let in.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Admission {
    /// `high`, `normal` or `low`.
    pub(super) priority: &'static str,
    /// The pool's model name.
    pub(super) pool: String,
}

/// A wait that is over.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Wait {
    /// How it ended: see [`WaitEnd`](super::WaitEnd).
    pub(super) outcome: &'static str,
    /// `high`, `normal` or `low`.
    pub(super) priority: &'static str,
    /// The pool's model name.
    pub(super) pool: String,
}

/// A request that goes to another backend.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Resend {
    /// `concurrency` or `unreachable`.
    pub(super) reason: &'static str,
    /// The pool's model name.
    pub(super) pool: String,
}

/// What went wrong at a backend.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Trouble {
    /// See [`BackendError`](super::BackendError).
    pub(super) kind: &'static str,
    /// The backend's id on the account.
    pub(super) backend: String,
    /// The pool's model name.
    pub(super) pool: String,
}

/// A request that wished for a backend.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Preference {
    /// `met` or `missed`.
    pub(super) outcome: &'static str,
    /// The pool's model name.
    pub(super) pool: String,
}

/// One kind of call of the shared ledger.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Operation {
    /// `admit`, `finish`, `hand_back`, `backend`, `renew`, `reenter` or `look`.
    pub(super) operation: &'static str,
}

/// A kind of failure.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Failure {
    /// `unavailable`, `protocol` or `address`.
    pub(super) kind: &'static str,
}

/// A lease that ran out.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Lease {
    /// `router` or `backend`.
    pub(super) holder: &'static str,
    /// The pool's model name.
    pub(super) pool: String,
}

/// Something that the account took back.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Reclaimed {
    /// `ticket` or `slot`.
    pub(super) held: &'static str,
    /// The pool's model name.
    pub(super) pool: String,
}

/// Backends of a pool in one state.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct BackendState {
    /// `live`, `ejected`, `trial`, `draining` or `gone`.
    pub(super) state: &'static str,
    /// The pool's model name.
    pub(super) pool: String,
}

/// One backend of a pool.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Backend {
    /// The backend's id on the account.
    pub(super) backend: String,
    /// The pool's model name.
    pub(super) pool: String,
}

/// An answer of a backend.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Status {
    /// The path as the route table has it.
    pub(super) route: &'static str,
    /// The HTTP status.
    pub(super) status: u16,
}

/// How a request's answer came to its end.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Finish {
    /// OpenAI's word: `stop`, `length`, `tool_calls`.
    pub(super) finished_reason: &'static str,
}

/// How a sequence left the engine.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Departure {
    /// `finished`, `cancelled`, `failed` or `timed_out`.
    pub(super) ended: &'static str,
}

/// The cache.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Cache {
    /// Tokens of one block.
    pub(super) block_size: u64,
    /// Blocks.
    pub(super) num_blocks: u64,
}

/// What runs here.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Build {
    /// `router` or `backend`.
    pub(super) component: &'static str,
    /// The version of Tidegate.
    pub(super) version: &'static str,
}

/// OpenTelemetry's attributes of a GenAI server's request, dots as underscores.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct GenAi {
    /// `chat`, `text_completion` or `embeddings`.
    pub(super) gen_ai_operation_name: &'static str,
    /// Who runs the model: `tidegate`.
    pub(super) gen_ai_provider_name: &'static str,
    /// The model's name.
    pub(super) gen_ai_request_model: String,
    /// The HTTP status of a failure; empty for a success.
    pub(super) error_type: String,
}
