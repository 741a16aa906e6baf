//! One request at work.

use std::any::Any;
use std::sync::Arc;

use tokio::sync::mpsc::Sender;

use super::request::GenerateRequest;
use super::sampler::{SampleError, Sampled, Sampler};
use super::stats::Unfinished;
use super::stream::{EngineEvent, FinishReason};
use crate::model::Chunk;
use crate::model::cache::BLOCK_TOKENS;

/// A sequence in the engine, waiting or running.
pub(super) struct Sequence {
    /// The prompt and what was generated after it.
    tokens: Vec<u32>,
    /// How many of `tokens` are in the cache.
    computed: usize,
    /// Length of `tokens` at which the answer ends.
    limit: usize,
    eos: Vec<u32>,
    sampler: Sampler,
    /// Blocks of the cache; none while waiting.
    blocks: Vec<u32>,
    events: Sender<EngineEvent>,
    /// Set when the answer is complete; the sequence leaves at the end of the step.
    ending: Option<EngineEvent>,
    /// The caller's, dropped when the sequence leaves.
    _hold: Option<Arc<dyn Any + Send + Sync>>,
    _unfinished: Unfinished,
}

impl Sequence {
    /// A request that was checked; `limit` is what prompt and answer may have together.
    pub(super) fn new(
        request: GenerateRequest,
        limit: usize,
        events: Sender<EngineEvent>,
        unfinished: Unfinished,
    ) -> Self {
        let sampler = Sampler::new(request.sampling, &request.prompt, &request.eos);
        Self {
            tokens: request.prompt,
            computed: 0,
            limit,
            eos: request.eos,
            sampler,
            blocks: Vec::new(),
            events,
            ending: None,
            _hold: request.hold,
            _unfinished: unfinished,
        }
    }

    /// Blocks for the whole answer. The last token is never fed back, but a block more does no harm.
    pub(super) fn blocks_needed(&self) -> usize {
        self.limit.div_ceil(BLOCK_TOKENS)
    }

    pub(super) fn hold_blocks(&mut self, blocks: Vec<u32>) {
        self.blocks = blocks;
    }

    /// Tokens that are not yet in the cache; 1 while decoding.
    pub(super) fn pending(&self) -> usize {
        self.tokens.len() - self.computed
    }

    /// The next `count` tokens to compute.
    pub(super) fn chunk(&self, count: usize) -> Chunk<'_> {
        let end = self.computed + count;
        Chunk {
            tokens: &self.tokens[self.computed..end],
            start: self.computed,
            blocks: &self.blocks,
            logits: end == self.tokens.len(),
        }
    }

    /// Notes that the next `count` tokens are in the cache; says whether the sequence's logits were made.
    pub(super) fn advance(&mut self, count: usize) -> bool {
        self.computed += count;
        count > 0 && self.pending() == 0
    }

    /// Waits for what the sampler computes beside the forward pass.
    pub(super) fn prepare(&mut self) {
        self.sampler.prepare();
    }

    /// Chooses the next token from its logits and sends it; says whether one was made.
    pub(super) fn sample(&mut self, logits: &mut [f32]) -> bool {
        match self.sampler.sample(logits) {
            Ok(sampled) if self.eos.contains(&sampled.token()) => {
                self.ending = Some(EngineEvent::Finished(FinishReason::Stop));
            }
            Ok(sampled) => {
                self.tokens.push(sampled.token());
                let event = match sampled {
                    Sampled::Token(token) => EngineEvent::Token(token),
                    Sampled::Scored(scored) => EngineEvent::Scored(scored),
                };
                // A reader that has left is noticed at the beginning of the next step.
                let _ = self.events.try_send(event);
                if self.sampler.complete() {
                    self.ending = Some(EngineEvent::Finished(FinishReason::Stop));
                } else if self.tokens.len() >= self.limit {
                    self.ending = Some(EngineEvent::Finished(FinishReason::Length));
                }
                return true;
            }
            Err(SampleError::Exhausted) => self.ending = Some(EngineEvent::Finished(FinishReason::Stop)),
            Err(error) => self.ending = Some(EngineEvent::Failed(error.to_string())),
        }
        false
    }

    pub(super) fn cancelled(&self) -> bool {
        self.events.is_closed()
    }

    pub(super) fn fail(&mut self, why: &str) {
        self.ending = Some(EngineEvent::Failed(why.to_owned()));
    }

    pub(super) fn ended(&self) -> bool {
        self.ending.is_some()
    }

    /// Takes the sequence apart: its blocks, and what is to be sent once everything else of it is gone.
    pub(super) fn leave(mut self) -> (Vec<u32>, Option<EngineEvent>, Sender<EngineEvent>) {
        (std::mem::take(&mut self.blocks), self.ending.take(), self.events.clone())
    }
}
