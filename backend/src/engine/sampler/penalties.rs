//! Penalties for tokens that stand in the text already.
//!
//! Repetition (Keskar et al., "CTRL", 2019, as Hugging Face and vLLM apply it) looks at prompt and answer; frequency and
//! presence (OpenAI's definition) at the answer only.

use std::collections::HashMap;

use crate::engine::Sampling;

/// Where a token has been seen.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    /// Times in the answer.
    answer: u32,
    /// True where it stands in the prompt.
    prompt: bool,
}

/// What one sequence has seen; nothing is kept where no penalty asks for it.
#[derive(Debug)]
pub(super) struct Penalties {
    repetition: f32,
    frequency: f32,
    presence: f32,
    seen: HashMap<u32, Seen>,
}

impl Penalties {
    pub(super) fn new(sampling: &Sampling, prompt: &[u32]) -> Self {
        let mut penalties = Self {
            repetition: sampling.repetition_penalty,
            frequency: sampling.frequency_penalty,
            presence: sampling.presence_penalty,
            seen: HashMap::new(),
        };
        if penalties.repetition != 1.0 {
            for token in prompt {
                penalties.seen.entry(*token).or_default().prompt = true;
            }
        }
        penalties
    }

    /// True where no token is ever penalised.
    pub(super) fn are_none(&self) -> bool {
        self.repetition == 1.0 && self.frequency == 0.0 && self.presence == 0.0
    }

    /// Notes a token of the answer.
    pub(super) fn count(&mut self, token: u32) {
        if !self.are_none() {
            self.seen.entry(token).or_default().answer += 1;
        }
    }

    /// Each token's logit depends on that token alone, so the order of the tokens makes no difference.
    pub(super) fn apply(&self, logits: &mut [f32]) {
        for (token, seen) in &self.seen {
            let Some(logit) = logits.get_mut(*token as usize) else { continue };
            // Towards less likely on both sides of 0.
            *logit = if *logit > 0.0 { *logit / self.repetition } else { *logit * self.repetition };
            if seen.answer > 0 {
                *logit -= self.frequency * seen.answer as f32 + self.presence;
            }
        }
    }
}

#[cfg(test)]
mod tests;
