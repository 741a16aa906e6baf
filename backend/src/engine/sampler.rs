//! From logits to a token, in OpenAI's terms.
//!
//! Each sequence has its own sampler with its own random stream: the draw depends on the seed and on how many
//! tokens the sequence has made, never on its neighbours in the batch.

use std::collections::HashMap;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::request::Sampling;

/// Chooses the tokens of one sequence.
#[derive(Debug)]
pub(super) struct Sampler {
    sampling: Sampling,
    random: StdRng,
    /// How often each token was generated; kept only where a penalty asks for it.
    generated: HashMap<u32, u32>,
}

/// The model gave no number that can be compared.
#[derive(Debug, thiserror::Error)]
#[error("the model's logits are not finite")]
pub(super) struct NotFinite;

impl Sampler {
    pub(super) fn new(sampling: Sampling) -> Self {
        let seed = sampling.seed.unwrap_or_else(rand::random);
        Self { sampling, random: StdRng::seed_from_u64(seed), generated: HashMap::new() }
    }

    /// Chooses the next token. `logits` is scratch afterwards.
    pub(super) fn sample(&mut self, logits: &mut [f32]) -> Result<u32, NotFinite> {
        self.penalise(logits);
        let (best, max) = argmax(logits);
        if !max.is_finite() {
            return Err(NotFinite);
        }
        let token = if self.sampling.temperature > 0.0 { self.draw(logits, max) } else { best };
        if self.penalises() {
            *self.generated.entry(token).or_default() += 1;
        }
        Ok(token)
    }

    fn penalises(&self) -> bool {
        self.sampling.presence_penalty != 0.0 || self.sampling.frequency_penalty != 0.0
    }

    fn penalise(&self, logits: &mut [f32]) {
        for (token, times) in &self.generated {
            logits[*token as usize] -=
                self.sampling.presence_penalty + self.sampling.frequency_penalty * *times as f32;
        }
    }

    fn draw(&mut self, logits: &mut [f32], max: f32) -> u32 {
        let mut total = 0.0;
        for logit in logits.iter_mut() {
            *logit = ((*logit - max) / self.sampling.temperature).exp();
            total += f64::from(*logit);
        }
        let point = self.random.random::<f64>();
        if self.sampling.top_p >= 1.0 {
            return pick(logits.iter().copied().enumerate(), point * total);
        }
        let (nucleus, mass) = nucleus(logits, f64::from(self.sampling.top_p) * total, total);
        pick(nucleus.into_iter(), point * mass)
    }
}

/// The largest logit and its token, the lowest where several tie. A NaN anywhere makes the result NaN.
fn argmax(logits: &[f32]) -> (u32, f32) {
    let mut best = (0, f32::NEG_INFINITY);
    for (token, logit) in logits.iter().enumerate() {
        if logit.is_nan() {
            return (0, f32::NAN);
        }
        if *logit > best.1 {
            best = (token as u32, *logit);
        }
    }
    best
}

/// The fewest most likely tokens whose weights reach `wanted` (at least one), and their sum.
fn nucleus(weights: &[f32], wanted: f64, total: f64) -> (Vec<(usize, f32)>, f64) {
    // Tokens below this weight hold less than `total - wanted` all together, so none of them is needed: this
    // spares sorting a vocabulary of 100,000 for a nucleus of ten.
    let needless = (total - wanted) / weights.len() as f64;
    let mut tokens: Vec<(usize, f32)> =
        weights.iter().copied().enumerate().filter(|(_, weight)| f64::from(*weight) >= needless).collect();
    tokens.sort_unstable_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    let mut mass = 0.0;
    let mut count = 0;
    for (_, weight) in &tokens {
        mass += f64::from(*weight);
        count += 1;
        if mass >= wanted {
            break;
        }
    }
    tokens.truncate(count);
    (tokens, mass)
}

/// The token at `point` when all weights are laid end to end.
fn pick(tokens: impl Iterator<Item = (usize, f32)>, point: f64) -> u32 {
    let mut passed = 0.0;
    let mut last = 0;
    for (token, weight) in tokens {
        if weight > 0.0 {
            last = token;
        }
        passed += f64::from(weight);
        if passed > point {
            break;
        }
    }
    last as u32
}

#[cfg(test)]
mod tests;
