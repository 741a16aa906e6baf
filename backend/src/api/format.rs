//! What differs between the answers of chat and of plain completions.

mod chat;
mod completion;
mod scores;

use super::choices::Said;
use crate::node::{Backend, unix_seconds};
pub(crate) use chat::ChatFormat;
pub(crate) use completion::CompletionFormat;
use serde::Serialize;
use tidegate_wire::openai::{FinishReason, Usage, answer::Head};

/// A finished answer: what it says and why it ended, in the order of the choices.
pub(crate) type Finished = Vec<(Said, FinishReason)>;

/// The shape of one call's answers. Every method gives the JSON of bodies or events.
pub(crate) trait Format: Send + Sync + 'static {
    /// The event that opens a choice, where the call has one.
    fn opening(&self, index: u32) -> Option<String>;
    /// The events with more of a choice.
    fn text(&mut self, index: u32, said: Said) -> Vec<String>;
    /// The events that end a choice.
    fn closing(&mut self, index: u32, said: Said, reason: FinishReason) -> Vec<String>;
    /// The event that ends the stream, where the client asked for it.
    fn usage(&self, usage: Usage) -> Option<String>;
    /// The body of a whole answer.
    fn whole(&self, finished: Finished, usage: Usage) -> String;
}

fn head(backend: &Backend, prefix: &str, object: &str) -> Head {
    Head {
        id: format!("{prefix}-{}", uuid::Uuid::new_v4().simple()),
        object: object.to_owned(),
        created: unix_seconds(),
        model: backend.model_name().to_owned(),
        system_fingerprint: Some(backend.fingerprint().to_owned()),
        service_tier: None,
    }
}

/// These types hold strings and numbers only, which always serialise.
fn text_of(body: &impl Serialize) -> String {
    serde_json::to_string(body).unwrap_or_default()
}
