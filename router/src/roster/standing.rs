//! How a backend stands with this router: it takes work, is left out for a while, or is given one request to show that it is
//! well again. A pure state machine: outcomes and instants go in.
//!
//! The rules are those of outlier detection in proxies: failures in a row, or a share of failures among the last outcomes,
//! leave a backend out for a pause that doubles each time; after it, one trial (the half-open state of a circuit breaker).

use std::time::Duration;
use tokio::time::Instant;

/// Failures in a row that leave a backend out.
pub const IN_A_ROW: u32 = 5;
/// Outcomes that are remembered for the share.
pub const WINDOW: u32 = 20;
/// Failures among [`WINDOW`] outcomes that leave a backend out.
pub const IN_WINDOW: u32 = 10;
/// The first pause.
pub const FIRST_PAUSE: Duration = Duration::from_secs(5);
/// No pause is longer.
pub const LONGEST_PAUSE: Duration = Duration::from_secs(120);
/// A backend that was well for so long after its last pause begins with the first pause again.
pub const FORGIVEN_AFTER: Duration = Duration::from_secs(120);

/// Whether a backend takes work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stance {
    /// It does.
    In,
    /// It gets nothing.
    Ejected,
    /// It gets one request at a time until one is answered.
    Trial,
}

/// Until when a backend is left out before it is tried, and how often it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// The end of the pause.
    pub until: Instant,
    /// Ejections that were not forgiven yet, this one among them.
    pub times: u32,
}

/// What is known of one backend's outcomes.
#[derive(Debug, Clone)]
pub struct Standing {
    stance: Stance,
    /// The last outcomes, the newest in the lowest bit: 1 for a failure.
    recent: u32,
    /// Ejections that were not forgiven yet.
    times: u32,
    /// The end of the last pause.
    until: Option<Instant>,
    /// When it last answered, if it has not failed since.
    answered: Option<Instant>,
}

impl Default for Standing {
    /// Nothing is known, so it takes work.
    fn default() -> Self {
        Self { stance: Stance::In, recent: 0, times: 0, until: None, answered: None }
    }
}

impl Standing {
    /// How it stands at `now`: a pause that is over ends in a trial.
    pub fn at(&mut self, now: Instant) -> Stance {
        if self.stance == Stance::Ejected && self.until.is_some_and(|until| until <= now) {
            self.stance = Stance::Trial;
        }
        self.stance
    }

    /// A request was answered. True where a trial has ended well by it.
    pub fn answered(&mut self, now: Instant) -> bool {
        self.answered = Some(now);
        match self.stance {
            Stance::In => self.note(0),
            // Begun before the pause: it says nothing about what was decided since.
            Stance::Ejected => {}
            Stance::Trial => {
                self.take_back();
                return true;
            }
        }
        false
    }

    /// A request failed by the backend's fault; `others` tells whether another backend of the pool takes work. Gives the pause
    /// where it is left out from now on.
    pub fn failed(&mut self, now: Instant, others: bool) -> Option<Duration> {
        self.answered = None;
        let eject = match self.at(now) {
            Stance::Ejected => false,
            Stance::Trial => true,
            Stance::In => {
                self.note(1);
                self.recent.trailing_ones() >= IN_A_ROW || self.recent.count_ones() >= IN_WINDOW
            }
        };
        (eject && others).then(|| self.eject(now))
    }

    /// It takes work again, whatever it was left out for.
    pub fn take_back(&mut self) {
        (self.stance, self.recent) = (Stance::In, 0);
    }

    /// What others should know where it is left out.
    pub fn verdict(&self) -> Option<Verdict> {
        let until = self.until.filter(|_| self.stance != Stance::In)?;
        Some(Verdict { until, times: self.times })
    }

    /// Whether it answered not longer ago, and has not failed since.
    pub fn answered_within(&self, time: Duration, now: Instant) -> bool {
        self.answered.is_some_and(|at| now.saturating_duration_since(at) <= time)
    }

    /// Takes over what the routers say of it together. True where it stands otherwise from now on.
    pub fn take_over(&mut self, verdict: Option<Verdict>, now: Instant) -> bool {
        let before = self.at(now);
        match verdict {
            Some(Verdict { until, times }) => {
                (self.stance, self.until, self.times) = (Stance::Ejected, Some(until), times);
            }
            None if before != Stance::In => self.take_back(),
            None => {}
        }
        self.at(now) != before
    }

    fn eject(&mut self, now: Instant) -> Duration {
        if self.until.is_some_and(|until| now.saturating_duration_since(until) >= FORGIVEN_AFTER) {
            self.times = 0;
        }
        let pause = FIRST_PAUSE.saturating_mul(1 << self.times.min(16)).min(LONGEST_PAUSE);
        self.times = self.times.saturating_add(1);
        (self.stance, self.until, self.recent) = (Stance::Ejected, Some(now + pause), 0);
        pause
    }

