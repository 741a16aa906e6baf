//! What all answers share: why one ended, and what it cost.

use serde::{Deserialize, Serialize};

/// Why an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FinishReason {
    /// The model ended it, or a stop string did.
    Stop,
    /// It reached `max_tokens` or the end of the context.
    Length,
    /// The model calls tools, and waits for what they say.
    ToolCalls,
}

impl FinishReason {
    /// OpenAI's word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Length => "length",
            Self::ToolCalls => "tool_calls",
        }
    }
}

/// Tokens of a request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Tokens of all prompts.
    pub prompt_tokens: u64,
    /// Tokens of all answers; the one that ended an answer is not counted.
    pub completion_tokens: u64,
    /// The sum of both.
    pub total_tokens: u64,
    /// What the prompts' tokens are made of, where the server tells.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub prompt_tokens_details: Option<PromptTokensDetails>,
}

/// What a prompt's tokens are made of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PromptTokensDetails {
    /// Tokens that the server had in its cache and did not compute again.
    pub cached_tokens: u64,
}

impl Usage {
    /// Adds up.
    pub fn new(prompt_tokens: u64, completion_tokens: u64) -> Self {
        let total_tokens = prompt_tokens.saturating_add(completion_tokens);
        Self { prompt_tokens, completion_tokens, total_tokens, prompt_tokens_details: None }
    }

    /// Says how many of the prompts' tokens were in the cache.
    #[must_use]
    pub fn with_cached(self, cached_tokens: u64) -> Self {
        Self { prompt_tokens_details: Some(PromptTokensDetails { cached_tokens }), ..self }
    }
}

/// What stands at the head of every answer and of every chunk of one stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// Names the answer; all chunks of one stream share it.
    pub id: String,
    /// OpenAI's name of the body's type.
    pub object: String,
    /// Unix seconds.
    pub created: u64,
    /// Model that answered.
    pub model: String,
    /// Changes when weights, precision or code change, so that a `seed` may no longer repeat.
    pub system_fingerprint: Option<String>,
    /// The tier that served it (`priority`, `default` or `flex`), where the request named one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub service_tier: Option<String>,
}
