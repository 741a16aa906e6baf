//! Messages to a prompt: the model's own Jinja template, rendered as transformers renders it.
//!
//! Reading order: this file (the environment that templates run in), `tojson` (JSON as Python writes it),
//! `python` (how values print), `clock` (the date that a template may ask for), `generation_tag` (a tag that
//! only transformers knows), `tool_format` (how the model calls tools).

mod clock;
mod generation_tag;
mod python;
mod tojson;
mod tool_format;

use std::sync::Arc;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{Environment, Error, ErrorKind, Value, context};
use serde::Serialize;
pub use tool_format::ToolFormat;

/// The one template of an environment.
const NAME: &str = "chat";

/// A model's chat template, compiled. Cheap to clone.
#[derive(Clone, Debug)]
pub struct ChatTemplate {
    environment: Arc<Environment<'static>>,
    tool_format: Option<ToolFormat>,
}

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

/// What `raise_exception` puts into an error, so that it is told from the template's own mistakes.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Raised(String);

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
        let mut environment = environment().map_err(|error| TemplateError::Syntax(describe(&error)))?;
        // transformers passes only the special tokens that exist, so that others are undefined.
        for (name, text) in [("bos_token", bos_token), ("eos_token", eos_token)] {
            if let Some(text) = text {
                environment.add_global(name, text.to_owned());
            }
        }
        let tool_format = ToolFormat::of(source);
        let source = generation_tag::replaced(source);
        let added = environment.add_template_owned(NAME, source);
        added.map_err(|error| TemplateError::Syntax(describe(&error)))?;
        Ok(Self { environment: Arc::new(environment), tool_format })
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
        self.render_with_tools::<M, ()>(messages, &[], add_generation_prompt)
    }

    /// The same with tools that the model may call, as OpenAI's API defines them; without any, as if there were none.
    ///
    /// # Errors
    /// When the template refuses or cannot handle messages or tools.
    pub fn render_with_tools<M: Serialize, T: Serialize>(
        &self,
        messages: &[M],
        tools: &[T],
        add_generation_prompt: bool,
    ) -> Result<String, TemplateError> {
        let messages = Value::from(Serde(messages));
        let tools = if tools.is_empty() { Value::from(()) } else { Value::from(Serde(tools)) };
        let variables = context! { messages, add_generation_prompt, tools, documents => () };
        let template = self.environment.get_template(NAME);
        template.and_then(|template| template.render(variables)).map_err(|error| render_error(&error))
    }
}

impl ChatTemplate {
    /// How the model calls tools; `None` where it does not, or in a way that is not known.
    #[must_use]
    pub fn tool_format(&self) -> Option<ToolFormat> {
        self.tool_format
    }
}

/// The environment of `apply_chat_template`: its options, filters and functions.
fn environment() -> Result<Environment<'static>, Error> {
    let mut environment = Environment::new();
    environment.set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?);
    environment.set_formatter(python::format);
    environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
    environment.add_filter("tojson", tojson::tojson);
    environment.add_function("raise_exception", raise_exception);
    environment.add_function("strftime_now", clock::strftime_now);
    Ok(environment)
}

fn raise_exception(message: String) -> Result<Value, Error> {
    Err(Error::new(ErrorKind::InvalidOperation, message.clone()).with_source(Raised(message)))
}

fn render_error(error: &Error) -> TemplateError {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(source) = cause {
        if let Some(Raised(message)) = source.downcast_ref() {
            return TemplateError::Raised(message.clone());
        }
        cause = source.source();
    }
    TemplateError::Render(describe(error))
}

/// One line, with the line of the template.
fn describe(error: &Error) -> String {
    let problem = error.detail().map_or_else(|| error.kind().to_string(), ToOwned::to_owned);
    error.line().map_or_else(|| problem.clone(), |line| format!("{problem} (line {line} of the template)"))
}