    fn note(&mut self, failure: u32) {
        // The commonest case by far: well, and nothing else is remembered.
        if failure == 0 && self.recent == 0 {
            return;
        }
        self.recent = ((self.recent << 1) | failure) & ((1 << WINDOW) - 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn fail(standing: &mut Standing, now: Instant, times: u32) -> Option<Duration> {
        (0..times).fold(None, |before, _| standing.failed(now, true).or(before))
    }

    #[tokio::test(start_paused = true)]
    async fn failures_in_a_row_eject_and_an_answer_between_them_does_not() {
        let now = Instant::now();
        let mut standing = Standing::default();
        assert_eq!(fail(&mut standing, now, IN_A_ROW - 1), None);
        assert!(!standing.answered(now));
        assert_eq!(fail(&mut standing, now, IN_A_ROW - 1), None);
        assert_eq!(standing.at(now), Stance::In);
        assert_eq!(standing.failed(now, true), Some(FIRST_PAUSE));
        assert_eq!(standing.at(now), Stance::Ejected);
    }

    #[tokio::test(start_paused = true)]
    async fn every_second_request_that_fails_ejects_too() {
        let now = Instant::now();
        let mut standing = Standing::default();
        for failure in 1..IN_WINDOW {
            assert_eq!(standing.failed(now, true), None, "failure {failure}");
            standing.answered(now);
        }
        assert_eq!(standing.failed(now, true), Some(FIRST_PAUSE));
    }

    #[tokio::test(start_paused = true)]
    async fn a_trial_ends_the_pause_or_doubles_it() {
        let start = Instant::now();
        let mut standing = Standing::default();
        fail(&mut standing, start, IN_A_ROW);
        let after = start + FIRST_PAUSE;
        assert_eq!(standing.at(after - Duration::from_millis(1)), Stance::Ejected);
        assert_eq!(standing.at(after), Stance::Trial);
        assert_eq!(standing.failed(after, true), Some(FIRST_PAUSE * 2));
        assert_eq!(standing.at(after), Stance::Ejected);
        let later = after + FIRST_PAUSE * 2;
        assert_eq!(standing.at(later), Stance::Trial);
        assert!(standing.answered(later));
        assert_eq!(standing.at(later), Stance::In);
        assert_eq!(fail(&mut standing, later, IN_A_ROW), Some(FIRST_PAUSE * 4), "it is not forgiven yet");
        let long_after = later + FIRST_PAUSE * 4 + FORGIVEN_AFTER;
        assert_eq!(standing.at(long_after), Stance::Trial);
        standing.answered(long_after);
        assert_eq!(fail(&mut standing, long_after, IN_A_ROW), Some(FIRST_PAUSE), "forgiven");
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_one_is_never_ejected() {
        let now = Instant::now();
        let mut standing = Standing::default();
        for _ in 0..100 {
            assert_eq!(standing.failed(now, false), None);
        }
        assert_eq!(standing.at(now), Stance::In);
        assert_eq!(standing.failed(now, true), Some(FIRST_PAUSE), "it is not the last one any more");
    }

    #[derive(Debug, Clone, Copy)]
    enum Step {
        Answer,
        Fail(bool),
        Wait(u64),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            3 => Just(Step::Answer),
            5 => any::<bool>().prop_map(Step::Fail),
            1 => (0..200u64).prop_map(Step::Wait),
        ];
        prop::collection::vec(step, 0..400)
    }

    proptest! {
        #[test]
        fn whatever_happens_it_comes_back_and_pauses_stay_in_bounds(steps in steps()) {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
            let start = runtime.block_on(async { Instant::now() });
            let (mut now, mut standing) = (start, Standing::default());
            for step in steps {
                match step {
                    Step::Answer => {
                        let before = standing.at(now);
                        prop_assert_eq!(standing.answered(now), before == Stance::Trial);
                    }
                    Step::Fail(others) => {
                        let before = standing.at(now);
                        let pause = standing.failed(now, others);
                        prop_assert!(pause.is_none() || others, "the last one was ejected");
                        prop_assert!(pause.is_none() || before != Stance::Ejected, "ejected twice");
                        if let Some(pause) = pause {
                            prop_assert!((FIRST_PAUSE..=LONGEST_PAUSE).contains(&pause));
                            prop_assert_eq!(standing.at(now), Stance::Ejected);
                        }
                    }
                    Step::Wait(seconds) => now += Duration::from_secs(seconds),
                }
            }
            now += LONGEST_PAUSE;
            prop_assert_ne!(standing.at(now), Stance::Ejected);
            standing.answered(now);
            prop_assert_eq!(standing.at(now), Stance::In);
        }
    }
}
