//! From the text of an answer, as it comes, to text and calls.
//!
//! What may be the beginning of a call is held back; what looked like one and is none goes out as text. Only calls of the
//! request's own tools are calls.

use crate::chat_template::ToolFormat;
use serde_json::{Map, Value};
use tidegate_wire::openai::ToolCall;

pub(super) const OPEN: &str = "<tool_call>";
pub(super) const CLOSE: &str = "</tool_call>";
/// Letters and digits of a call's name for itself; Mistral's templates want exactly so many.
const ID_LENGTH: usize = 9;

/// What is new in an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Part {
    Text(String),
    Call(ToolCall),
}

/// Reads one answer.
#[derive(Debug)]
pub(crate) struct CallReader {
    format: ToolFormat,
    names: Vec<String>,
    /// False where calls after the first are left out.
    several: bool,
    held: String,
    place: Place,
    calls: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Nothing but white space so far.
    Start,
    /// Text, or between calls.
    Text,
    /// Within a call, or what looks like one.
    Call,
}

impl CallReader {
    pub(super) fn new(format: ToolFormat, names: Vec<String>, several: bool) -> Self {
        Self { format, names, several, held: String::new(), place: Place::Start, calls: 0 }
    }

    /// Calls so far.
    pub(crate) fn calls(&self) -> usize {
        self.calls
    }

    /// Takes more of the answer.
    pub(crate) fn push(&mut self, text: &str) -> Vec<Part> {
        self.held.push_str(text);
        match self.format {
            ToolFormat::Hermes => self.read_tagged(),
            ToolFormat::Llama | ToolFormat::Mistral => self.read_bare(),
        }
    }

    /// The answer is complete: what is held is a call, or text after all.
    pub(crate) fn finish(&mut self) -> Vec<Part> {
        let held = std::mem::take(&mut self.held);
        if self.format != ToolFormat::Hermes
            && let Some(calls) = self.bare_calls(&held)
        {
            return calls.into_iter().filter_map(|call| self.made(call)).collect();
        }
        let unclosed = self.format == ToolFormat::Hermes && self.place == Place::Call;
        self.text(if unclosed { format!("{OPEN}{held}") } else { held }).into_iter().collect()
    }

    fn read_tagged(&mut self) -> Vec<Part> {
        let mut parts = Vec::new();
        while let Some((at, mark)) = self.next_mark() {
            let rest = self.held.split_off(at + mark.len());
            let before = std::mem::replace(&mut self.held, rest);
            let before = &before[..at];
            let within =
                std::mem::replace(&mut self.place, if mark == OPEN { Place::Call } else { Place::Text });
            parts.extend(match (within, mark) {
                (Place::Call, CLOSE) => {
                    match serde_json::from_str(before).ok().and_then(|call| self.call(call)) {
                        Some(call) => self.made(call),
                        None => self.text(format!("{OPEN}{before}{CLOSE}")),
                    }
                }
                // A call that was never closed.
                (Place::Call, _) => self.text(format!("{OPEN}{before}")),
                _ => self.text(before.trim_end().to_owned()),
            });
        }
        if self.place != Place::Call {
            let sure = self.held.len() - begun(&self.held);
            // White space before a call belongs to neither.
            let sure = self.held[..sure].trim_end().len();
            let held = self.held.split_off(sure);
            let text = std::mem::replace(&mut self.held, held);
            parts.extend(self.text(text));
        }
        parts
    }

    /// The first mark in what is held, and where it begins; one that closes means nothing outside of a call.
    fn next_mark(&self) -> Option<(usize, &'static str)> {
        let find = |mark: &'static str| self.held.find(mark).map(|at| (at, mark));
        let close = if self.place == Place::Call { find(CLOSE) } else { None };
        find(OPEN).into_iter().chain(close).min()
    }

    fn read_bare(&mut self) -> Vec<Part> {
        if self.place == Place::Start {
            self.place = match self.held.trim_start().chars().next() {
                None => Place::Start,
                Some('{') if self.format == ToolFormat::Llama => Place::Call,
                Some('[') if self.format == ToolFormat::Mistral => Place::Call,
                Some(_) => Place::Text,
            };
        }
        if self.place != Place::Text {
            return Vec::new();
        }
        let text = std::mem::take(&mut self.held);
        self.text(text).into_iter().collect()
    }

    /// All of the text as calls.
    fn bare_calls(&self, text: &str) -> Option<Vec<(String, String)>> {
        match serde_json::from_str(text.trim()).ok()? {
            Value::Array(calls) if !calls.is_empty() => {
                calls.into_iter().map(|call| self.call(call)).collect()
            }
            call @ Value::Object(_) => Some(vec![self.call(call)?]),
            _ => None,
        }
    }

    /// Name and arguments.
    fn call(&self, call: Value) -> Option<(String, String)> {
        let Value::Object(mut call) = call else { return None };
        let name = call.get("name")?.as_str().filter(|name| self.names.iter().any(|known| known == name))?;
        let name = name.to_owned();
        let arguments = call.remove("arguments").or_else(|| call.remove("parameters"));
        let arguments = arguments.unwrap_or_else(|| Value::Object(Map::new()));
        arguments.is_object().then(|| (name, arguments.to_string()))
    }

    fn made(&mut self, (name, arguments): (String, String)) -> Option<Part> {
        if self.calls > 0 && !self.several {
            return None;
        }
        self.calls += 1;
        let id: String = uuid::Uuid::new_v4().simple().to_string().chars().take(ID_LENGTH).collect();
        Some(Part::Call(ToolCall::new(id, name, arguments)))
    }

    /// None where there is nothing to say: white space between calls is no text.
    fn text(&self, text: String) -> Option<Part> {
        let silent = text.is_empty() || (self.calls > 0 && text.trim().is_empty());
        (!silent).then_some(Part::Text(text))
    }
}

/// Bytes at the end of `text` that may begin a call.
fn begun(text: &str) -> usize {
    (1..OPEN.len()).rev().find(|length| text.ends_with(&OPEN[..*length])).unwrap_or(0)
}
