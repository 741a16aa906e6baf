//! `tools` and `tool_choice`: what a model may call, and the calls in messages and answers.

use super::{Invalid, fields::Fields, fields::describe};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Most tools that a request may define (OpenAI's limit).
const MAX_TOOLS: usize = 128;
/// Longest name of a function (OpenAI's limit).
const MAX_NAME: usize = 64;

/// A function that the model may call.
#[derive(Debug, Clone, PartialEq)]
pub struct Tool {
    /// Its name: letters, digits, `_` and `-`.
    pub name: String,
    /// JSON schema of its arguments.
    pub parameters: Value,
    /// True where its arguments must follow the schema also if the model calls of itself.
    pub strict: bool,
    /// The definition as the client wrote it, for the chat template.
    pub definition: Value,
}

/// Whether the model may, must or must not call.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum ToolChoice {
    /// No calls; the default without tools.
    #[default]
    None,
    /// The model decides; the default with tools.
    Auto,
    /// At least one call.
    Required,
    /// One call of this function.
    Named(String),
}

/// What a chat request says about tools.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Tools {
    /// The functions, no name twice.
    pub tools: Vec<Tool>,
    /// Which of them are called; `Named` is one of them.
    pub choice: ToolChoice,
    /// True where one answer may hold several calls.
    pub parallel: bool,
}

/// A call that the model made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolCall {
    /// Names the call; the message with its result repeats it.
    pub id: String,
    /// Always `function`.
    pub r#type: String,
    /// What is called.
    pub function: FunctionCall,
}

/// A function and its arguments.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FunctionCall {
    /// Name of the function.
    pub name: String,
    /// A JSON text.
    pub arguments: String,
}

