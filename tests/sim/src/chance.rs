//! Chance with a seed: the same seed gives the same run.

use rand::{RngExt, SeedableRng, rngs::StdRng};

/// A stream of random numbers.
#[derive(Debug)]
pub struct Chance(StdRng);

impl Chance {
    /// The stream of that name (any number) under a seed. Streams of one seed do not disturb one another, so that two
    /// runs that differ in one thing meet the same arrivals and the same work.
    pub fn new(seed: u64, stream: u64) -> Chance {
        Chance(StdRng::seed_from_u64(seed.wrapping_mul(1_000_003).wrapping_add(stream)))
    }

    /// Uniform in [0, 1).
    pub fn unit(&mut self) -> f64 {
        self.0.random()
    }

    /// Uniform in `from..to`.
    pub fn between(&mut self, from: u64, to: u64) -> u64 {
        if from < to { self.0.random_range(from..to) } else { from }
    }

    /// Uniform among `0..count`; 0 where there is nothing to choose from.
    pub fn index(&mut self, count: usize) -> usize {
        if count > 0 { self.0.random_range(0..count) } else { 0 }
    }

    /// True with that probability.
    pub fn happens(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// Exponential with that mean.
    pub fn exponential(&mut self, mean: f64) -> f64 {
        -mean * (1.0 - self.unit()).ln()
    }

    /// Normal with mean 0 and variance 1 (Box and Muller, "A note on the generation of random normal deviates", 1958).
    pub fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.unit()).cos()
    }
}
