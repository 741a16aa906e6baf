//! Messages or text to tokens, and whether they fit the context beside the answer that is asked for.

use crate::{
    error::{ApiError, ErrorKind},
    node::Backend,
};
use tidegate_wire::openai::{ChatMessage, Generation, Prompt};

/// Bytes of a request from which on its tokens are counted beside the runtime's threads: a millisecond or so of work.
const LARGE: usize = 8 * 1024;

/// Tokens of every prompt of a request.
pub(crate) type Tokens = Vec<Vec<u32>>;

/// Runs `encode` where it cannot keep other requests waiting.
pub(crate) async fn encode<T: Send + 'static>(
    size: usize,
    encode: impl FnOnce() -> Result<T, ApiError> + Send + 'static,
) -> Result<T, ApiError> {
    if size < LARGE {
        return encode();
    }
    tokio::task::spawn_blocking(encode)
        .await
        .map_err(|error| ApiError::new(ErrorKind::Internal, format!("The tokenizer failed: {error}.")))?
}

/// A conversation as the model's own template renders it.
pub(crate) fn of_messages(backend: &Backend, messages: &[ChatMessage]) -> Result<Vec<u32>, ApiError> {
    let template = backend.chat_template().ok_or_else(|| {
        let message = "This model has no chat template; /v1/completions takes plain prompts.";
        ApiError::new(ErrorKind::Invalid("no_chat_template"), message).with_param("messages")
    })?;
    let text = template.render(messages, true).map_err(|error| {
        let message = format!("The model's chat template does not take these messages: {error}.");
        ApiError::new(ErrorKind::Invalid("invalid_messages"), message).with_param("messages")
    })?;
    // The template has written the special tokens already.
    tokens_of(backend, &text, false)
}

/// A plain prompt.
pub(crate) fn of_prompt(backend: &Backend, prompt: Prompt) -> Result<Vec<u32>, ApiError> {
    match prompt {
        Prompt::Text(text) => tokens_of(backend, &text, true),
        Prompt::Tokens(tokens) => Ok(tokens),
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
        .map_err(|error| ApiError::new(ErrorKind::Internal, format!("The tokenizer failed: {error}.")))?;
    Ok(encoding.get_ids().to_vec())
}

/// Refuses a prompt that leaves no room for the answer that is asked for. Both lengths stand in the message.
pub(crate) fn expect_fit(
    tokens: &[Vec<u32>],
    generation: &Generation,
    context: usize,
    param: &str,
) -> Result<(), ApiError> {
    let longest = tokens.iter().map(Vec::len).max().unwrap_or(0);
    if longest >= context {
        let message = format!(
            "This model's context is {context} tokens, the answer included, but the prompt alone has {longest} tokens."
        );
        return Err(too_long(message, param));
    }
    match generation.max_tokens {
        Some(asked) if longest + asked as usize > context => {
            let message = format!(
                "This model's context is {context} tokens, but {} were asked for: {longest} of the prompt and {asked} \
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
