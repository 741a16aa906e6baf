//! Prompts and answers in logs and spans, where the operator asks for them with `--log-content`; else nothing of this exists.
//!
//! Their form is that of the GenAI conventions (`gen_ai.input.messages`, `gen_ai.output.messages`): messages with a role and parts.

use bytes::Bytes;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use tidegate_telemetry::log::CONTENT;
use tidegate_telemetry::{KeyValue, RequestScope, Span};

/// Bytes of an answer that are kept to be shown.
const MOST: usize = 256 * 1024;

/// What was asked and what is answered.
#[derive(Debug)]
pub(super) struct Content {
    input: String,
    answer: Vec<u8>,
    streamed: bool,
}

impl Content {
    /// The request's body, and whether it asks for a stream.
    pub(super) fn new(body: &[u8], streamed: bool) -> Self {
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        Self { input: input(&body).to_string(), answer: Vec::new(), streamed }
    }

    /// A piece of the answer passes.
    pub(super) fn passed(&mut self, data: &Bytes) {
        let room = MOST.saturating_sub(self.answer.len());
        self.answer.extend_from_slice(&data[..data.len().min(room)]);
    }

    /// Writes a log line of `request`, and both into `call` where it is traced.
    pub(super) fn write(&self, request: &RequestScope, call: &Span) {
        let output = self.output().to_string();
        request.enter(|| tracing::info!(target: CONTENT, input = self.input, output, "prompt and answer"));
        let attributes = [("gen_ai.input.messages", self.input.clone()), ("gen_ai.output.messages", output)];
        call.annotate(attributes.map(|(name, value)| KeyValue::new(name, value)));
    }

    fn output(&self) -> Value {
        let text = String::from_utf8_lossy(&self.answer);
        let mut said: BTreeMap<u64, String> = BTreeMap::new();
        if self.streamed {
            let events = text.lines().filter_map(|line| line.strip_prefix("data: "));
            events
                .filter_map(|event| serde_json::from_str(event).ok())
                .for_each(|event| gather(&event, &mut said));
        } else {
            gather(&serde_json::from_str(&text).unwrap_or_default(), &mut said);
        }
        said.into_values().map(|text| message("assistant", &text.into())).collect()
    }
}

/// What a request says: a conversation, a prompt, or texts to embed.
fn input(body: &Value) -> Value {
    if let Some(messages) = body["messages"].as_array() {
        let role = |message: &Value| message["role"].as_str().unwrap_or("user").to_owned();
        return messages.iter().map(|each| message(&role(each), &each["content"])).collect();
    }
    let text = if body["prompt"].is_null() { &body["input"] } else { &body["prompt"] };
    json!([message("user", text)])
}

/// A message of the conventions; what is no text is one part as it came.
fn message(role: &str, content: &Value) -> Value {
    json!({"role": role, "parts": [{"type": "text", "content": content}]})
}

/// Adds what the choices of an answer or of an event say.
fn gather(answer: &Value, said: &mut BTreeMap<u64, String>) {
    for choice in answer["choices"].as_array().into_iter().flatten() {
        let text = [&choice["delta"]["content"], &choice["message"]["content"], &choice["text"]];
        let text = text.into_iter().find_map(Value::as_str).unwrap_or_default();
        said.entry(choice["index"].as_u64().unwrap_or(0)).or_default().push_str(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(body: &str, streamed: bool, answer: &str) -> (Value, Value) {
        let mut content = Content::new(body.as_bytes(), streamed);
        content.passed(&Bytes::copy_from_slice(answer.as_bytes()));
        (serde_json::from_str(&content.input).unwrap(), content.output())
    }

    #[test]
    fn whole_answers_and_streams_read_alike() {
        let asked = r#"{"messages":[{"role":"user","content":"hello"}]}"#;
        let whole = r#"{"choices":[{"index":0,"message":{"role":"assistant","content":"good day"}}]}"#;
        let stream = "data: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\"}}]}\n\n\
                      data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"good \"}}]}\n\n\
                      data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"day\"}}]}\n\ndata: [DONE]\n\n";
        let expected =
            (json!([message("user", &"hello".into())]), json!([message("assistant", &"good day".into())]));
        assert_eq!(content(asked, false, whole), expected);
        assert_eq!(content(asked, true, stream), expected);
        assert_eq!(
            content(r#"{"prompt":"p"}"#, false, "{}"),
            (json!([message("user", &"p".into())]), json!([]))
        );
    }
}
