//! The request of `POST /v1/chat/completions`.

use super::{ChatMessage, Generation, Invalid, fields::Fields, unsupported};

/// A chat request that can be served: every parameter checked for type and range.
#[derive(Debug, Clone, PartialEq)]
pub struct ChatRequest {
    /// Model that is asked for.
    pub model: String,
    /// The conversation so far; at least one message.
    pub messages: Vec<ChatMessage>,
    /// How the answer is to be made.
    pub generation: Generation,
}

impl ChatRequest {
    /// Reads the body of a request.
    pub fn parse(body: &[u8]) -> Result<Self, Invalid> {
        let mut fields = Fields::parse(body)?;
        let request = Self {
            model: fields.required_text("model")?,
            messages: take_messages(&mut fields)?,
            generation: Generation::take(&mut fields)?,
        };
        unsupported::refuse_in_chat(&mut fields)?;
        unsupported::accept_without_effect(&mut fields)?;
        fields.finish()?;
        Ok(request)
    }
}

fn take_messages(fields: &mut Fields) -> Result<Vec<ChatMessage>, Invalid> {
    let path = fields.path("messages");
    let Some(items) = fields.array("messages", "an array of objects")? else {
        return Err(Invalid::missing(&path));
    };
    if items.is_empty() {
        let message = format!(
            "Invalid '{path}': empty array. Expected an array with minimum length 1, but got an empty array instead."
        );
        return Err(Invalid::param("empty_array", path, message));
    }
    items
        .into_iter()
        .enumerate()
        .map(|(index, item)| ChatMessage::read(item, format!("{path}[{index}]")))
        .collect()
}
