//! The answers of `POST /v1/chat/completions`: whole, and in chunks.

use super::{FinishReason, Role, ToolCall, Usage, answer::Head, logprobs::ChatLogprobs};
use serde::{Deserialize, Serialize};

/// [`Head::object`] of a whole answer.
pub const OBJECT: &str = "chat.completion";
/// [`Head::object`] of a chunk.
pub const CHUNK_OBJECT: &str = "chat.completion.chunk";

/// A whole answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ChatAnswer {
    /// Id, time, model.
    #[serde(flatten)]
    pub head: Head,
    /// One for each of `n`, in order.
    pub choices: Vec<ChatChoice>,
    /// What it cost.
    pub usage: Usage,
}

/// One of the answers asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ChatChoice {
    /// Counts from 0.
    pub index: u32,
    /// What the model said.
    pub message: AnswerMessage,
    /// Null unless the request asks for them.
    pub logprobs: Option<ChatLogprobs>,
    /// Why it ended.
    pub finish_reason: FinishReason,
}

/// The model's message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AnswerMessage {
    /// Always the assistant.
    pub role: Role,
    /// The text; null where the model only calls tools.
    pub content: Option<String>,
    /// The calls that it makes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tool_calls: Vec<ToolCall>,
    /// Always null: the model does not mark refusals.
    pub refusal: Option<()>,
}

impl ChatChoice {
    /// The assistant's message at `index`.
    pub fn new(index: u32, content: String, finish_reason: FinishReason) -> Self {
        let content = Some(content);
        let message = AnswerMessage { role: Role::Assistant, content, tool_calls: Vec::new(), refusal: None };
        Self { index, message, logprobs: None, finish_reason }
    }

    /// The same with calls, after which an empty text is none.
    #[must_use]
    pub fn with_calls(mut self, tool_calls: Vec<ToolCall>) -> Self {
        if !tool_calls.is_empty() {
            self.message.content = self.message.content.filter(|text| !text.is_empty());
            self.message.tool_calls = tool_calls;
        }
        self
    }

    /// The same with log-probabilities.
    #[must_use]
    pub fn with_logprobs(self, logprobs: Option<ChatLogprobs>) -> Self {
        Self { logprobs, ..self }
    }
}

/// One event of a stream.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ChatChunk {
    /// Id, time, model: the same in all chunks of one stream.
    #[serde(flatten)]
    pub head: Head,
    /// What is new; empty in the last chunk, which carries the usage.
    pub choices: Vec<ChunkChoice>,
    /// Left out unless the client asked for it; then null in all chunks but the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Option<Usage>>,
}

/// What is new in one of the answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ChunkChoice {
    /// Which of the answers.
    pub index: u32,
    /// The piece.
    pub delta: Delta,
    /// Of the tokens whose text this is; null unless the request asks for them.
    pub logprobs: Option<ChatLogprobs>,
    /// Null until the last piece of this answer.
    pub finish_reason: Option<FinishReason>,
}

/// A piece of a message.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delta {
    /// In the first piece only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    /// Text that follows what was sent before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
    /// Calls, or more of their arguments.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tool_calls: Vec<ToolCallDelta>,
}

/// A call in a stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolCallDelta {
    /// Which of the answer's calls.
    pub index: u32,
    /// The call.
    #[serde(flatten)]
    pub call: ToolCall,
}

impl ChunkChoice {
    /// The piece that opens the answer at `index`.
    pub fn opening(index: u32) -> Self {
        let delta = Delta { role: Some(Role::Assistant), content: Some(String::new()), ..Delta::default() };
        Self { index, delta, logprobs: None, finish_reason: None }
    }

    /// A piece of text.
    pub fn text(index: u32, text: String) -> Self {
        let delta = Delta { content: Some(text), ..Delta::default() };
        Self { index, delta, logprobs: None, finish_reason: None }
    }

    /// A whole call, the answer's `number`th.
    pub fn call(index: u32, number: u32, call: ToolCall) -> Self {
        let delta = Delta { tool_calls: vec![ToolCallDelta { index: number, call }], ..Delta::default() };
        Self { index, delta, logprobs: None, finish_reason: None }
    }

    /// The piece that ends the answer.
    pub fn closing(index: u32, reason: FinishReason) -> Self {
        Self { index, delta: Delta::default(), logprobs: None, finish_reason: Some(reason) }
    }

    /// The same with log-probabilities.
    #[must_use]
    pub fn with_logprobs(self, logprobs: Option<ChatLogprobs>) -> Self {
        Self { logprobs, ..self }
    }
}
