//! What can be seen of the engine from outside, and the counters behind it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed, Ordering::SeqCst};
use std::time::Duration;

use tidegate_telemetry::metrics::EngineMetrics;
use tokio::time::Instant;

/// A reading of the engine's counters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EngineStats {
    /// Sequences in the batch, prefilling ones included.
    pub running: usize,
    /// Sequences that wait in the engine for a place or for cache blocks.
    pub waiting: usize,
    /// Steps made since the start.
    pub steps: u64,
    /// While there is work: how long ago the last step ended (or the work arrived, where none has ended since).
    /// `None` while there is nothing to do. Grows without end when the device hangs.
    pub since_last_step: Option<Duration>,
    /// Tokens of the prompts that were read to their end, whether computed or found in the cache.
    pub prompt_tokens: u64,
    /// Of those, the tokens that were found in the cache.
    pub cached_tokens: u64,
    /// Tokens generated since the start.
    pub generated_tokens: u64,
    /// Sequences that ended by themselves.
    pub finished: u64,
    /// Sequences whose reader left before the end.
    pub cancelled: u64,
    /// Sequences that a failed step ended.
    pub failed: u64,
    /// Sequences whose deadline passed before the end.
    pub timed_out: u64,
    /// Times that a sequence gave up its blocks to a more urgent one, to be computed again later.
    pub preemptions: u64,
    /// Blocks of the cache that sequences hold. Further ones may hold what may be asked for again.
    pub cache_blocks_used: usize,
    /// Blocks of the cache.
    pub cache_blocks_total: usize,
}

/// How a sequence left.
#[derive(Clone, Copy, Debug)]
pub(super) enum Departure {
    Finished,
    Cancelled,
    Failed,
    TimedOut,
}

/// Tokens that one step has brought.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct StepTokens {
    /// Of prompts that it read to their end.
    pub(super) prompt: usize,
    /// Of those, the ones found in the cache.
    pub(super) cached: usize,
    /// Of answers.
    pub(super) generated: usize,
}

/// Written by the engine's thread and its handles, read by anybody.
#[derive(Debug)]
pub(super) struct Counters {
    started: Instant,
    /// Histograms, which the backend shows.
    pub(super) metrics: EngineMetrics,
    /// Sequences that were asked for and have not left.
    unfinished: AtomicUsize,
    running: AtomicUsize,
    steps: AtomicU64,
    /// Microseconds after `started` at which the last step ended or the first work after a rest arrived.
    last_progress: AtomicU64,
    prompt_tokens: AtomicU64,
    cached_tokens: AtomicU64,
    generated_tokens: AtomicU64,
    departures: [AtomicU64; 4],
    preemptions: AtomicU64,
    blocks_used: AtomicUsize,
    blocks_total: usize,
}

impl Counters {
    pub(super) fn new(blocks_total: usize) -> Self {
        Self {
            started: Instant::now(),
            metrics: EngineMetrics::default(),
            unfinished: AtomicUsize::new(0),
            running: AtomicUsize::new(0),
            steps: AtomicU64::new(0),
            last_progress: AtomicU64::new(0),
            prompt_tokens: AtomicU64::new(0),
            cached_tokens: AtomicU64::new(0),
            generated_tokens: AtomicU64::new(0),
            departures: Default::default(),
            preemptions: AtomicU64::new(0),
            blocks_used: AtomicUsize::new(0),
            blocks_total,
        }
    }

    fn now(&self) -> u64 {
        self.started.elapsed().as_micros() as u64
    }

    pub(super) fn step_done(&self) {
        self.steps.fetch_add(1, Relaxed);
        self.last_progress.store(self.now(), SeqCst);
    }

    pub(super) fn count_tokens(&self, step: StepTokens) {
        self.prompt_tokens.fetch_add(step.prompt as u64, Relaxed);
        self.cached_tokens.fetch_add(step.cached as u64, Relaxed);
        self.generated_tokens.fetch_add(step.generated as u64, Relaxed);
    }

    pub(super) fn departed(&self, departure: Departure) {
        self.departures[departure as usize].fetch_add(1, Relaxed);
    }

    pub(super) fn publish(&self, running: usize, blocks_used: usize, preemptions: u64) {
        self.running.store(running, SeqCst);
        self.blocks_used.store(blocks_used, SeqCst);
        self.preemptions.store(preemptions, Relaxed);
    }

    pub(super) fn read(&self) -> EngineStats {
        let unfinished = self.unfinished.load(SeqCst);
        let running = self.running.load(SeqCst);
        let age = self.now().saturating_sub(self.last_progress.load(SeqCst));
        let [finished, cancelled, failed, timed_out] =
            self.departures.each_ref().map(|count| count.load(Relaxed));
        EngineStats {
            running,
            waiting: unfinished.saturating_sub(running),
            steps: self.steps.load(Relaxed),
            since_last_step: (unfinished > 0).then(|| Duration::from_micros(age)),
            prompt_tokens: self.prompt_tokens.load(Relaxed),
            cached_tokens: self.cached_tokens.load(Relaxed),
            generated_tokens: self.generated_tokens.load(Relaxed),
            finished,
            cancelled,
            failed,
            timed_out,
            preemptions: self.preemptions.load(Relaxed),
            cache_blocks_used: self.blocks_used.load(SeqCst),
            cache_blocks_total: self.blocks_total,
        }
    }
}

/// Counts a sequence from the request until it is dropped, wherever that happens.
#[derive(Debug)]
pub(super) struct Unfinished(Arc<Counters>);

impl Unfinished {
    pub(super) fn new(counters: &Arc<Counters>) -> Self {
        if counters.unfinished.fetch_add(1, SeqCst) == 0 {
            counters.last_progress.store(counters.now(), SeqCst);
        }
        Self(Arc::clone(counters))
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        self.0.unfinished.fetch_sub(1, SeqCst);
    }
}
