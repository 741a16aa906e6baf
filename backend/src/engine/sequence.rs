//! One request at work.

use std::any::Any;
use std::sync::Arc;

use tidegate_telemetry::metrics::EngineMetrics;
use tokio::sync::mpsc::Sender;
use tokio::time::Instant;

use super::blocks::BlockPool;
use super::forward::Row;
use super::request::{GenerateRequest, Priority, Service};
use super::sampler::{SampleError, Sampled, Sampler};
use super::stats::Unfinished;
use super::stream::{EngineEvent, FinishReason};
use super::table::BlockTable;
use super::timeline::Timeline;
use super::told::Told;
use crate::model::{Chunk, Draw};

/// A sequence in the engine, waiting or running.
pub(super) struct Sequence {
    /// The prompt and what was generated after it.
    tokens: Vec<u32>,
    /// How many of `tokens` are the prompt.
    prompt: usize,
    /// How many of `tokens` are in the cache.
    computed: usize,
    /// Length of `tokens` at which the answer ends.
    limit: usize,
    eos: Vec<u32>,
    sampler: Sampler,
    /// Blocks of the cache; none while waiting.
    table: BlockTable,
    service: Service,
    /// Tokens of the prompt that the cache had.
    cached: usize,
    /// For whoever reads the stream.
    told: Arc<Told>,
    /// When it came; none once it has had a place in the batch.
    waiting_since: Option<Instant>,
    /// It was preempted: what it finds in the cache from then on may be its own, and is not told.
    preempted: bool,
    events: Sender<EngineEvent>,
    /// When it arrived, entered and got its tokens.
    pub(super) timeline: Timeline,
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
        told: Arc<Told>,
        unfinished: Unfinished,
    ) -> Self {
        let sampler = Sampler::new(request.sampling, &request.prompt, &request.eos);
        Self {
            prompt: request.prompt.len(),
            tokens: request.prompt,
            computed: 0,
            limit,
            eos: request.eos,
            sampler,
            table: BlockTable::default(),
            service: request.service,
            cached: 0,
            told,
            waiting_since: Some(Instant::now()),
            preempted: false,
            events,
            timeline: Timeline::new(),
            ending: None,
            _hold: request.hold,
            _unfinished: unfinished,
        }
    }

    /// Its blocks in the order of its text.
    #[cfg(test)]
    pub(super) fn blocks(&self) -> &[u32] {
        self.table.blocks()
    }

    pub(super) fn priority(&self) -> Priority {
        self.service.priority
    }

    /// Holds blocks for its tokens and leaves `spare` to be had; known blocks stand in for tokens that need no computing.
    /// False, and nothing is held, where there are not so many.
    pub(super) fn enter(&mut self, pool: &mut BlockPool, spare: usize) -> bool {
        self.reuse(pool);
        let entered = self.table.cover(pool, self.tokens.len(), spare);
        if !entered {
            self.release(pool);
        } else if let Some(came) = self.waiting_since.take() {
            self.told.entered(came.elapsed());
        }
        entered
    }

    /// Holds one more block where those that it holds are full. False where there is none.
    pub(super) fn grow(&mut self, pool: &mut BlockPool) -> bool {
        self.table.cover(pool, self.tokens.len(), 0)
    }

    /// Takes over what others have computed already.
    pub(super) fn reuse(&mut self, pool: &mut BlockPool) {
        let found = self.table.reuse(pool, &self.tokens, self.computed);
        if !self.preempted {
            self.cached += found - self.computed;
        }
        self.computed = found;
    }

    /// Gives up its blocks and keeps its text: it is computed again when there is room.
    pub(super) fn preempt(&mut self, pool: &mut BlockPool) {
        let cached = self.cached;
        self.release(pool);
        (self.cached, self.preempted) = (cached, true);
        self.told.preempted();
    }

    /// Gives up its blocks.
    pub(super) fn release(&mut self, pool: &mut BlockPool) {
        self.table.release(pool);
        self.computed = 0;
        if !self.preempted {
            self.cached = 0;
        }
    }

    /// Tokens that are not yet in the cache; 1 while decoding.
    pub(super) fn pending(&self) -> usize {
        self.tokens.len() - self.computed
    }

    /// The full block that it computes next, by what is known before it and its tokens; none near the end of its text.
    pub(super) fn next_block(&self) -> Option<(Option<u32>, &[u32])> {
        self.table.next_block(&self.tokens)
    }

    /// The next `count` tokens to compute.
    pub(super) fn chunk(&self, count: usize) -> Chunk<'_> {
        let end = self.computed + count;
        Chunk {
            tokens: &self.tokens[self.computed..end],
            start: self.computed,
            blocks: self.table.blocks(),
            logits: end == self.tokens.len(),
        }
    }

    /// Notes that the next `count` tokens are in the cache; says whether the sequence's logits were made.
    pub(super) fn advance(&mut self, count: usize, pool: &mut BlockPool) -> bool {
        self.computed += count;
        self.table.make_known(pool, &self.tokens[..self.computed]);
        count > 0 && self.pending() == 0
    }

    /// Where the whole prompt has just been read: its tokens, and how many of them the cache had.
    pub(super) fn prompt_read(&self) -> Option<(usize, usize)> {
        if self.tokens.len() > self.prompt {
            return None;
        }
        self.told.prompt_read(self.cached);
        Some((self.prompt, self.cached))
    }

    /// Waits for what the sampler computes beside the forward pass.
    pub(super) fn prepare(&mut self) {
        self.sampler.prepare();
    }

    /// How its next token is chosen, where the model can do that itself.
    pub(super) fn draw(&self) -> Option<Draw> {
        self.sampler.draw_ahead()
    }

    /// Chooses the next token from its logits, where that was not done yet, and sends it; says whether one was made.
    pub(super) fn sample(&mut self, row: &mut Row<'_>) -> bool {
        let sampled = match row {
            Row::Logits(logits) => self.sampler.sample(logits),
            Row::Chosen(chosen) => self.sampler.take(*chosen),
        };
        match sampled {
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

    /// Notes when its latest token came, where the step that ended `now` has made one.
    pub(super) fn stepped(&mut self, now: Instant, metrics: &EngineMetrics) {
        self.timeline.stepped(now, self.tokens.len() - self.prompt, metrics);
    }

    pub(super) fn cancelled(&self) -> bool {
        self.events.is_closed()
    }

    /// True once its time is over.
    pub(super) fn expired(&self, now: Instant) -> bool {
        self.service.deadline.is_some_and(|deadline| now >= deadline)
    }

    pub(super) fn fail(&mut self, why: &str) {
        self.ending = Some(EngineEvent::Failed(why.to_owned()));
    }

    pub(super) fn ended(&self) -> bool {
        self.ending.is_some()
    }

    /// Takes the sequence apart: what is to be sent once everything else of it is gone.
    pub(super) fn leave(mut self) -> (Option<EngineEvent>, Sender<EngineEvent>) {
        (self.ending.take(), self.events.clone())
    }
}
