//! Calls of tools: how the model is asked for them, and how they are found in what it writes.
//!
//! Read in this order: this file (what a request wants), `frame` (calls as a grammar), `reader` (text to calls).

mod frame;
mod reader;

use crate::{
    chat_template::ToolFormat,
    error::{ApiError, ErrorKind},
    node::Backend,
};
pub(crate) use reader::{CallReader, Part};
use serde_json::Value;
use tidegate_wire::openai::{Tool, ToolChoice, Tools};

/// Tools that an answer may call, and how.
#[derive(Debug, Clone)]
pub(crate) struct Calls {
    format: ToolFormat,
    tools: Tools,
}

impl Calls {
    /// None where nothing may be called.
    ///
    /// # Errors
    /// Where the model's chat template has no tools, or its calls have a form that is not known.
    pub(crate) fn of(backend: &Backend, tools: Tools) -> Result<Option<Self>, ApiError> {
        if tools.choice == ToolChoice::None {
            return Ok(None);
        }
        match backend.chat_template().and_then(|template| template.tool_format()) {
            Some(format) => Ok(Some(Self { format, tools })),
            None => {
                let message = "This model's chat template has no tools, or its calls have a form that this server does \
                               not know.";
                Err(ApiError::new(ErrorKind::Invalid("unsupported_parameter"), message).with_param("tools"))
            }
        }
    }

    /// What the chat template shows the model.
    pub(crate) fn definitions(&self) -> Vec<Value> {
        self.tools.tools.iter().map(|tool| tool.definition.clone()).collect()
    }

    /// Tools that may be called.
    pub(crate) fn tools(&self) -> &[Tool] {
        &self.tools.tools
    }

    /// True where the client has named the one function to be called, so that the call is no surprise.
    pub(crate) fn is_named(&self) -> bool {
        matches!(self.tools.choice, ToolChoice::Named(_))
    }

    /// The grammar of an answer that must call, or whose calls must be strict; none where an answer may be anything.
    pub(crate) fn grammar(&self) -> Option<String> {
        let all: Vec<&Tool> = self.tools.tools.iter().collect();
        match &self.tools.choice {
            ToolChoice::Required => Some(frame::forced(self.format, &all, self.tools.parallel)),
            ToolChoice::Named(name) => {
                let one: Vec<&Tool> = all.into_iter().filter(|tool| tool.name == *name).collect();
                Some(frame::forced(self.format, &one, false))
            }
            ToolChoice::Auto if all.iter().any(|tool| tool.strict) => Some(frame::free(self.format, &all)),
            ToolChoice::None | ToolChoice::Auto => None,
        }
    }

    /// Finds calls in one answer.
    pub(crate) fn reader(&self) -> CallReader {
        let names = self.tools.tools.iter().map(|tool| tool.name.clone()).collect();
        CallReader::new(self.format, names, self.tools.parallel)
    }
}

#[cfg(test)]
mod tests;
