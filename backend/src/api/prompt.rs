//! Messages or text to tokens, and whether they fit the context beside the answer that is asked for.

use crate::{
    engine::{Engine, Room},
    error::{ApiError, ErrorKind},
    grammar::Grammar,
    node::Backend,
    text::TextStream,
};
use serde_json::Value;
use std::sync::Arc;
use tidegate_wire::openai::{ChatMessage, Generation, Prompt};

/// Bytes of a request from which on its tokens are counted beside the runtime's threads: a millisecond or so of work.
const LARGE: usize = 8 * 1024;

/// One prompt of a request.
#[derive(Debug)]
pub(crate) struct Encoded {
    pub(crate) tokens: Vec<u32>,
    /// Its text, where the answer is to begin with it.
    pub(crate) echo: Option<String>,
    /// True where the answer goes on in the prompt's own sentence.
    continued: bool,
}

impl Encoded {
    /// What makes the answer's tokens text.
    pub(crate) fn answer_text(&self, backend: &Backend) -> Result<TextStream, ApiError> {
        let tokenizer = Arc::clone(backend.tokenizer());
        if self.continued {
            TextStream::after(tokenizer, &self.tokens).map_err(|error| tokenizer_failed(&error))
        } else {
            Ok(TextStream::new(tokenizer))
        }
    }
}

/// What a request is before its sequences start.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) prompts: Vec<Encoded>,
    /// What the answers may be, where that is limited.
    pub(crate) grammar: Option<Grammar>,
}

/// Runs `encode` where it cannot keep other requests waiting.
pub(crate) async fn encode<T: Send + 'static>(
    size: usize,
    encode: impl FnOnce() -> Result<T, ApiError> + Send + 'static,
) -> Result<T, ApiError> {
    if size < LARGE {
        return encode();
    }
    tokio::task::spawn_blocking(encode).await.map_err(|error| tokenizer_failed(&error))?
}

/// A conversation as the model's own template renders it, with the tools that may be called.
pub(crate) fn of_messages(
    backend: &Backend,
    messages: &[ChatMessage],
    tools: &[Value],
) -> Result<Encoded, ApiError> {
    let template = backend.chat_template().ok_or_else(|| {
        let message = "This model has no chat template; /v1/completions takes plain prompts.";
        ApiError::new(ErrorKind::Invalid("no_chat_template"), message).with_param("messages")
    })?;
    let text = template.render_with_tools(messages, tools, true).map_err(|error| {
        let message = format!("The model's chat template does not take these messages: {error}.");
        ApiError::new(ErrorKind::Invalid("invalid_messages"), message).with_param("messages")
    })?;
    // The template has written the special tokens already.
    Ok(Encoded { tokens: tokens_of(backend, &text, false)?, echo: None, continued: false })
}

/// A plain prompt; with its text where the answer is to `echo` it.
pub(crate) fn of_prompt(backend: &Backend, prompt: Prompt, echo: bool) -> Result<Encoded, ApiError> {
    match prompt {
        Prompt::Text(text) => Ok(Encoded {
            tokens: tokens_of(backend, &text, true)?,
            echo: echo.then_some(text),
            continued: true,
        }),
        Prompt::Tokens(tokens) => {
            let text = echo.then(|| backend.tokenizer().decode(&tokens, true)).transpose();
            Ok(Encoded { echo: text.map_err(|error| tokenizer_failed(&error))?, tokens, continued: true })
        }
    }
}

/// The tokens of a text, with those that the model puts round it or without.
pub(crate) fn tokens_of(
    backend: &Backend,
    text: &str,
    add_special_tokens: bool,
) -> Result<Vec<u32>, ApiError> {
    let encoding = backend
        .tokenizer()
        .encode_fast(text, add_special_tokens)
        .map_err(|error| tokenizer_failed(&error))?;
    Ok(encoding.get_ids().to_vec())
}

fn tokenizer_failed(error: &impl std::fmt::Display) -> ApiError {
    ApiError::new(ErrorKind::Internal, format!("The tokenizer failed: {error}."))
}

/// Refuses a prompt that leaves no room for the answer that is asked for. Both lengths stand in the message.
pub(crate) fn expect_fit(
    prompts: &[Encoded],
    generation: &Generation,
    engine: &Engine,
    param: &str,
) -> Result<(), ApiError> {
    let context = engine.context_length();
    let room = match engine.room() {
        Room::Context(tokens) => format!("This model's context is {tokens} tokens"),
        Room::Cache(tokens) => format!("This backend's key/value cache has room for {tokens} tokens"),
    };
    let longest = prompts.iter().map(|prompt| prompt.tokens.len()).max().unwrap_or(0);
    if longest >= context {
        let message = format!("{room}, the answer included, but the prompt alone has {longest} tokens.");
        return Err(too_long(message, param));
    }
    match generation.max_tokens {
        Some(asked) if longest + asked as usize > context => {
            let message = format!(
                "{room}, but {} were asked for: {longest} of the prompt and {asked} \
                 of the answer.",
                longest + asked as usize
            );
            Err(too_long(message, generation.max_tokens_param))
        }
        _ => Ok(()),
    }
}

fn too_long(message: String, param: &str) -> ApiError {
    ApiError::new(ErrorKind::Invalid("context_length_exceeded"), message).with_param(param)
}
