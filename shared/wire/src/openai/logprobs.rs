//! Log-probabilities in answers: in chat's form and in that of plain completions.
//!
//! They are natural logarithms of the model's own distribution, before temperature, bias, penalties and filters. JSON has
//! no minus infinity: what is impossible has [`IMPOSSIBLE`].

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The log-probability of a token that cannot come, as OpenAI writes it.
pub const IMPOSSIBLE: f32 = -9999.0;

/// Of a chat answer, or of a piece of one.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ChatLogprobs {
    /// One for each token.
    pub content: Vec<TokenLogprob>,
    /// Always null: the model does not mark refusals.
    pub refusal: Option<()>,
}

/// Of one token, with what else was likely in its place.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TokenLogprob {
    /// The token itself.
    #[serde(flatten)]
    pub chosen: TopLogprob,
    /// The likeliest tokens, the likeliest first.
    pub top_logprobs: Vec<TopLogprob>,
}

/// A token and how likely it was.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TopLogprob {
    /// Its text, with U+FFFD for bytes that are no character by themselves.
    pub token: String,
    /// Its log-probability.
    pub logprob: f32,
    /// Its bytes: those of all tokens, one after the other, are the text.
    pub bytes: Vec<u8>,
}

/// Of a plain completion, or of a piece of one: lists of equal length, one entry for each token.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct CompletionLogprobs {
    /// Texts; a token that is no text by itself reads `bytes:\xf0\x9f`.
    pub tokens: Vec<String>,
    /// Log-probabilities.
    pub token_logprobs: Vec<f32>,
    /// The likeliest tokens of each place, and the chosen one.
    pub top_logprobs: Vec<BTreeMap<String, f32>>,
    /// Characters of the choice's text before each token.
    pub text_offset: Vec<usize>,
}
