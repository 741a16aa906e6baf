//! What the ledger measures: how long work takes, and how fast slots come free.
//!
//! Everything decays, so that the fleet of ten minutes ago does not decide for that of today. No logarithm and no
//! power is used: time decays by a fixed factor at each whole second, which Lua and Rust compute alike.

use crate::time::{SECOND, Time, seconds};

/// Factor that the windowed counts lose at each whole second: their memory is 1 / (1 - 0.9) = 10 s.
pub const DECAY: f64 = 0.9;
/// Seconds of memory of the windowed counts.
pub const WINDOW: f64 = 10.0;
/// Whole seconds after which nothing of a windowed count is left worth keeping (0.9^100 is 0.003 %).
pub const FORGET_AFTER: u64 = 100;
/// Weight of the newest service time in the mean, once there are enough of them.
pub const MEAN_WEIGHT: f64 = 1.0 / 32.0;
/// Step of the 90th percentile's estimator, once there are enough samples.
pub const P90_STEP: f64 = 0.05;
/// Releases that the estimate of the drain rate starts with, at the pace that the mean service time predicts.
pub const PRIOR_RELEASES: f64 = 4.0;

/// What the newest of so many samples does to an estimate of their 90th percentile: the factor on it.
///
/// The multiplicative incremental quantile estimator DUMIQE of Yazidi and Hammer ("Multiplicative Update Methods for
/// Incremental Quantile Estimation", IEEE Transactions on Cybernetics 49(3), 2019): up by 0.9 of a step when a sample lies
/// above, down by 0.1 of a step otherwise, so that it rests where one sample in ten lies above. Being multiplicative it
/// needs no scale. The step is 1/n at first.
pub fn p90_step(samples: f64, above: bool) -> f64 {
    let early = 1.0 / samples;
    let step = if early > P90_STEP { early } else { P90_STEP };
    if above { 1.0 + 0.9 * step } else { 1.0 - 0.1 * step }
}

/// The estimates of one pool.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Estimate {
    /// Service times seen so far; 0 means that nothing is measured yet.
    pub samples: f64,
    /// Mean service time in seconds: exponentially weighted by count.
    pub mean: f64,
    /// 90th percentile of the service time in seconds.
    pub p90: f64,
    /// Slots that came free while all were busy, decaying.
    pub releases: f64,
    /// Seconds during which all slots were busy, decaying.
    pub busy: f64,
    /// High-priority tickets taken, decaying.
    pub taken_high: f64,
    /// Normal-priority tickets taken, decaying.
    pub taken_normal: f64,
    /// Requests that asked to come in, decaying.
    pub attempts: f64,
}

impl Estimate {
    /// Lets time pass. `all_busy`: whether every slot was taken throughout.
    pub fn elapse(&mut self, from: Time, to: Time, all_busy: bool) {
        let mut at = from;
        if to.second().saturating_sub(from.second()) >= FORGET_AFTER {
            self.scale(0.0);
            at = Time(to.second() * SECOND);
        }
        while at.second() < to.second() {
            let boundary = Time((at.second() + 1) * SECOND);
            self.spend(boundary.since(at), all_busy);
            self.scale(DECAY);
            at = boundary;
        }
        self.spend(to.since(at), all_busy);
    }

    fn spend(&mut self, micros: u64, all_busy: bool) {
        if all_busy {
            self.busy += seconds(micros);
        }
    }

    fn scale(&mut self, factor: f64) {
        self.releases *= factor;
        self.busy *= factor;
        self.taken_high *= factor;
        self.taken_normal *= factor;
        self.attempts *= factor;
    }

    /// Takes in the service time of one finished request.
    ///
    /// The mean is exponentially weighted by count, the percentile moves by [`p90_step`]. Both learn with weight 1/n at
    /// first.
    pub fn served(&mut self, micros: u64) {
        let sample = seconds(micros.max(1));
        self.samples += 1.0;
        let early = 1.0 / self.samples;
        let weight = if early > MEAN_WEIGHT { early } else { MEAN_WEIGHT };
        self.mean += weight * (sample - self.mean);
        if self.samples < 2.0 {
            self.p90 = sample;
            return;
        }
        self.p90 *= p90_step(self.samples, sample > self.p90);
    }

    /// Whether at least one service time is known.
    pub fn measured(&self) -> bool {
        self.samples > 0.0
    }

    /// Slots that come free per second while all are busy: `(N + 4) / (B + 4 * mean / slots)`.
    ///
    /// The four releases of the prior are what `slots` servers of that mean would give; they keep the first seconds
    /// of an overload, when N and B are small, from being noise. Only meaningful when measured and with slots.
    pub fn drain(&self, slots: f64) -> f64 {
        (self.releases + PRIOR_RELEASES) / (self.busy + PRIOR_RELEASES * self.mean / slots)
    }

    /// Requests per second that ask to come in.
    pub fn attempts_per_second(&self) -> f64 {
        self.attempts / WINDOW
    }
}
