//! The engine's thread: takes requests in, steps the model, lets sequences leave.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError};

use rayon::iter::{IntoParallelRefMutIterator, ParallelIterator};
use tokio::time::Instant;

use super::forward::{Forward, Row};
use super::scheduler::Scheduler;
use super::sequence::Sequence;
use super::stats::{Counters, Departure, StepTokens};
use super::stream::EngineEvent;
use crate::model::Chunk;

/// Everything that the thread owns.
pub(super) struct StepLoop {
    pub(super) model: Box<dyn Forward>,
    pub(super) scheduler: Scheduler,
    pub(super) counters: Arc<Counters>,
}

impl StepLoop {
    /// Runs until all handles are gone and no sequence is left.
    pub(super) fn run(mut self, arrivals: &Receiver<Sequence>) {
        while self.take_arrivals(arrivals) {
            if !self.step(Instant::now()) {
                return;
            }
        }
    }

    /// Takes in what has arrived, and waits where there is nothing to do. False when nothing can come any more.
    fn take_arrivals(&mut self, arrivals: &Receiver<Sequence>) -> bool {
        if self.scheduler.is_empty() {
            let Ok(first) = arrivals.recv() else { return false };
            self.scheduler.add(first);
        }
        loop {
            match arrivals.try_recv() {
                Ok(sequence) => self.scheduler.add(sequence),
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => return true,
            }
        }
    }

    /// One step. False when the model cannot be used any more.
    pub(super) fn step(&mut self, now: Instant) -> bool {
        for (gone, departure) in [
            (self.scheduler.take_out(Sequence::cancelled), Departure::Cancelled),
            (self.scheduler.take_out(|sequence| sequence.expired(now)), Departure::TimedOut),
        ] {
            gone.into_iter().for_each(|sequence| self.let_go(sequence, departure));
        }
        let counts = self.scheduler.schedule();
        self.publish();
        if counts.is_empty() {
            return true;
        }
        let begun = Instant::now();
        self.scheduler
            .running_mut()
            .0
            .for_each(|sequence| sequence.timeline.entered(begun, &self.counters.metrics));
        // A panic in a kernel must reach the readers as an error, not as silence.
        let computed = catch_unwind(AssertUnwindSafe(|| self.compute(&counts)));
        let usable = match computed {
            Ok(Ok(())) => true,
            Ok(Err(error)) => self.fail_running(&error.to_string()),
            Err(panic) => self.fail_running(panic_text(&*panic)),
        };
        self.time(begun, &counts);
        for sequence in self.scheduler.take_out(Sequence::ended) {
            self.let_go(sequence, Departure::Finished);
        }
        self.counters.step_done();
        self.publish();
        usable
    }

    /// Counts how long the step took, and for each sequence when its token came.
    fn time(&mut self, begun: Instant, counts: &[usize]) {
        let (now, metrics) = (Instant::now(), &self.counters.metrics);
        let sequences = counts.iter().filter(|count| **count > 0).count();
        metrics.step(now - begun, sequences, counts.iter().sum());
        self.scheduler.running_mut().0.for_each(|sequence| sequence.stepped(now, metrics));
    }

    /// Computes so many tokens of each running sequence.
    fn compute(&mut self, counts: &[usize]) -> candle_core::Result<()> {
        let planned = self.scheduler.running().zip(counts).filter(|(_, count)| **count > 0);
        let planned: Vec<_> = planned.map(|(sequence, count)| (sequence, sequence.chunk(*count))).collect();
        let draws: Vec<_> = match self.model.chooses() {
            true => planned.iter().filter(|(_, chunk)| chunk.logits).map(|(s, _)| s.draw()).collect(),
            false => Vec::new(),
        };
        let chunks: Vec<Chunk<'_>> = planned.into_iter().map(|(_, chunk)| chunk).collect();
        let mut outcome = self.model.forward(&chunks, &draws)?;
        let (running, blocks) = self.scheduler.running_mut();
        let ready = running.zip(counts).filter_map(|(sequence, count)| {
            let ready = sequence.advance(*count, blocks);
            ready.then_some(sequence)
        });
        let rows: Vec<_> = ready.zip(outcome.rows(self.model.vocab_size())).collect();
        let mut tokens = StepTokens::default();
        for (prompt, cached) in rows.iter().filter_map(|(sequence, _)| sequence.prompt_read()) {
            tokens.prompt += prompt;
            tokens.cached += cached;
        }
        tokens.generated = sample_rows(rows);
        self.counters.count_tokens(tokens);
        Ok(())
    }

    /// Ends all running sequences; those that wait are tried next. False when the model is beyond repair.
    fn fail_running(&mut self, why: &str) -> bool {
        let running = self.scheduler.take_running();
        tracing::error!(error = why, sequences = running.len(), "a step failed");
        for mut sequence in running {
            sequence.fail(why);
            self.let_go(sequence, Departure::Failed);
        }
        self.scheduler.blocks.forget_all();
        let reset = self.model.reset();
        if let Err(error) = &reset {
            tracing::error!(%error, "the engine cannot go on");
        }
        reset.is_ok()
    }

    /// Blocks, slot and everything else go before the last event is sent: who reads it may rely on that.
    fn let_go(&mut self, mut sequence: Sequence, departure: Departure) {
        sequence.release(&mut self.scheduler.blocks);
        if matches!(departure, Departure::Finished) {
            sequence.timeline.finished(&self.counters.metrics);
        }
        let (ending, events) = sequence.leave();
        self.counters.departed(departure);
        self.publish();
        let ending = ending.or(matches!(departure, Departure::TimedOut).then_some(EngineEvent::TimedOut));
        if let Some(ending) = ending {
            let _ = events.try_send(ending);
        }
    }

    fn publish(&self) {
        let (running, held) = (self.scheduler.running().count(), self.scheduler.blocks.held());
        self.counters.publish(running, held, self.scheduler.preemptions);
    }
}

/// Logits in a step from which on its rows are shared out over the cores: some twenty microseconds of work.
const PARALLEL_LOGITS: usize = 1 << 17;

/// Chooses the next token of each sequence from its row; gives how many were made.
fn sample_rows(mut rows: Vec<(&mut Sequence, Row<'_>)>) -> usize {
    rows.iter_mut().for_each(|(sequence, _)| sequence.prepare());
    let sample = |(sequence, row): &mut (&mut Sequence, Row<'_>)| usize::from(sequence.sample(row));
    let logits: usize = rows.iter().map(|(_, row)| row.logits()).sum();
    if rows.len() > 1 && logits >= PARALLEL_LOGITS {
        rows.par_iter_mut().map(sample).sum()
    } else {
        rows.iter_mut().map(sample).sum()
    }
}

/// What a panic said.
pub(super) fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("a step panicked")
}
