//! Requests and answers of the OpenAI API.
//!
//! Requests are read in two steps, so that every refusal can say what is wrong and where: bytes become JSON
//! ([`Invalid`] says at which line and column they do not), then each parameter is taken out by name with its type and
//! range checked. What is left over is unknown and refused by name, as OpenAI does; what is known but not supported is
//! refused too unless its value leaves the answer as it is. Nothing that would change the answer is ignored.
//!
//! Read in this order:
//!
//! 1. [`invalid`]: why a request was refused.
//! 2. `fields`, `unsupported` (private): an object read by name; what is refused by name.
//! 3. [`generation`]: the parameters that chat and plain completions share.
//! 4. [`message`]: one message of a conversation; [`tools`]: what a model may call; [`response_format`].
//! 5. [`chat`], [`completion`]: the two requests.
//! 6. [`embedding`]: the request for embeddings, and its answer.
//! 7. [`answer`]: usage and finish reasons; [`logprobs`]; [`chat_answer`], [`completion_answer`]: whole answers and chunks.
//! 8. [`model`]: the list of models.
//!
//! Source: the OpenAI API reference (chat completions, legacy completions, embeddings, models) and the types of the official SDKs.

pub mod answer;
pub mod chat;
pub mod chat_answer;
pub mod completion;
pub mod completion_answer;
pub mod embedding;
mod fields;
pub mod generation;
pub mod invalid;
pub mod logprobs;
pub mod message;
pub mod model;
pub mod response_format;
pub mod tools;
mod unsupported;

pub use answer::{FinishReason, Usage};
pub use chat::ChatRequest;
pub use chat_answer::{ChatAnswer, ChatChunk};
pub use completion::{CompletionRequest, Prompt};
pub use completion_answer::{CompletionAnswer, CompletionChunk};
pub use embedding::{EmbeddingAnswer, EmbeddingRequest, EncodingFormat};
pub use generation::Generation;
pub use invalid::Invalid;
pub use message::{ChatMessage, Role};
pub use model::{Model, ModelList};
pub use response_format::ResponseFormat;
pub use tools::{Tool, ToolCall, ToolChoice, Tools};

/// Path of chat completions.
pub const CHAT_PATH: &str = "/v1/chat/completions";
/// Path of legacy completions.
pub const COMPLETIONS_PATH: &str = "/v1/completions";
/// Path of embeddings.
pub const EMBEDDINGS_PATH: &str = "/v1/embeddings";
/// Path of the list of models; one model stands below it.
pub const MODELS_PATH: &str = "/v1/models";
/// Most sequences that one request may ask for: `n` times its prompts.
pub const MAX_SEQUENCES: u32 = 16;
/// Most texts that one request for embeddings may hold, as in the OpenAI API.
pub const MAX_EMBEDDING_INPUTS: usize = 2048;
