//! Calls as a grammar: the frame that the model was trained to write, and in it arguments that the tool's schema allows.

use super::reader::{CLOSE, OPEN};
use crate::{chat_template::ToolFormat, grammar::json_rule};
use serde_json::{Value, json};
use std::fmt::Write as _;
use tidegate_wire::openai::Tool;

/// Calls of any of `tools`: one, or where `several` one or more. In llguidance's notation.
pub(super) fn forced(format: ToolFormat, tools: &[&Tool], several: bool) -> String {
    let start = match (format, several) {
        (ToolFormat::Hermes, false) | (ToolFormat::Llama, _) => "call".to_owned(),
        (ToolFormat::Hermes, true) => format!("call ({} call)*", quoted("\n")),
        (ToolFormat::Mistral, false) => format!("{} call {}", quoted("["), quoted("]")),
        (ToolFormat::Mistral, true) => {
            format!("{} call ({} call)* {}", quoted("["), quoted(", "), quoted("]"))
        }
    };
    let mut grammar = format!("start: {start}\n");
    write_calls(&mut grammar, format, tools, "", |tool| tool.parameters.clone());
    grammar
}

/// Any text in which calls stand, if any; arguments of strict tools are what their schemas allow.
pub(super) fn free(format: ToolFormat, tools: &[&Tool]) -> String {
    let (start, text, begun) = match format {
        // A call's mark ends the text before it, as soon as it is there.
        ToolFormat::Hermes => {
            ("(before call)* rest", "before[lazy]: /(?s:.*)<tool_call>/\nrest: /(?s:.*)/", OPEN)
        }
        ToolFormat::Llama => ("call | rest", "rest: /([^{](?s:.*))?/", ""),
        ToolFormat::Mistral => ("(\"[\" call (\", \" call)* \"]\") | rest", "rest: /([^\\[](?s:.*))?/", ""),
    };
    let mut grammar = format!("start: {start}\n{text}\n");
    write_calls(&mut grammar, format, tools, begun, |tool| {
        if tool.strict { tool.parameters.clone() } else { json!({"type": "object"}) }
    });
    grammar
}

/// The rules `call` and below; `begun` is what stands of a call already.
fn write_calls(
    grammar: &mut String,
    format: ToolFormat,
    tools: &[&Tool],
    begun: &str,
    schema: impl Fn(&Tool) -> Value,
) {
    let any: Vec<String> = (0..tools.len()).map(|index| format!("call_{index}")).collect();
    // Writing to a string does not fail.
    let _ = writeln!(grammar, "call: {}", any.join(" | "));
    for (index, tool) in tools.iter().enumerate() {
        let (open, close) = frame(format, &tool.name);
        let open = open.strip_prefix(begun).unwrap_or(&open);
        let _ = writeln!(grammar, "call_{index}: {} arguments_{index} {}", quoted(open), quoted(&close));
        let _ = writeln!(grammar, "arguments_{index}: {}", json_rule(&schema(tool)));
    }
}

/// What stands before and after a call's arguments. Names need no escapes.
fn frame(format: ToolFormat, name: &str) -> (String, String) {
    match format {
        ToolFormat::Hermes => {
            (format!("{OPEN}\n{{\"name\": \"{name}\", \"arguments\": "), format!("}}\n{CLOSE}"))
        }
        ToolFormat::Llama => (format!("{{\"name\": \"{name}\", \"parameters\": "), "}".to_owned()),
        ToolFormat::Mistral => (format!("{{\"name\": \"{name}\", \"arguments\": "), "}".to_owned()),
    }
}

/// A string of the notation, which has JSON's escapes.
fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}
