//! The engine: one thread that steps one model, and a handle to it for everybody else.
//!
//! Every step decodes one token for each running sequence and prefills a bounded chunk of the prompts that
//! wait, in a single packed forward pass. Sequences join and leave between steps.
//!
//! Reading order: [`request`] (what is asked), [`stream`] (what comes back), `sequence` (one request at work),
//! `scheduler` (what the next step computes), `sampler` (logits to a token), `step_loop` (the thread),
//! [`stats`] (what can be seen from outside).

pub mod request;
pub mod stats;
pub mod stream;

use crate::model::Decoder;
pub use request::{EngineError, GenerateRequest, Sampling};
pub use stats::EngineStats;
pub use stream::{EngineEvent, FinishReason, TokenStream};

/// How much the engine does at once.
#[derive(Clone, Debug)]
pub struct EngineOptions {
    /// Sequences that decode together; more wait in the engine, first come, first served.
    pub max_sequences: usize,
    /// Tokens computed in one step, decodes first, the rest for prefill: a running stream never waits longer
    /// than one step of this size.
    pub max_batch_tokens: usize,
    /// Bytes for keys and values. `None`: what `max_sequences` full contexts need, but at most half of the
    /// memory that is free at start.
    pub kv_cache_bytes: Option<u64>,
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self { max_sequences: 8, max_batch_tokens: 256, kv_cache_bytes: None }
    }
}

/// Handle to a running engine. Cheap to clone; the thread ends when the last handle is dropped and the last
/// sequence has left.
#[derive(Clone, Debug)]
pub struct Engine;

impl Engine {
    /// Reserves the cache and starts the step loop on its own thread.
    ///
    /// # Errors
    /// When the cache does not fit or the thread cannot be started.
    pub fn start(decoder: Decoder, options: EngineOptions) -> Result<Self, EngineError> {
        let _ = (decoder, options);
        Err(EngineError::Stopped)
    }

    /// Hands a request to the engine; tokens arrive on the stream that is returned.
    ///
    /// `max_tokens` is cut to what the context leaves after the prompt.
    ///
    /// # Errors
    /// When the prompt is empty, leaves no room in the context or holds an unknown token, when a sampling
    /// parameter is out of range, or when the engine has stopped.
    pub fn generate(&self, request: GenerateRequest) -> Result<TokenStream, EngineError> {
        let _ = request;
        Err(EngineError::Stopped)
    }

    /// The tokens that prompt and answer may have together: the model's context, or less where the cache is
    /// smaller than one context.
    #[must_use]
    pub fn context_length(&self) -> usize {
        0
    }

    /// Counts since the start, and what runs now.
    #[must_use]
    pub fn stats(&self) -> EngineStats {
        EngineStats::default()
    }
}
