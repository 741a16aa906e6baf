//! Messages to a prompt: the model's own Jinja template, rendered as transformers renders it.

use serde::Serialize;

/// A model's chat template, compiled.
#[derive(Clone, Debug)]
pub struct ChatTemplate;

/// Why a template cannot be compiled or does not render these messages.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// The template itself is malformed (at load).
    #[error("the chat template does not compile: {0}")]
    Syntax(String),
    /// The template called `raise_exception`: the messages are not what this model takes. A client's error.
    #[error("{0}")]
    Raised(String),
    /// The template failed on these messages. A client's error, as the template serves others.
    #[error("the chat template cannot render these messages: {0}")]
    Render(String),
}

impl ChatTemplate {
    /// Compiles a template. `bos_token` and `eos_token` are the texts that it may insert.
    ///
    /// # Errors
    /// When it is not valid Jinja.
    pub fn new(
        source: &str,
        bos_token: Option<&str>,
        eos_token: Option<&str>,
    ) -> Result<Self, TemplateError> {
        let _ = (source, bos_token, eos_token);
        Ok(Self)
    }

    /// Renders messages (objects with `role` and `content`) to the prompt's text.
    ///
    /// # Errors
    /// When the template refuses or cannot handle the messages.
    pub fn render<M: Serialize>(
        &self,
        messages: &[M],
        add_generation_prompt: bool,
    ) -> Result<String, TemplateError> {
        let _ = (messages, add_generation_prompt);
        Ok(String::new())
    }
}
