//! Answers of `/v1/chat/completions`: text, and calls of tools.

use super::{Finished, Format, head, scores::Scores, text_of};
use crate::{
    api::{
        choices::{Said, Score},
        tools::{CallReader, Calls, Part},
    },
    node::Backend,
};
use std::collections::HashMap;
use tidegate_wire::openai::{
    ChatAnswer, ChatChunk, FinishReason, Generation, Usage,
    answer::Head,
    chat_answer::{self, ChatChoice, ChunkChoice},
};

/// The shape of chat answers.
#[derive(Debug)]
pub(crate) struct ChatFormat {
    head: Head,
    include_usage: bool,
    scores: Scores,
    /// Tools that may be called.
    calls: Option<Calls>,
    /// The streamed choices that may call.
    streamed: HashMap<u32, Streamed>,
}

/// A choice on its way.
#[derive(Debug)]
struct Streamed {
    reader: CallReader,
    /// Scores of tokens whose text is held back.
    scores: Vec<Score>,
}

impl ChatFormat {
    pub(crate) fn new(
        backend: &Backend,
        generation: &Generation,
        tier: Option<String>,
        calls: Option<Calls>,
    ) -> Self {
        let object = if generation.stream { chat_answer::CHUNK_OBJECT } else { chat_answer::OBJECT };
        Self {
            head: Head { service_tier: tier, ..head(backend, "chatcmpl", object) },
            include_usage: generation.include_usage,
            scores: Scores::new(backend, generation),
            calls,
            streamed: HashMap::new(),
        }
    }

    fn chunk(&self, choice: ChunkChoice) -> String {
        let usage = self.include_usage.then_some(None);
        text_of(&ChatChunk { head: self.head.clone(), choices: vec![choice], usage })
    }

    /// Events with what a choice says, in which calls have been told from text. The scores go with the first.
    fn chunks(&mut self, index: u32, said: Said, last: bool) -> Vec<String> {
        let Some(calls) = &self.calls else {
            let nothing = said.text.is_empty() && said.scores.is_empty();
            let logprobs = self.scores.of_chat(&said);
            let text = ChunkChoice::text(index, said.text).with_logprobs(logprobs);
            return if nothing { Vec::new() } else { vec![self.chunk(text)] };
        };
        let fresh = || Streamed { reader: calls.reader(), scores: Vec::new() };
        let streamed = self.streamed.entry(index).or_insert_with(fresh);
        streamed.scores.extend(said.scores);
        let before = streamed.reader.calls();
        let mut parts = streamed.reader.push(&said.text);
        if last {
            parts.extend(streamed.reader.finish());
            if parts.is_empty() && !streamed.scores.is_empty() {
                parts.push(Part::Text(String::new()));
            }
        }
        let mut number = u32::try_from(before).unwrap_or(u32::MAX);
        let mut scores = if parts.is_empty() { Vec::new() } else { std::mem::take(&mut streamed.scores) };
        let mut events = Vec::with_capacity(parts.len());
        for part in parts {
            let choice = match part {
                Part::Text(text) => ChunkChoice::text(index, text),
                Part::Call(call) => {
                    number += 1;
                    ChunkChoice::call(index, number - 1, call)
                }
            };
            let scored = Said { text: String::new(), scores: std::mem::take(&mut scores) };
            let logprobs = self.scores.of_chat(&scored).filter(|logprobs| !logprobs.content.is_empty());
            events.push(self.chunk(choice.with_logprobs(logprobs)));
        }
        events
    }

    /// An answer that ends with calls says so, unless the client has named the function itself (as OpenAI's API has it).
    fn reason(&self, calls: usize, reason: FinishReason) -> FinishReason {
        let named = self.calls.as_ref().is_some_and(Calls::is_named);
        if calls > 0 && reason == FinishReason::Stop && !named { FinishReason::ToolCalls } else { reason }
    }

    fn choice(&self, index: u32, said: Said, reason: FinishReason) -> ChatChoice {
        let logprobs = self.scores.of_chat(&said);
        let Some(calls) = &self.calls else {
            return ChatChoice::new(index, said.text, reason).with_logprobs(logprobs);
        };
        let mut reader = calls.reader();
        let mut parts = reader.push(&said.text);
        parts.extend(reader.finish());
        let (mut text, mut made) = (String::new(), Vec::new());
        for part in parts {
            match part {
                Part::Text(more) => text.push_str(&more),
                Part::Call(call) => made.push(call),
            }
        }
        let reason = self.reason(made.len(), reason);
        ChatChoice::new(index, text, reason).with_calls(made).with_logprobs(logprobs)
    }
}

impl Format for ChatFormat {
    fn opening(&self, index: u32) -> Option<String> {
        Some(self.chunk(ChunkChoice::opening(index)))
    }

    fn text(&mut self, index: u32, said: Said) -> Vec<String> {
        self.chunks(index, said, false)
    }

    fn closing(&mut self, index: u32, said: Said, reason: FinishReason) -> Vec<String> {
        let mut events = self.chunks(index, said, true);
        let calls = self.streamed.remove(&index).map_or(0, |streamed| streamed.reader.calls());
        events.push(self.chunk(ChunkChoice::closing(index, self.reason(calls, reason))));
        events
    }

    fn usage(&self, usage: Usage) -> Option<String> {
        let chunk = ChatChunk { head: self.head.clone(), choices: Vec::new(), usage: Some(Some(usage)) };
        self.include_usage.then(|| text_of(&chunk))
    }

    fn whole(&self, finished: Finished, usage: Usage) -> String {
        let choices = (0..).zip(finished).map(|(index, (said, reason))| self.choice(index, said, reason));
        text_of(&ChatAnswer { head: self.head.clone(), choices: choices.collect(), usage })
    }
}
