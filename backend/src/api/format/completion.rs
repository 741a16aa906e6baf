//! Answers of `/v1/completions`.

use super::{Finished, Format, head, scores::Scores, text_of};
use crate::{api::choices::Said, node::Backend};
use tidegate_wire::openai::{
    CompletionAnswer, CompletionChunk, FinishReason, Generation, Usage,
    answer::Head,
    completion_answer::{self, CompletionChoice},
};

/// The shape of plain completions.
#[derive(Debug)]
pub(crate) struct CompletionFormat {
    head: Head,
    include_usage: bool,
    scores: Scores,
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

    fn closed(&self, index: u32, said: Said, reason: FinishReason) -> CompletionChoice {
        let logprobs = self.scores.of_completion(&said);
        CompletionChoice::closing(index, said.text, reason).with_logprobs(logprobs)
    }
}

impl Format for CompletionFormat {
    fn opening(&self, _index: u32) -> Option<String> {
        None
    }

    fn text(&mut self, index: u32, said: Said) -> Vec<String> {
        let logprobs = self.scores.of_completion(&said);
        vec![self.chunk(CompletionChoice::text(index, said.text).with_logprobs(logprobs))]
    }

    fn closing(&mut self, index: u32, said: Said, reason: FinishReason) -> Vec<String> {
        vec![self.chunk(self.closed(index, said, reason))]
    }

    fn usage(&self, usage: Usage) -> Option<String> {
        let chunk =
            CompletionChunk { head: self.head.clone(), choices: Vec::new(), usage: Some(Some(usage)) };
        self.include_usage.then(|| text_of(&chunk))
    }

    fn whole(&self, finished: Finished, usage: Usage) -> String {
        let choices = (0..).zip(finished).map(|(index, (said, reason))| self.closed(index, said, reason));
        text_of(&CompletionAnswer { head: self.head.clone(), choices: choices.collect(), usage })
    }
}
