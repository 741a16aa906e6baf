//! What the engine tells of a sequence beside its tokens: written by the engine's thread, read by whoever reads the stream.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

/// The figures of one sequence, each as far as it is known.
#[derive(Debug, Default)]
pub(crate) struct Told {
    cached: AtomicUsize,
    preemptions: AtomicU64,
    waited_micros: AtomicU64,
}

impl Told {
    /// The whole prompt has been read; the cache had so many of its tokens.
    pub(super) fn prompt_read(&self, cached: usize) {
        self.cached.store(cached, Relaxed);
    }

    /// It gave up its blocks to another.
    pub(super) fn preempted(&self) {
        self.preemptions.fetch_add(1, Relaxed);
    }

    /// It joined the batch for the first time, so long after it had come.
    pub(super) fn entered(&self, waited: Duration) {
        self.waited_micros.store(u64::try_from(waited.as_micros()).unwrap_or(u64::MAX), Relaxed);
    }

    /// Tokens of the prompt that were in the cache already; 0 until the first token is there.
    pub(crate) fn cached(&self) -> usize {
        self.cached.load(Relaxed)
    }

    /// How often it gave up its blocks to another, and was computed again.
    pub(crate) fn preemptions(&self) -> u64 {
        self.preemptions.load(Relaxed)
    }

    /// How long it waited for a place in the batch; 0 until it has one.
    pub(crate) fn waited(&self) -> Duration {
        Duration::from_micros(self.waited_micros.load(Relaxed))
    }
}
