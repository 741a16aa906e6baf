//! The sequences of one request: tokens become text, stop strings end it, and pieces come out as they are ready.

mod choice;
mod request;
mod said;

pub(crate) use choice::Piece;
pub(crate) use said::{Said, Score};

use super::prompt::Prepared;
use crate::{
    engine::{Service, Told},
    error::ApiError,
    node::Backend,
    slots::Slot,
};
use choice::Choice;
use futures_util::Stream;
use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};
use tidegate_wire::openai::{Generation, Usage};

/// All sequences of a request. Dropping it cancels them.
#[derive(Debug)]
pub(crate) struct Choices {
    running: Vec<Choice>,
    asked: usize,
    prompt_tokens: u64,
    /// Of those, the ones that the cache had; each prompt counts once, however many answers it has.
    cached_tokens: u64,
    answers_per_prompt: u32,
    completion_tokens: u64,
    /// Whose turn it is to be asked first, so that no sequence waits for another's backlog.
    turn: usize,
}

impl Choices {
    /// Hands `each` sequences for each prompt to the engine; each holds `slot` until it has left the batch.
    ///
    /// # Errors
    /// Where the engine does not take one of them; the others are cancelled then.
    pub(crate) fn start(
        backend: &Backend,
        prepared: Prepared,
        generation: &Generation,
        each: u32,
        service: Service,
        slot: &Arc<Slot>,
    ) -> Result<Self, ApiError> {
        let Prepared { prompts, grammar } = prepared;
        let prompt_tokens = prompts.iter().map(|prompt| prompt.tokens.len() as u64).sum();
        let asked = request::Asked::new(backend, generation, each, grammar)?;
        let mut running = Vec::with_capacity(prompts.len() * each as usize);
        for prompt in prompts {
            for _ in 0..each {
                let index = u32::try_from(running.len()).unwrap_or(u32::MAX);
                let request = asked.request(prompt.tokens.clone(), index, service, slot);
                let tokens = backend.engine().generate(request).map_err(|error| request::refused(&error))?;
                let (text, stops) = (prompt.answer_text(backend)?, generation.stop.clone());
                running.push(Choice::new(index, tokens, text, stops, prompt.echo.clone()));
            }
        }
        Ok(Self {
            asked: running.len(),
            running,
            prompt_tokens,
            cached_tokens: 0,
            answers_per_prompt: each,
            completion_tokens: 0,
            turn: 0,
        })
    }

    /// Answers asked for, those that have ended included.
    pub(crate) fn asked(&self) -> usize {
        self.asked
    }

    /// What the engine tells of each sequence that runs.
    pub(crate) fn told(&self) -> Vec<Arc<Told>> {
        self.running.iter().map(Choice::told).collect()
    }

    /// Tokens so far.
    pub(crate) fn usage(&self) -> Usage {
        Usage::new(self.prompt_tokens, self.completion_tokens).with_cached(self.cached_tokens)
    }

    /// The next piece of any sequence; none once all have ended.
    pub(crate) async fn next(&mut self) -> Option<Piece> {
        std::future::poll_fn(|context| Pin::new(&mut *self).poll_next(context)).await
    }
}

impl Stream for Choices {
    type Item = Piece;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Piece>> {
        let this = &mut *self;
        let count = this.running.len();
        for offset in 0..count {
            let at = (this.turn + offset) % count;
            let Some(choice) = this.running.get_mut(at) else { continue };
            let polled = choice.poll(context, &mut this.completion_tokens);
            if let Poll::Ready(piece) = polled {
                if piece.is_last() {
                    let ended = this.running.swap_remove(at);
                    if ended.index().is_multiple_of(this.answers_per_prompt) {
                        this.cached_tokens += ended.cached_tokens();
                    }
                }
                this.turn = at + 1;
                return Poll::Ready(Some(piece));
            }
        }
        if count == 0 { Poll::Ready(None) } else { Poll::Pending }
    }
}
