//! Scores of tokens as log-probabilities of an answer, in the form of either call.

use crate::{
    api::choices::{Said, Score},
    node::Backend,
    text::Vocabulary,
};
use std::{fmt::Write as _, sync::Arc};
use tidegate_wire::openai::{
    Generation,
    logprobs::{ChatLogprobs, CompletionLogprobs, IMPOSSIBLE, TokenLogprob, TopLogprob},
};

/// Whether an answer carries log-probabilities, and how tokens read.
#[derive(Debug)]
pub(super) struct Scores {
    wanted: bool,
    vocabulary: Arc<Vocabulary>,
}

impl Scores {
    pub(super) fn new(backend: &Backend, generation: &Generation) -> Self {
        Self { wanted: generation.logprobs.is_some(), vocabulary: Arc::clone(backend.vocabulary()) }
    }

    /// None where the request does not ask for them.
    pub(super) fn of_chat(&self, said: &Said) -> Option<ChatLogprobs> {
        let one = |score: &Score| TokenLogprob {
            chosen: self.likely(score.scored.token, score.scored.logprob),
            top_logprobs: score
                .scored
                .top
                .iter()
                .map(|(token, logprob)| self.likely(*token, *logprob))
                .collect(),
        };
        self.wanted.then(|| ChatLogprobs { content: said.scores.iter().map(one).collect(), refusal: None })
    }

    /// None where the request does not ask for them.
    pub(super) fn of_completion(&self, said: &Said) -> Option<CompletionLogprobs> {
        if !self.wanted {
            return None;
        }
        let mut logprobs = CompletionLogprobs::default();
        for Score { scored, offset } in &said.scores {
            let chosen = (self.name(scored.token), possible(scored.logprob));
            let others = scored.top.iter().map(|(token, logprob)| (self.name(*token), possible(*logprob)));
            logprobs.top_logprobs.push(others.chain([chosen.clone()]).collect());
            logprobs.tokens.push(chosen.0);
            logprobs.token_logprobs.push(chosen.1);
            logprobs.text_offset.push(*offset);
        }
        Some(logprobs)
    }

    fn likely(&self, token: u32, logprob: f32) -> TopLogprob {
        let bytes = self.vocabulary.bytes(token);
        let token = String::from_utf8_lossy(bytes).into_owned();
        TopLogprob { token, logprob: possible(logprob), bytes: bytes.to_vec() }
    }

    /// Tokens are keys here, so that each needs a name of its own.
    fn name(&self, token: u32) -> String {
        let bytes = self.vocabulary.bytes(token);
        match std::str::from_utf8(bytes) {
            Ok(text) => text.to_owned(),
            Err(_) => bytes.iter().fold("bytes:".to_owned(), |mut name, byte| {
                // Writing to a string does not fail.
                let _ = write!(name, "\\x{byte:02x}");
                name
            }),
        }
    }
}

/// JSON has no minus infinity.
fn possible(logprob: f32) -> f32 {
    logprob.max(IMPOSSIBLE)
}
