//! What differs between the answers of chat and of plain completions.

mod scores;

use super::choices::Said;
use crate::node::{Backend, unix_seconds};
use scores::Scores;
use serde::Serialize;
use tidegate_wire::openai::{
    ChatAnswer, ChatChunk, CompletionAnswer, CompletionChunk, FinishReason, Generation, Usage,
    answer::Head,
    chat_answer::{self, ChatChoice, ChunkChoice},
    completion_answer::{self, CompletionChoice},
};

/// A finished answer: what it says and why it ended, in the order of the choices.
pub(crate) type Finished = Vec<(Said, FinishReason)>;

/// The shape of one call's answers. Every method gives the JSON of one body or of one event.
pub(crate) trait Format: Send + Sync + 'static {
    /// The event that opens a choice, where the call has one.
    fn opening(&self, index: u32) -> Option<String>;
    /// An event with more text of a choice.
    fn text(&self, index: u32, said: Said) -> String;
    /// The events that end a choice.
    fn closing(&self, index: u32, said: Said, reason: FinishReason) -> Vec<String>;
    /// The event that ends the stream, where the client asked for it.
    fn usage(&self, usage: Usage) -> Option<String>;
    /// The body of a whole answer.
    fn whole(&self, finished: Finished, usage: Usage) -> String;
}

/// Answers of `/v1/chat/completions`.
#[derive(Debug)]
pub(crate) struct ChatFormat {
    head: Head,
    include_usage: bool,
    scores: Scores,
}

/// Answers of `/v1/completions`.
#[derive(Debug)]
pub(crate) struct CompletionFormat {
    head: Head,
    include_usage: bool,
    scores: Scores,
}

impl ChatFormat {
    pub(crate) fn new(backend: &Backend, generation: &Generation, tier: Option<String>) -> Self {
        let object = if generation.stream { chat_answer::CHUNK_OBJECT } else { chat_answer::OBJECT };
        let head = Head { service_tier: tier, ..head(backend, "chatcmpl", object) };
        Self { head, include_usage: generation.include_usage, scores: Scores::new(backend, generation) }
    }

    fn chunk(&self, choice: ChunkChoice) -> String {
        let usage = self.include_usage.then_some(None);
        text_of(&ChatChunk { head: self.head.clone(), choices: vec![choice], usage })
    }
}

impl Format for ChatFormat {
    fn opening(&self, index: u32) -> Option<String> {
        Some(self.chunk(ChunkChoice::opening(index)))
    }

    fn text(&self, index: u32, said: Said) -> String {
        let logprobs = self.scores.of_chat(&said);
        self.chunk(ChunkChoice::text(index, said.text).with_logprobs(logprobs))
    }

    fn closing(&self, index: u32, said: Said, reason: FinishReason) -> Vec<String> {
        let closing = self.chunk(ChunkChoice::closing(index, reason));
        let nothing = said.text.is_empty() && said.scores.is_empty();
        if nothing { vec![closing] } else { vec![self.text(index, said), closing] }
    }

    fn usage(&self, usage: Usage) -> Option<String> {
        let chunk = ChatChunk { head: self.head.clone(), choices: Vec::new(), usage: Some(Some(usage)) };
        self.include_usage.then(|| text_of(&chunk))
    }

    fn whole(&self, finished: Finished, usage: Usage) -> String {
        let choices = (0..).zip(finished).map(|(index, (said, reason))| {
            let logprobs = self.scores.of_chat(&said);
            ChatChoice::new(index, said.text, reason).with_logprobs(logprobs)
        });
        text_of(&ChatAnswer { head: self.head.clone(), choices: choices.collect(), usage })
    }
}

impl CompletionFormat {
    pub(crate) fn new(backend: &Backend, generation: &Generation) -> Self {
        let head = head(backend, "cmpl", completion_answer::OBJECT);
        Self { head, include_usage: generation.include_usage, scores: Scores::new(backend, generation) }
    }

    fn chunk(&self, choice: CompletionChoice) -> String {
        let usage = self.include_usage.then_some(None);
        text_of(&CompletionChunk { head: self.head.clone(), choices: vec![choice], usage })
    }
}

impl Format for CompletionFormat {
    fn opening(&self, _index: u32) -> Option<String> {
        None
    }

    fn text(&self, index: u32, said: Said) -> String {
        let logprobs = self.scores.of_completion(&said);
        self.chunk(CompletionChoice::text(index, said.text).with_logprobs(logprobs))
    }

    fn closing(&self, index: u32, said: Said, reason: FinishReason) -> Vec<String> {
        let logprobs = self.scores.of_completion(&said);
        vec![self.chunk(CompletionChoice::closing(index, said.text, reason).with_logprobs(logprobs))]
    }

    fn usage(&self, usage: Usage) -> Option<String> {
        let chunk =
            CompletionChunk { head: self.head.clone(), choices: Vec::new(), usage: Some(Some(usage)) };
        self.include_usage.then(|| text_of(&chunk))
    }

    fn whole(&self, finished: Finished, usage: Usage) -> String {
        let choices = (0..).zip(finished).map(|(index, (said, reason))| {
            let logprobs = self.scores.of_completion(&said);
            CompletionChoice::closing(index, said.text, reason).with_logprobs(logprobs)
        });
        text_of(&CompletionAnswer { head: self.head.clone(), choices: choices.collect(), usage })
    }
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
