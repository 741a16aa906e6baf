//! How long requests of a kind take, as one router has seen it: what a request brings as its own length.
//!
//! A declared bound (`max_tokens`) is no estimate, but those who declare alike turn out alike: so the service times of what
//! a router saw end are kept apart by the bound's power of two, those without a bound in a class of their own. Each router
//! learns alone, and keeps it to itself: nothing of this is on the account.
//!
//! Work that was stopped when its time ran out belongs to it as much as what finished: without it, a class that is too long
//! for its deadline would look like the few of it that were not. It took at least so long, and moves the estimate where
//! that is longer.

use crate::{
    estimate::p90_step,
    time::{SECOND, Time, seconds},
};

/// Samples from which on a class has something to say.
pub const ENOUGH: f64 = 16.0;
/// Microseconds after which a class of which nothing ended is forgotten: whoever is refused for its length makes no more
/// samples, and the fleet of ten minutes ago must not decide for that of today.
pub const FORGET_AFTER: u64 = 300 * SECOND;
/// Bounds from the last power of two on are one class: 2^20 tokens are more than any context holds.
const CLASSES: usize = 22;

/// Requests that are taken to be alike: those whose bounds have the same next power of two, or have none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Class(usize);

impl Class {
    /// The class of a request that declares a bound on the tokens of its answer, or none.
    pub fn of(bound: Option<u64>) -> Class {
        let doublings = |bound: u64| (u64::BITS - bound.saturating_sub(1).leading_zeros()) as usize;
        Class(bound.map_or(0, |bound| (1 + doublings(bound)).min(CLASSES - 1)))
    }
}

/// What one router has seen of one pool's work.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct History {
    classes: [Seen; CLASSES],
}

/// What was seen of one class.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
struct Seen {
    samples: f64,
    /// 90th percentile of the service time in seconds.
    p90: f64,
    /// When the last sample came.
    last: Time,
}

impl History {
    /// A request was answered to its last byte; it held its slot for so many microseconds.
    pub fn finished(&mut self, now: Time, class: Class, micros: u64) {
        self.sample(now, class, micros, |_, _| true);
    }

    /// A request was stopped because its time was over, after so many microseconds on its slot: it would have taken longer.
    pub fn ran_out(&mut self, now: Time, class: Class, micros: u64) {
        self.sample(now, class, micros, |sample, p90| sample > p90);
    }

    /// Seconds that nine in ten requests of a class do not exceed, where enough of them were seen, and lately.
    pub fn length(&self, now: Time, class: Class) -> Option<f64> {
        let seen = self.classes.get(class.0)?;
        (seen.samples >= ENOUGH && now.since(seen.last) <= FORGET_AFTER).then_some(seen.p90)
    }

    fn sample(&mut self, now: Time, class: Class, micros: u64, moves: impl Fn(f64, f64) -> bool) {
        let Some(seen) = self.classes.get_mut(class.0) else { return };
        if now.since(seen.last) > FORGET_AFTER {
            *seen = Seen::default();
        }
        seen.last = now;
        let sample = seconds(micros.max(1));
        seen.samples += 1.0;
        if seen.samples < 2.0 {
            seen.p90 = sample;
        } else if moves(sample, seen.p90) {
            seen.p90 *= p90_step(seen.samples, sample > seen.p90);
        }
    }
}
