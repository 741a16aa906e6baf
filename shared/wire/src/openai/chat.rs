//! The request of `POST /v1/chat/completions`.

use super::{
    ChatMessage, Generation, Invalid, ResponseFormat, ToolChoice, Tools, fields::Fields, unsupported,
};

/// A chat request that can be served: every parameter checked for type and range.
#[derive(Debug, Clone, PartialEq)]
pub struct ChatRequest {
    /// Model that is asked for.
    pub model: String,
    /// The conversation so far; at least one message.
    pub messages: Vec<ChatMessage>,
    /// How the answer is to be made.
    pub generation: Generation,
    /// What the answer must be.
    pub response_format: ResponseFormat,
    /// What the model may call.
    pub tools: Tools,
}

impl ChatRequest {
    /// Reads the body of a request.
    pub fn parse(body: &[u8]) -> Result<Self, Invalid> {
        let mut fields = Fields::parse(body)?;
        let request = Self {
            model: fields.required_text("model")?,
            messages: take_messages(&mut fields)?,
            generation: {
                let logprobs = take_logprobs(&mut fields)?;
                Generation::take(&mut fields, logprobs)?
            },
            response_format: ResponseFormat::take(&mut fields)?,
            tools: Tools::take(&mut fields)?,
        };
        unsupported::refuse_in_chat(&mut fields)?;
        unsupported::accept_without_effect(&mut fields)?;
        fields.finish()?;
        request.expect_one_shape()?;
        Ok(request)
    }

    /// An answer is either JSON or calls.
    fn expect_one_shape(&self) -> Result<(), Invalid> {
        if self.response_format == ResponseFormat::Text || self.tools.choice == ToolChoice::None {
            return Ok(());
        }
        let message = "The 'response_format' parameter cannot ask for JSON while 'tools' may be called.";
        Err(Invalid::param("invalid_parameter_combination", "response_format", message))
    }
}

/// Most alternatives that `top_logprobs` may ask for.
const MAX_TOP_LOGPROBS: i64 = 20;

/// `logprobs` says whether, `top_logprobs` how many alternatives.
fn take_logprobs(fields: &mut Fields) -> Result<Option<u32>, Invalid> {
    let wanted = fields.boolean("logprobs")?.unwrap_or(false);
    let path = fields.path("top_logprobs");
    let top = fields.integer("top_logprobs", 0..=MAX_TOP_LOGPROBS)?;
    match top.and_then(|top| u32::try_from(top).ok()) {
        Some(top) if top > 0 && !wanted => {
            let message = format!("The '{path}' parameter is only allowed when 'logprobs' is enabled.");
            Err(Invalid::param("invalid_parameter_combination", path, message))
        }
        top => Ok(wanted.then_some(top.unwrap_or(0))),
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
