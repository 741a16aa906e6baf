//! What the engine's thread counts as it works.

use std::time::Duration;

use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::{bucket, name};

/// Times and sizes of steps and of what sequences go through. Clones count together; the engine has one, the registry another.
#[derive(Debug, Clone)]
pub struct EngineMetrics {
    step_time: Histogram,
    step_sequences: Histogram,
    step_tokens: Histogram,
    queue_time: Histogram,
    prefill_time: Histogram,
    inter_token: Histogram,
    decode_time: Histogram,
    inference_time: Histogram,
}

impl Default for EngineMetrics {
    fn default() -> Self {
        Self {
            step_time: bucket::short(),
            step_sequences: bucket::sequences(),
            step_tokens: bucket::tokens(),
            queue_time: bucket::request(),
            prefill_time: bucket::request(),
            inter_token: bucket::short(),
            decode_time: bucket::request(),
            inference_time: bucket::request(),
        }
    }
}

impl EngineMetrics {
    pub(super) fn register(&self, to: &mut Registry) {
        to.register(name::STEP_TIME, "Seconds of one step of the engine", self.step_time.clone());
        to.register(name::STEP_SEQUENCES, "Sequences that one step computes", self.step_sequences.clone());
        to.register(name::STEP_TOKENS, "Tokens that one step computes", self.step_tokens.clone());
        let help = "Seconds that a sequence waits for its place in the batch";
        to.register(name::QUEUE_TIME, help, self.queue_time.clone());
        let help = "Seconds from the place in the batch to the first token";
        to.register(name::PREFILL_TIME, help, self.prefill_time.clone());
        to.register(name::INTER_TOKEN, "Seconds between two tokens of an answer", self.inter_token.clone());
        let help = "Seconds from the first token to the last";
        to.register(name::DECODE_TIME, help, self.decode_time.clone());
        let help = "Seconds from the place in the batch to the last token";
        to.register(name::INFERENCE_TIME, help, self.inference_time.clone());
    }

    /// One step computed so many tokens of so many sequences in this time.
    pub fn step(&self, took: Duration, sequences: usize, tokens: usize) {
        self.step_time.observe(took.as_secs_f64());
        self.step_sequences.observe(sequences as f64);
        self.step_tokens.observe(tokens as f64);
    }

    /// A sequence got its place in the batch after this wait.
    pub fn entered(&self, waited: Duration) {
        self.queue_time.observe(waited.as_secs_f64());
    }

    /// A sequence's first token came this long after it had got its place.
    pub fn first_token(&self, took: Duration) {
        self.prefill_time.observe(took.as_secs_f64());
    }

    /// Another token came this long after the one before.
    pub fn next_token(&self, took: Duration) {
        self.inter_token.observe(took.as_secs_f64());
    }

    /// A sequence came to its end: so long after its first token, and so long after it had got its place.
    pub fn finished(&self, decoding: Duration, inference: Duration) {
        self.decode_time.observe(decoding.as_secs_f64());
        self.inference_time.observe(inference.as_secs_f64());
    }
}
