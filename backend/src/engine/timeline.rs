//! When one sequence arrived, got its place in the batch and got its tokens: what the engine's latencies are counted from.

use tidegate_telemetry::metrics::EngineMetrics;
use tokio::time::Instant;

/// The times of one sequence. A sequence that is preempted keeps them: its reader waits all the same.
#[derive(Debug)]
pub(super) struct Timeline {
    arrived: Instant,
    entered: Option<Instant>,
    first: Option<Instant>,
    last: Option<Instant>,
    /// Tokens whose times have been counted.
    counted: usize,
}

impl Timeline {
    /// Of a sequence that arrives now.
    pub(super) fn new() -> Self {
        Self { arrived: Instant::now(), entered: None, first: None, last: None, counted: 0 }
    }

    /// It is in the batch; counts the first time only.
    pub(super) fn entered(&mut self, now: Instant, metrics: &EngineMetrics) {
        if self.entered.is_none() {
            self.entered = Some(now);
            metrics.entered(now - self.arrived);
        }
    }

    /// A step has ended, and its answer has so many tokens.
    pub(super) fn stepped(&mut self, now: Instant, tokens: usize, metrics: &EngineMetrics) {
        if tokens <= self.counted {
            return;
        }
        self.counted = tokens;
        match self.last {
            Some(last) => metrics.next_token(now - last),
            None => {
                self.first = Some(now);
                metrics.first_token(now - self.entered.unwrap_or(self.arrived));
            }
        }
        self.last = Some(now);
    }

    /// Its answer is complete. An answer without a token has no times.
    pub(super) fn finished(&self, metrics: &EngineMetrics) {
        if let (Some(entered), Some(first), Some(last)) = (self.entered, self.first, self.last) {
            metrics.finished(last - first, last - entered);
        }
    }
}
