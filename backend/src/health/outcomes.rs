//! How requests ended: since the start, and within the last minute.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};
use tokio::time::Instant;

/// Seconds that a [`Window`] looks back.
const WINDOW_SECONDS: u64 = 60;

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// With a whole answer.
    Succeeded,
    /// Without enough time.
    TimedOut,
    /// With an error of its own or of the engine.
    Failed,
    /// With nobody there to read the answer.
    Left,
    /// At the door: no slot was free.
    Rejected,
}

/// Counts of ends over some time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Window {
    /// Whole answers.
    pub succeeded: u64,
    /// Out of time.
    pub timed_out: u64,
    /// Errors.
    pub failed: u64,
    /// Clients gone.
    pub left: u64,
    /// Refused for want of a slot; not part of [`Window::ended`].
    pub rejected: u64,
}

impl Window {
    /// Requests that got a slot and ended.
    pub fn ended(&self) -> u64 {
        self.succeeded + self.timed_out + self.failed + self.left
    }

    /// Whole answers over ends that were the server's doing; 1 where there were none.
    pub fn success_rate(&self) -> f64 {
        let judged = self.ended() - self.left;
        if judged == 0 { 1.0 } else { ratio(self.succeeded, judged) }
    }

    /// Ends out of time over all ends.
    pub fn timeout_rate(&self) -> f64 {
        ratio(self.timed_out, self.ended())
    }

    /// Refused over all that came.
    pub fn rejection_rate(&self) -> f64 {
        ratio(self.rejected, self.ended() + self.rejected)
    }

    fn count(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Succeeded => self.succeeded += 1,
            Outcome::TimedOut => self.timed_out += 1,
            Outcome::Failed => self.failed += 1,
            Outcome::Left => self.left += 1,
            Outcome::Rejected => self.rejected += 1,
        }
    }

    fn add(&mut self, other: &Self) {
        self.succeeded += other.succeeded;
        self.timed_out += other.timed_out;
        self.failed += other.failed;
        self.left += other.left;
        self.rejected += other.rejected;
    }
}

/// Counts how requests end.
#[derive(Debug)]
pub struct Outcomes {
    start: Instant,
    counted: Mutex<Counted>,
}

#[derive(Debug, Default)]
struct Counted {
    totals: Window,
    /// Counts of single seconds since the start, oldest first, none older than the window.
    seconds: VecDeque<(u64, Window)>,
}

impl Default for Outcomes {
    fn default() -> Self {
        Self::new()
    }
}

impl Outcomes {
    /// Nothing has ended yet.
    pub fn new() -> Self {
        Self { start: Instant::now(), counted: Mutex::default() }
    }

    /// Counts one end.
    pub fn record(&self, outcome: Outcome) {
        let mut counted = self.counted();
        let now = self.second();
        counted.totals.count(outcome);
        if counted.seconds.back().is_none_or(|(second, _)| *second != now) {
            counted.seconds.push_back((now, Window::default()));
        }
        if let Some((_, window)) = counted.seconds.back_mut() {
            window.count(outcome);
        }
        counted.forget_before(now);
    }

    /// Counts since the start.
    pub fn totals(&self) -> Window {
        self.counted().totals
    }

    /// Counts of the last minute.
    pub fn window(&self) -> Window {
        let mut counted = self.counted();
        counted.forget_before(self.second());
        let mut sum = Window::default();
        for (_, window) in &counted.seconds {
            sum.add(window);
        }
        sum
    }

    fn second(&self) -> u64 {
        self.start.elapsed().as_secs()
    }

    fn counted(&self) -> MutexGuard<'_, Counted> {
        self.counted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counted {
    fn forget_before(&mut self, now: u64) {
        while self.seconds.front().is_some_and(|(second, _)| second + WINDOW_SECONDS <= now) {
            self.seconds.pop_front();
        }
    }
}

/// A rate for people, exact up to 2^53 requests.
fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test(start_paused = true)]
    async fn rates_are_of_the_last_minute_and_totals_since_the_start() {
        let outcomes = Outcomes::new();
        assert!((outcomes.window().success_rate() - 1.0).abs() < f64::EPSILON, "nothing has failed");
        outcomes.record(Outcome::TimedOut);
        tokio::time::advance(Duration::from_secs(30)).await;
        for _ in 0..3 {
            outcomes.record(Outcome::Succeeded);
        }
        outcomes.record(Outcome::Left);
        outcomes.record(Outcome::Rejected);
        let window = outcomes.window();
        assert!((window.success_rate() - 0.75).abs() < 1e-9, "who left is not the server's doing");
        assert!((window.timeout_rate() - 0.2).abs() < 1e-9);
        assert!((window.rejection_rate() - 1.0 / 6.0).abs() < 1e-9);
        tokio::time::advance(Duration::from_secs(31)).await;
        assert_eq!((outcomes.window().timed_out, outcomes.window().succeeded), (0, 3));
        tokio::time::advance(Duration::from_secs(60)).await;
        assert_eq!(outcomes.window(), Window::default());
        assert_eq!((outcomes.totals().ended(), outcomes.totals().rejected), (5, 1));
    }
}
