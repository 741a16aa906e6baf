//! From logits to a token: what one sequence asks for, applied to its row of a step's logits.
//!
//! The order is vLLM's (the steps that its `v1/sample/sampler.py` lists), so that parameters which are used together mean
//! the same here and there:
//!
//! 1. log-probabilities of the model's own distribution, before anything below (vLLM's `raw_logprobs`);
//! 2. `min_tokens`: what would end the answer is ruled out until it is long enough;
//! 3. `logit_bias`;
//! 4. penalties: repetition, then frequency and presence;
//! 5. greedy: the likeliest token, and no more; else temperature, `min_p`, `top_k`, `top_p`, and one draw.
//!
//! Each draw depends on the seed and on how many tokens the sequence has made, never on its neighbours in the batch.
//!
//! Reading order: this file, `penalties`, `candidates` (the filters), `draw`, `logprobs`.

mod candidates;
mod draw;
mod logprobs;
mod penalties;

use super::request::Sampling;
use super::stream::ScoredToken;
use candidates::Candidates;
use logprobs::Distribution;
use penalties::Penalties;

/// Temperatures below choose the likeliest token (vLLM's bound): divided by less, logits would leave the range of f32.
const GREEDY_BELOW: f32 = 1e-5;

/// Chooses the tokens of one sequence.
#[derive(Debug)]
pub(super) struct Sampler {
    sampling: Sampling,
    /// Tokens that would end the answer.
    ending: Vec<u32>,
    seed: u64,
    /// Tokens chosen so far: the position of the next draw.
    made: usize,
    penalties: Penalties,
}

/// The model gave no number that can be compared, or everything was ruled out.
#[derive(Debug, thiserror::Error)]
#[error("the model's logits are not finite")]
pub(super) struct NotFinite;

/// A token, with its log-probabilities where the request asks for them.
#[derive(Debug)]
pub(super) enum Sampled {
    Token(u32),
    Scored(Box<ScoredToken>),
}

impl Sampled {
    pub(super) fn token(&self) -> u32 {
        match self {
            Self::Token(token) => *token,
            Self::Scored(scored) => scored.token,
        }
    }
}

impl Sampler {
    /// For a sequence that continues `prompt` and ends with any token of `ending`.
    pub(super) fn new(sampling: Sampling, prompt: &[u32], ending: &[u32]) -> Self {
        let seed = sampling.seed.unwrap_or_else(rand::random);
        let penalties = Penalties::new(&sampling, prompt);
        Self { sampling, ending: ending.to_vec(), seed, made: 0, penalties }
    }

    /// Chooses the next token. `logits` is scratch afterwards.
    pub(super) fn sample(&mut self, logits: &mut [f32]) -> Result<Sampled, NotFinite> {
        let distribution = self.sampling.logprobs.map(|top| Distribution::new(logits, top)).transpose()?;
        self.adjust(logits);
        let (best, max) = argmax(logits);
        if !max.is_finite() {
            return Err(NotFinite);
        }
        let token = if self.sampling.temperature < GREEDY_BELOW { best } else { self.draw(logits, max) };
        self.penalties.count(token);
        self.made += 1;
        Ok(match distribution {
            Some(distribution) => Sampled::Scored(Box::new(distribution.score(token))),
            None => Sampled::Token(token),
        })
    }

    /// What changes logits one by one, greedy choices included.
    fn adjust(&self, logits: &mut [f32]) {
        if self.made < self.sampling.min_tokens {
            for token in &self.ending {
                set(logits, *token, |_| f32::NEG_INFINITY);
            }
        }
        for (token, bias) in &self.sampling.logit_bias {
            set(logits, *token, |logit| logit + bias);
        }
        self.penalties.apply(logits);
    }

    fn draw(&self, logits: &mut [f32], max: f32) -> u32 {
        let point = draw::uniform(self.seed, self.made as u64);
        Candidates::new(logits, max, &self.sampling).pick(point)
    }
}

fn set(logits: &mut [f32], token: u32, change: impl FnOnce(f32) -> f32) {
    if let Some(logit) = logits.get_mut(token as usize) {
        *logit = change(*logit);
    }
}

/// Numbers that are compared side by side, so that the compiler makes vectors of them.
const LANES: usize = 16;

/// The largest logit and its token, the lowest where several tie. A NaN anywhere makes the result NaN.
fn argmax(logits: &[f32]) -> (u32, f32) {
    let mut largest = [f32::NEG_INFINITY; LANES];
    let mut odd = [false; LANES];
    let chunks = logits.chunks_exact(LANES);
    let rest = chunks.remainder();
    for chunk in chunks {
        for lane in 0..LANES {
            let logit = chunk[lane];
            largest[lane] = if logit > largest[lane] { logit } else { largest[lane] };
            odd[lane] |= logit.is_nan();
        }
    }
    if odd.contains(&true) || rest.iter().any(|logit| logit.is_nan()) {
        return (0, f32::NAN);
    }
    let max = largest.iter().chain(rest).fold(f32::NEG_INFINITY, |max, logit| max.max(*logit));
    let token = logits.iter().position(|logit| *logit == max).unwrap_or_default();
    (token as u32, max)
}

#[cfg(test)]
mod tests;
