//! The sequences of one request: tokens become text, stop strings end it, and pieces come out as they are ready.

mod choice;

pub(crate) use choice::Piece;

use super::prompt::Tokens;
use crate::{
    engine::{EngineError, GenerateRequest, Sampling, Service},
    error::{ApiError, ErrorKind},
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
    /// Hands `n` sequences for each prompt to the engine; each holds `slot` until it has left the batch.
    ///
    /// # Errors
    /// Where the engine does not take one of them; the others are cancelled then.
    pub(crate) fn start(
        backend: &Backend,
        prompts: Tokens,
        generation: &Generation,
        service: Service,
        slot: &Arc<Slot>,
    ) -> Result<Self, ApiError> {
        let prompt_tokens = prompts.iter().map(|prompt| prompt.len() as u64).sum();
        let mut running = Vec::with_capacity(prompts.len() * generation.n as usize);
        for prompt in prompts {
            for _ in 0..generation.n {
                let index = u32::try_from(running.len()).unwrap_or(u32::MAX);
                let request =
                    GenerateRequest { service, ..request(backend, prompt.clone(), generation, index, slot) };
                let tokens = backend.engine().generate(request).map_err(|error| refused(&error))?;
                running.push(Choice::new(
                    index,
                    tokens,
                    Arc::clone(backend.tokenizer()),
                    generation.stop.clone(),
                ));
            }
        }
        Ok(Self {
            asked: running.len(),
            running,
            prompt_tokens,
            cached_tokens: 0,
            answers_per_prompt: generation.n,
            completion_tokens: 0,
            turn: 0,
        })
    }

    /// Answers asked for, those that have ended included.
    pub(crate) fn asked(&self) -> usize {
        self.asked
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

fn request(
    backend: &Backend,
    prompt: Vec<u32>,
    generation: &Generation,
    index: u32,
    slot: &Arc<Slot>,
) -> GenerateRequest {
    let room = backend.engine().context_length().saturating_sub(prompt.len());
    GenerateRequest {
        max_tokens: generation.max_tokens.map_or(room, |asked| asked as usize),
        prompt,
        sampling: sampling(backend, generation, index),
        eos: backend.model_info().eos_token_ids.clone(),
        service: Service::default(),
        hold: Some(Arc::clone(slot) as Arc<dyn std::any::Any + Send + Sync>),
    }
}

/// What the client asked for, else what the model proposes, else OpenAI's defaults.
fn sampling(backend: &Backend, generation: &Generation, index: u32) -> Sampling {
    let (defaults, proposed) = (Sampling::default(), backend.model_info().sampling);
    let single = |number: f64| number as f32;
    Sampling {
        temperature: generation
            .temperature
            .map(single)
            .or(proposed.temperature)
            .unwrap_or(defaults.temperature),
        top_p: generation.top_p.map(single).or(proposed.top_p).unwrap_or(defaults.top_p),
        presence_penalty: generation.presence_penalty.map_or(defaults.presence_penalty, single),
        frequency_penalty: generation.frequency_penalty.map_or(defaults.frequency_penalty, single),
        // Each of several answers has a seed of its own, or all would be the same.
        seed: generation.seed.map(|seed| seed.cast_unsigned().wrapping_add(u64::from(index))),
    }
}

fn refused(error: &EngineError) -> ApiError {
    let kind = match error {
        EngineError::EmptyPrompt => ErrorKind::Invalid("empty_prompt"),
        EngineError::PromptTooLong { .. } => ErrorKind::Invalid("context_length_exceeded"),
        EngineError::UnknownToken { .. } => ErrorKind::Invalid("invalid_value"),
        EngineError::Sampling { parameter, .. } => {
            return ApiError::new(ErrorKind::Invalid("invalid_value"), format!("{error}."))
                .with_param(*parameter);
        }
        _ => {
            return ApiError::new(
                ErrorKind::Internal,
                format!("The engine did not take the request: {error}."),
            );
        }
    };
    ApiError::new(kind, format!("{error}.")).with_param("prompt")
}
