//! One message of a conversation: its role and its text, as chat templates take them.

use super::{Invalid, fields::Fields, fields::describe, tools};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Instructions for the whole conversation.
    System,
    /// The newer name of `system`.
    Developer,
    /// The person.
    User,
    /// The model.
    Assistant,
    /// The result of a tool that the model had called.
    Tool,
}

impl Role {
    const ALL: [(&'static str, Self); 5] = [
        ("system", Self::System),
        ("developer", Self::Developer),
        ("user", Self::User),
        ("assistant", Self::Assistant),
        ("tool", Self::Tool),
    ];

    fn parse(text: &str, path: &str) -> Result<Self, Invalid> {
        Self::ALL.iter().find(|(name, _)| *name == text).map(|(_, role)| *role).ok_or_else(|| {
            let names: Vec<String> = Self::ALL.iter().map(|(name, _)| format!("'{name}'")).collect();
            Invalid::wrong_value(path, text, &names.join(", "))
        })
    }
}

/// One message; it serialises to what a chat template sees.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChatMessage {
    /// Who speaks.
    pub role: Role,
    /// What is said; several text parts are joined by line breaks. Empty where an assistant only calls.
    pub content: String,
    /// Tells speakers of one role apart, where the template cares.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The call that a `tool` message answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool_call_id: Option<String>,
    /// The calls that an assistant made, with their arguments as objects.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tool_calls: Vec<Value>,
}

impl ChatMessage {
    pub(super) fn read(value: Value, path: String) -> Result<Self, Invalid> {
        let mut fields = Fields::of(value, path)?;
        let role = fields.required_text("role")?;
        let role = Role::parse(&role, &fields.path("role"))?;
        let tool_calls = if role == Role::Assistant {
            refuse_unsupported_of_assistant(&mut fields)?;
            tools::take_calls(&mut fields)?
        } else {
            Vec::new()
        };
        let message = Self {
            role,
            content: if tool_calls.is_empty() {
                take_content(&mut fields)?
            } else {
                take_optional_content(&mut fields)?
            },
            tool_calls,
            name: fields.text("name")?,
            tool_call_id: if role == Role::Tool { Some(fields.required_text("tool_call_id")?) } else { None },
        };
        fields.finish()?;
        Ok(message)
    }
}

/// An assistant's earlier answer often comes back as the SDK dumped it, with members that are empty.
fn refuse_unsupported_of_assistant(fields: &mut Fields) -> Result<(), Invalid> {
    for name in ["function_call", "refusal", "audio", "annotations"] {
        if let Some(value) = fields.take(name)
            && value != json!([])
        {
            return Err(Invalid::unsupported(&fields.path(name)));
        }
    }
    Ok(())
}

/// Who calls need not speak.
fn take_optional_content(fields: &mut Fields) -> Result<String, Invalid> {
    match fields.take("content") {
        None => Ok(String::new()),
        Some(content) => {
            fields.put("content", content);
            take_content(fields)
        }
    }
}

fn take_content(fields: &mut Fields) -> Result<String, Invalid> {
    let path = fields.path("content");
    match fields.take("content") {
        None => Err(Invalid::missing(&path)),
        Some(Value::String(text)) => Ok(text),
        Some(Value::Array(parts)) => join_parts(parts, &path),
        Some(other) => {
            Err(Invalid::wrong_type(&path, "a string or an array of content parts", describe(&other)))
        }
    }
}

fn join_parts(parts: Vec<Value>, path: &str) -> Result<String, Invalid> {
    if parts.is_empty() {
        let message = format!("Invalid '{path}': empty array. Expected at least one content part.");
        return Err(Invalid::param("empty_array", path, message));
    }
    let texts: Result<Vec<String>, Invalid> = parts
        .into_iter()
        .enumerate()
        .map(|(index, part)| read_part(part, format!("{path}[{index}]")))
        .collect();
    Ok(texts?.join("\n"))
}

fn read_part(part: Value, path: String) -> Result<String, Invalid> {
    let mut fields = Fields::of(part, path)?;
    let kind = fields.required_text("type")?;
    if kind != "text" {
        return Err(Invalid::wrong_value(
            &fields.path("type"),
            &kind,
            "'text' (this server reads text only)",
        ));
    }
    let text = fields.required_text("text")?;
    fields.finish()?;
    Ok(text)
}
