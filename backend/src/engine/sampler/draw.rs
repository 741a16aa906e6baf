//! Random numbers that are a function of seed and position: a sequence that is stopped and resumed, or that runs in
//! another company, draws the same ones.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// Uniform in [0, 1). Seed and position are the generator's key, so each pair has a stream of its own.
pub(super) fn uniform(seed: u64, position: u64) -> f64 {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    key[8..16].copy_from_slice(&position.to_le_bytes());
    StdRng::from_seed(key).random()
}

#[cfg(test)]
mod tests;
