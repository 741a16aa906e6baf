//! The answers of `POST /v1/completions`: whole, and in chunks.

use super::{FinishReason, Usage, answer::Head, logprobs::CompletionLogprobs};
use serde::{Deserialize, Serialize};

/// [`Head::object`] of whole answers and of chunks alike.
pub const OBJECT: &str = "text_completion";

/// A whole answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CompletionAnswer {
    /// Id, time, model.
    #[serde(flatten)]
    pub head: Head,
    /// `n` for each prompt, in the order of the prompts.
    pub choices: Vec<CompletionChoice>,
    /// What it cost.
    pub usage: Usage,
}

/// One event of a stream.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CompletionChunk {
    /// Id, time, model: the same in all chunks of one stream.
    #[serde(flatten)]
    pub head: Head,
    /// What is new; empty in the last chunk, which carries the usage.
    pub choices: Vec<CompletionChoice>,
    /// Left out unless the client asked for it; then null in all chunks but the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Option<Usage>>,
}

/// One of the answers asked for, or a piece of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CompletionChoice {
    /// The text, or what follows the text sent before.
    pub text: String,
    /// Counts from 0: prompt times `n` plus the answer's own number.
    pub index: u32,
    /// Of the tokens whose text this is; null unless the request asks for them.
    pub logprobs: Option<CompletionLogprobs>,
    /// Why it ended; null in pieces before the last.
    pub finish_reason: Option<FinishReason>,
}

impl CompletionChoice {
    /// A piece that goes on.
    pub fn text(index: u32, text: String) -> Self {
        Self { text, index, logprobs: None, finish_reason: None }
    }

    /// A whole answer, or the piece that ends one.
    pub fn closing(index: u32, text: String, reason: FinishReason) -> Self {
        Self { text, index, logprobs: None, finish_reason: Some(reason) }
    }

    /// The same with log-probabilities.
    #[must_use]
    pub fn with_logprobs(self, logprobs: Option<CompletionLogprobs>) -> Self {
        Self { logprobs, ..self }
    }
}