impl ToolCall {
    /// A call of a function.
    pub fn new(id: String, name: String, arguments: String) -> Self {
        Self { id, r#type: "function".to_owned(), function: FunctionCall { name, arguments } }
    }
}

impl Tools {
    pub(super) fn take(fields: &mut Fields) -> Result<Self, Invalid> {
        let tools = take_tools(fields)?;
        let choice = take_choice(fields, &tools)?;
        let parallel = fields.boolean("parallel_tool_calls")?.unwrap_or(true);
        Ok(Self { tools, choice, parallel })
    }
}

fn take_tools(fields: &mut Fields) -> Result<Vec<Tool>, Invalid> {
    let path = fields.path("tools");
    let items = fields.array("tools", "an array of objects")?.unwrap_or_default();
    if items.len() > MAX_TOOLS {
        let message =
            format!("Invalid '{path}': {} tools are defined; at most {MAX_TOOLS} are accepted.", items.len());
        return Err(Invalid::param("array_above_max_length", path, message));
    }
    let mut tools: Vec<Tool> = Vec::with_capacity(items.len());
    for (index, item) in items.into_iter().enumerate() {
        let path = format!("{path}[{index}]");
        let tool = read_tool(item, path.clone())?;
        if tools.iter().any(|other| other.name == tool.name) {
            let message =
                format!("Invalid '{path}.function.name': there is a tool named '{}' already.", tool.name);
            return Err(Invalid::param("invalid_value", format!("{path}.function.name"), message));
        }
        tools.push(tool);
    }
    Ok(tools)
}

fn read_tool(definition: Value, path: String) -> Result<Tool, Invalid> {
    let mut tool = Fields::of(definition.clone(), path)?;
    let kind = tool.required_text("type")?;
    if kind != "function" {
        return Err(Invalid::wrong_value(&tool.path("type"), &kind, "'function'"));
    }
    let path = tool.path("function");
    let Some(function) = tool.take("function") else { return Err(Invalid::missing(&path)) };
    let mut function = Fields::of(function, path)?;
    let name = function.required_text("name")?;
    expect_name(&name, &function.path("name"))?;
    function.text("description")?;
    let strict = function.boolean("strict")?.unwrap_or(false);
    let parameters = function.object("parameters")?;
    function.finish()?;
    tool.finish()?;
    // Without parameters a function takes none.
    let none = || json!({"type": "object", "properties": {}, "additionalProperties": false});
    Ok(Tool { name, parameters: parameters.unwrap_or_else(none), strict, definition })
}

fn expect_name(name: &str, path: &str) -> Result<(), Invalid> {
    let known = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    if !name.is_empty() && name.len() <= MAX_NAME && name.bytes().all(known) {
        return Ok(());
    }
    let message = format!(
        "Invalid '{path}': '{name}' is no name of a function: letters, digits, '_' and '-', at most {MAX_NAME} of them."
    );
    Err(Invalid::param("invalid_value", path, message))
}

fn take_choice(fields: &mut Fields, tools: &[Tool]) -> Result<ToolChoice, Invalid> {
    let path = fields.path("tool_choice");
    let choice = match fields.take("tool_choice") {
        None if tools.is_empty() => ToolChoice::None,
        None => ToolChoice::Auto,
        Some(Value::String(word)) => match word.as_str() {
            "none" => ToolChoice::None,
            "auto" => ToolChoice::Auto,
            "required" => ToolChoice::Required,
            _ => {
                let accepted = "'none', 'auto', 'required', an object that names a function";
                return Err(Invalid::wrong_value(&path, &word, accepted));
            }
        },
        Some(value @ Value::Object(_)) => ToolChoice::Named(read_named(value, &path, tools)?),
        Some(other) => return Err(Invalid::wrong_type(&path, "a string or an object", describe(&other))),
    };
    if choice == ToolChoice::Required && tools.is_empty() {
        let message = format!("The '{path}' parameter asks for a call, but there are no 'tools'.");
        return Err(Invalid::param("invalid_parameter_combination", path, message));
    }
    // Without tools `auto` leaves nothing to decide.
    Ok(if tools.is_empty() { ToolChoice::None } else { choice })
}

fn read_named(value: Value, path: &str, tools: &[Tool]) -> Result<String, Invalid> {
    let mut choice = Fields::of(value, path.to_owned())?;
    let kind = choice.required_text("type")?;
    if kind != "function" {
        return Err(Invalid::wrong_value(&choice.path("type"), &kind, "'function'"));
    }
    let function = choice.path("function");
    let Some(value) = choice.take("function") else { return Err(Invalid::missing(&function)) };
    let mut function = Fields::of(value, function)?;
    let name = function.required_text("name")?;
    function.finish()?;
    choice.finish()?;
    if tools.iter().any(|tool| tool.name == name) {
        return Ok(name);
    }
    let message = format!("Invalid '{path}': none of the 'tools' is named '{name}'.");
    Err(Invalid::param("invalid_value", path, message))
}

/// The calls of an assistant's earlier message, as chat templates take them: with arguments as an object.
pub(super) fn take_calls(fields: &mut Fields) -> Result<Vec<Value>, Invalid> {
    let path = fields.path("tool_calls");
    let items = fields.array("tool_calls", "an array of objects")?.unwrap_or_default();
    items.into_iter().enumerate().map(|(index, item)| read_call(item, format!("{path}[{index}]"))).collect()
}

fn read_call(item: Value, path: String) -> Result<Value, Invalid> {
    let mut call = Fields::of(item, path)?;
    let id = call.required_text("id")?;
    let kind = call.required_text("type")?;
    if kind != "function" {
        return Err(Invalid::wrong_value(&call.path("type"), &kind, "'function'"));
    }
    let path = call.path("function");
    let Some(function) = call.take("function") else { return Err(Invalid::missing(&path)) };
    // Streams are gathered with their index.
    call.integer("index", 0..=i64::from(u32::MAX))?;
    call.finish()?;
    let mut function = Fields::of(function, path)?;
    let name = function.required_text("name")?;
    let text = function.required_text("arguments")?;
    let path = function.path("arguments");
    function.finish()?;
    let arguments = match serde_json::from_str(&text) {
        Ok(arguments @ Value::Object(_)) => arguments,
        // Some clients send nothing where a function takes no arguments.
        _ if text.trim().is_empty() => json!({}),
        _ => {
            let message = format!("Invalid '{path}': the arguments of a call are a JSON object, as text.");
            return Err(Invalid::param("invalid_value", path, message));
        }
    };
    Ok(json!({"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}))
}
