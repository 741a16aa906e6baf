//! Log-probabilities of one step: the logarithm of the softmax of the model's own logits, at temperature 1 and before
//! bias, penalties and filters. OpenAI's API reports these, and vLLM by default (`raw_logprobs`).

use super::SampleError;
use super::exponential::exp;
use super::total;
use crate::engine::stream::ScoredToken;

/// What is kept of a row of logits until its token is chosen.
#[derive(Debug)]
pub(super) struct Distribution {
    logits: Vec<f32>,
    /// Logarithm of the sum of all exponentials.
    log_total: f64,
    /// Likeliest tokens that the request asks for.
    top: usize,
}

impl Distribution {
    /// # Errors
    /// When there is no likeliest token: everything is -inf, or something is NaN or +inf.
    pub(super) fn new(logits: &[f32], top: usize) -> Result<Self, SampleError> {
        let (_, max) = super::argmax(logits);
        if !max.is_finite() {
            return Err(SampleError::NotFinite);
        }
        let sum = total(logits, |logit| exp(logit - max));
        Ok(Self { logits: logits.to_vec(), log_total: f64::from(max) + sum.ln(), top })
    }

    /// The chosen token with its log-probability and those of the likeliest tokens.
    pub(super) fn score(&self, token: u32) -> ScoredToken {
        let logit = self.logits.get(token as usize).copied().unwrap_or(f32::NEG_INFINITY);
        let top = likeliest(&self.logits, self.top);
        let top = top.into_iter().map(|(token, logit)| (token, self.of(logit))).collect();
        ScoredToken { token, logprob: self.of(logit), top }
    }

    fn of(&self, logit: f32) -> f32 {
        (f64::from(logit) - self.log_total) as f32
    }
}

/// The `count` largest logits with their tokens, the largest first, of equals the lower token: one pass with a short
/// list, since at most some twenty are asked for.
fn likeliest(logits: &[f32], count: usize) -> Vec<(u32, f32)> {
    let mut top: Vec<(u32, f32)> = Vec::with_capacity(count + 1);
    for (logit, token) in logits.iter().zip(0u32..) {
        if top.len() == count && top.last().is_none_or(|least| *logit <= least.1) {
            continue;
        }
        let place = top.partition_point(|larger| larger.1 >= *logit);
        top.insert(place, (token, *logit));
        top.truncate(count);
    }
    top
}

#[cfg(test)]
mod tests;
