//! How `{{ value }}` prints: as Python's `str`, which is what templates were written for.

use minijinja::value::ValueKind;
use minijinja::{Error, Output, State, Value};

/// The environment's formatter.
pub(super) fn format(out: &mut Output<'_>, _state: &mut State<'_, '_>, value: &Value) -> Result<(), Error> {
    match value.kind() {
        ValueKind::Undefined => Ok(()),
        ValueKind::String => Ok(out.write_str(value.as_str().unwrap_or_default())?),
        _ => Ok(out.write_str(&repr(value)?)?),
    }
}

/// As `repr` writes a value, strings within a list with their quotes.
fn repr(value: &Value) -> Result<String, Error> {
    let parts = |open: &str, close: &str, parts: Vec<String>| format!("{open}{}{close}", parts.join(", "));
    Ok(match value.kind() {
        ValueKind::None | ValueKind::Undefined => "None".to_owned(),
        ValueKind::Bool => if value.is_true() { "True" } else { "False" }.to_owned(),
        ValueKind::String => quoted(value.as_str().unwrap_or_default()),
        ValueKind::Seq => {
            parts("[", "]", value.try_iter()?.map(|item| repr(&item)).collect::<Result<_, _>>()?)
        }
        ValueKind::Map => {
            let pair = |key: Value| Ok(format!("{}: {}", repr(&key)?, repr(&value.get_item(&key)?)?));
            parts("{", "}", value.try_iter()?.map(pair).collect::<Result<_, Error>>()?)
        }
        _ => value.to_string(),
    })
}

/// Python prefers single quotes, and takes double ones where the text holds single ones only.
fn quoted(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    let mut out = String::from(quote);
    for character in text.chars() {
        match character {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            _ if character == quote => out.extend(['\\', quote]),
            _ => out.push(character),
        }
    }
    out.push(quote);
    out
}
