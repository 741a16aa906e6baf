//! `response_format`: what a chat answer must be.

use super::{Invalid, fields::Fields};
use serde_json::{Value, json};

/// What an answer must be.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum ResponseFormat {
    /// Anything.
    #[default]
    Text,
    /// A JSON text that this schema allows.
    Json {
        /// The JSON schema.
        schema: Value,
        /// The parameter that holds the schema, for errors about it.
        param: &'static str,
    },
}

impl ResponseFormat {
    pub(super) fn take(fields: &mut Fields) -> Result<Self, Invalid> {
        let path = fields.path("response_format");
        let Some(value) = fields.take("response_format") else { return Ok(Self::Text) };
        let mut format = Fields::of(value, path)?;
        let kind = format.required_text("type")?;
        let taken = match kind.as_str() {
            "text" => Self::Text,
            "json_object" => Self::Json { schema: json!({"type": "object"}), param: "response_format" },
            "json_schema" => take_schema(&mut format)?,
            _ => {
                let accepted = "'text', 'json_object', 'json_schema'";
                return Err(Invalid::wrong_value(&format.path("type"), &kind, accepted));
            }
        };
        format.finish()?;
        Ok(taken)
    }
}

/// The answer follows the schema whether `strict` asks for it or not.
fn take_schema(format: &mut Fields) -> Result<ResponseFormat, Invalid> {
    let path = format.path("json_schema");
    let Some(value) = format.take("json_schema") else { return Err(Invalid::missing(&path)) };
    let mut named = Fields::of(value, path)?;
    named.required_text("name")?;
    named.text("description")?;
    named.boolean("strict")?;
    let schema = named.object("schema")?.unwrap_or_else(|| json!({"type": "object"}));
    named.finish()?;
    Ok(ResponseFormat::Json { schema, param: "response_format.json_schema.schema" })
}
