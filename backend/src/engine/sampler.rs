//! From logits to a token: what one sequence asks for, applied to its row of a step's logits.
//!
//! The order is vLLM's (the steps that its `v1/sample/sampler.py` lists), so that parameters which are used together mean
//! the same here and there:
//!
//! 1. log-probabilities of the model's own distribution, before anything below (vLLM's `raw_logprobs`);
//! 2. the grammar, where there is one: what it does not allow is ruled out;
//! 3. `min_tokens`: what would end the answer is ruled out until it is long enough;
//! 4. `logit_bias`;
//! 5. penalties: repetition, then frequency and presence;
//! 6. greedy: the likeliest token, and no more; else temperature, `min_p`, `top_k`, `top_p`, and one draw.
//!
//! Each draw depends on the seed and on how many tokens the sequence has made, never on its neighbours in the batch.
//!
//! Reading order: this file, `penalties`, `candidates` (the filters), `exponential`, `draw`, `logprobs`.

mod candidates;
mod draw;
mod exponential;
mod logprobs;
mod penalties;

use super::request::Sampling;
use super::stream::ScoredToken;
use crate::grammar::{Grammar, Guide};
use crate::model::{Chosen, Draw};
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
    guide: Option<Guide>,
    complete: bool,
}

/// Why there is no next token.
#[derive(Debug, thiserror::Error)]
pub(super) enum SampleError {
    /// The model gave no number that can be compared.
    #[error("the model's logits are not finite")]
    NotFinite,
    /// The grammar leaves nothing but an end that `min_tokens` does not allow.
    #[error("no token is allowed")]
    Exhausted,
    #[error("the grammar cannot go on: {0}")]
    Grammar(String),
}

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
        let guide = sampling.grammar.as_ref().map(Grammar::guide);
        Self { sampling, ending: ending.to_vec(), seed, made: 0, penalties, guide, complete: false }
    }

    /// Waits for what is computed beside the forward pass. Not to be called by a thread of the pool that computes it.
    pub(super) fn prepare(&mut self) {
        if let Some(guide) = &mut self.guide {
            guide.wait();
        }
    }

    /// True where nothing can follow the tokens so far: the grammar is at its end.
    pub(super) fn complete(&self) -> bool {
        self.complete
    }

    /// Chooses the next token. `logits` is scratch afterwards.
    pub(super) fn sample(&mut self, logits: &mut [f32]) -> Result<Sampled, SampleError> {
        let distribution = self.sampling.logprobs.map(|top| Distribution::new(logits, top)).transpose()?;
        self.adjust(logits)?;
        let (best, max) = argmax(logits);
        if !max.is_finite() {
            let exhausted = self.guide.is_some() && max == f32::NEG_INFINITY;
            return Err(if exhausted { SampleError::Exhausted } else { SampleError::NotFinite });
        }
        let token = if self.sampling.temperature < GREEDY_BELOW { best } else { self.draw(logits, max) };
        self.penalties.count(token);
        self.made += 1;
        self.complete = self.guide.as_mut().is_some_and(|guide| guide.accept(token));
        Ok(match distribution {
            Some(distribution) => Sampled::Scored(Box::new(distribution.score(token))),
            None => Sampled::Token(token),
        })
    }

    /// How the next token is chosen where nothing is asked for but the likeliest, or a draw from the whole distribution:
    /// then it can be done where the logits are.
    pub(super) fn draw_ahead(&self) -> Option<Draw> {
        let asked = &self.sampling;
        let untouched = self.guide.is_none()
            && self.made >= asked.min_tokens
            && asked.logit_bias.is_empty()
            && asked.logprobs.is_none()
            && self.penalties.are_none();
        if !untouched {
            return None;
        }
        if asked.temperature < GREEDY_BELOW {
            return Some(Draw::Likeliest);
        }
        let whole = asked.top_k.is_none() && asked.top_p >= 1.0 && asked.min_p <= 0.0;
        let point = || draw::uniform(self.seed, self.made as u64);
        whole.then(|| Draw::At { inverse_temperature: asked.temperature.recip(), point: point() })
    }

    /// Takes a token that was chosen as [`Sampler::draw_ahead`] says.
    pub(super) fn take(&mut self, chosen: Chosen) -> Result<Sampled, SampleError> {
        if !chosen.max.is_finite() {
            return Err(SampleError::NotFinite);
        }
        self.made += 1;
        Ok(Sampled::Token(chosen.token))
    }

    /// What changes logits one by one, greedy choices included.
    fn adjust(&mut self, logits: &mut [f32]) -> Result<(), SampleError> {
        if let Some(guide) = &mut self.guide {
            guide.apply(logits).map_err(SampleError::Grammar)?;
        }
        if self.made < self.sampling.min_tokens {
            for token in &self.ending {
                set(logits, *token, |_| f32::NEG_INFINITY);
            }
        }
        for (token, bias) in &self.sampling.logit_bias {
            set(logits, *token, |logit| logit + bias);
        }
        self.penalties.apply(logits);
        Ok(())
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

/// The sum of all weights of a row, in double precision: a vocabulary of small ones must not be lost beside a large one.
fn total(row: &[f32], weight: impl Fn(f32) -> f32) -> f64 {
    let mut sums = [0.0; LANES];
    let chunks = row.chunks_exact(LANES);
    let rest: f64 = chunks.remainder().iter().map(|value| f64::from(weight(*value))).sum();
    for chunk in chunks {
        for lane in 0..LANES {
            sums[lane] += f64::from(weight(chunk[lane]));
        }
    }
    sums.iter().sum::<f64>() + rest
}

#[cfg(test)]
pub(super) mod tests;
