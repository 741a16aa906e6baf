//! The engine's thread: takes requests in, steps the model, lets sequences leave.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError};

use super::blocks::BlockPool;
use super::forward::Forward;
use super::scheduler;
use super::sequence::Sequence;
use super::stats::{Counters, Departure};
use crate::model::Chunk;

/// Everything that the thread owns.
pub(super) struct StepLoop {
    pub(super) model: Box<dyn Forward>,
    pub(super) blocks: BlockPool,
    pub(super) max_sequences: usize,
    pub(super) max_batch_tokens: usize,
    /// First come, first served: the first waits for its blocks and nobody passes it, so that none starves.
    pub(super) waiting: VecDeque<Sequence>,
    /// In the order of arrival.
    pub(super) running: Vec<Sequence>,
    pub(super) counters: Arc<Counters>,
}

impl StepLoop {
    /// Runs until all handles are gone and no sequence is left.
    pub(super) fn run(mut self, arrivals: &Receiver<Sequence>) {
        while self.take_arrivals(arrivals) {
            if !self.step() {
                return;
            }
        }
    }

    /// Takes in what has arrived, and waits where there is nothing to do. False when nothing can come any more.
    fn take_arrivals(&mut self, arrivals: &Receiver<Sequence>) -> bool {
        if self.waiting.is_empty() && self.running.is_empty() {
            let Ok(first) = arrivals.recv() else { return false };
            self.waiting.push_back(first);
        }
        loop {
            match arrivals.try_recv() {
                Ok(sequence) => self.waiting.push_back(sequence),
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => return true,
            }
        }
    }

    /// One step. False when the model cannot be used any more.
    fn step(&mut self) -> bool {
        self.drop_cancelled();
        self.admit();
        self.publish();
        if self.running.is_empty() {
            return true;
        }
        // A panic in a kernel must reach the readers as an error, not as silence.
        let computed = catch_unwind(AssertUnwindSafe(|| self.compute()));
        let usable = match computed {
            Ok(Ok(())) => true,
            Ok(Err(error)) => self.fail_running(&error.to_string()),
            Err(panic) => self.fail_running(panic_text(&*panic)),
        };
        for sequence in self.running.extract_if(.., |sequence| sequence.ended()).collect::<Vec<_>>() {
            self.let_go(sequence, Departure::Finished);
        }
        self.counters.step_done();
        self.publish();
        usable
    }

    fn drop_cancelled(&mut self) {
        let gone: Vec<_> = self.running.extract_if(.., |sequence| sequence.cancelled()).collect();
        for sequence in gone {
            self.let_go(sequence, Departure::Cancelled);
        }
        let (gone, stay) = std::mem::take(&mut self.waiting).into_iter().partition(Sequence::cancelled);
        self.waiting = stay;
        for sequence in Vec::from(gone) {
            self.let_go(sequence, Departure::Cancelled);
        }
    }

    fn admit(&mut self) {
        while self.running.len() < self.max_sequences {
            let Some(first) = self.waiting.front() else { return };
            let Some(blocks) = self.blocks.take(first.blocks_needed()) else { return };
            let Some(mut sequence) = self.waiting.pop_front() else { return };
            sequence.hold_blocks(blocks);
            self.running.push(sequence);
        }
    }

    fn compute(&mut self) -> candle_core::Result<()> {
        let pending: Vec<usize> = self.running.iter().map(Sequence::pending).collect();
        let counts = scheduler::plan(&pending, self.max_batch_tokens);
        let planned = self.running.iter().zip(&counts).filter(|(_, count)| **count > 0);
        let chunks: Vec<Chunk<'_>> = planned.map(|(sequence, count)| sequence.chunk(*count)).collect();
        let mut logits = self.model.forward(&chunks)?;
        let mut rows = logits.chunks_mut(self.model.vocab_size());
        let mut generated = 0;
        for (sequence, count) in self.running.iter_mut().zip(&counts) {
            if sequence.advance(*count)
                && let Some(row) = rows.next()
                && sequence.sample(row)
            {
                generated += 1;
            }
        }
        let decoded = pending.iter().filter(|tokens| **tokens == 1).count();
        self.counters.count_tokens(counts.iter().sum::<usize>() - decoded, generated);
        Ok(())
    }

    /// Ends all running sequences; those that wait are tried next. False when the model is beyond repair.
    fn fail_running(&mut self, why: &str) -> bool {
        tracing::error!(error = why, sequences = self.running.len(), "a step failed");
        for mut sequence in std::mem::take(&mut self.running) {
            sequence.fail(why);
            self.let_go(sequence, Departure::Failed);
        }
        let reset = self.model.reset();
        if let Err(error) = &reset {
            tracing::error!(%error, "the engine cannot go on");
        }
        reset.is_ok()
    }

    /// Blocks, slot and everything else go before the last event is sent: who reads it may rely on that.
    fn let_go(&mut self, sequence: Sequence, departure: Departure) {
        let (blocks, ending, events) = sequence.leave();
        self.blocks.give_back(blocks);
        self.counters.departed(departure);
        self.publish();
        if let Some(ending) = ending {
            let _ = events.try_send(ending);
        }
    }

    fn publish(&self) {
        self.counters.publish(self.running.len(), self.blocks.used());
    }
}

/// What a panic said.
pub(super) fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("a step panicked")
}
