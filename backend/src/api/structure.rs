//! What a chat answer may be: JSON that a schema allows, or calls that must be made.

use super::tools::Calls;
use crate::{
    error::{ApiError, ErrorKind},
    grammar::{Grammar, GrammarError, Grammars},
};
use serde_json::Value;
use tidegate_wire::openai::{ResponseFormat, Tool};

/// What is to be compiled before the answer starts.
#[derive(Debug)]
pub(crate) enum Structure {
    Json { schema: Value, param: &'static str },
    Calls { grammar: String, tools: Vec<Tool> },
}

impl Structure {
    /// None where an answer may be anything.
    pub(crate) fn of(format: ResponseFormat, calls: Option<&Calls>) -> Option<Self> {
        match format {
            ResponseFormat::Json { schema, param } => Some(Self::Json { schema, param }),
            ResponseFormat::Text => {
                let calls = calls?;
                let grammar = calls.grammar()?;
                Some(Self::Calls { grammar, tools: calls.tools().to_vec() })
            }
        }
    }

    /// Blocking.
    ///
    /// # Errors
    /// Names the parameter whose schema cannot be compiled.
    pub(crate) fn compile(self, grammars: &Grammars) -> Result<Grammar, ApiError> {
        match self {
            Self::Json { schema, param } => {
                grammars.json_schema(&schema).map_err(|error| refused(&error, param.to_owned()))
            }
            Self::Calls { grammar, tools } => {
                grammars.lark(grammar).map_err(|error| blame(grammars, &tools, &error))
            }
        }
    }
}

/// Finds the tool whose schema alone does not compile.
fn blame(grammars: &Grammars, tools: &[Tool], error: &GrammarError) -> ApiError {
    let each = tools.iter().enumerate();
    let bad = each.filter_map(|(index, tool)| Some((index, grammars.json_schema(&tool.parameters).err()?)));
    match bad.into_iter().next() {
        Some((index, error)) => refused(&error, format!("tools[{index}].function.parameters")),
        None => refused(error, "tools".to_owned()),
    }
}

fn refused(error: &GrammarError, param: String) -> ApiError {
    let message = format!("Invalid '{param}': the schema cannot be used: {error}.");
    ApiError::new(ErrorKind::Invalid("invalid_json_schema"), message).with_param(param)
}
