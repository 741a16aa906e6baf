//! What comes back from the engine: one event per token, then how it ended.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::Stream;
use tokio::sync::mpsc::Receiver;

use super::told::Told;

/// What the engine says about a sequence.
#[derive(Clone, Debug, PartialEq)]
pub enum EngineEvent {
    /// The next token of the answer.
    Token(u32),
    /// The same, where the request asks for log-probabilities.
    Scored(Box<ScoredToken>),
    /// The answer is complete; nothing follows.
    Finished(FinishReason),
    /// The engine could not go on with this sequence; nothing follows.
    Failed(String),
    /// The request's deadline passed before the answer was complete; nothing follows.
    TimedOut,
}

/// A token and how likely the model found it: natural logarithms of probabilities, of the model's own distribution at
/// temperature 1, before bias, penalties and filters. `f32::NEG_INFINITY` where it was ruled out.
#[derive(Clone, Debug, PartialEq)]
pub struct ScoredToken {
    /// The next token of the answer.
    pub token: u32,
    /// Its log-probability.
    pub logprob: f32,
    /// The likeliest tokens with theirs, the likeliest first: as many as the request asks for.
    pub top: Vec<(u32, f32)>,
}

/// Why an answer is complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FinishReason {
    /// The model ended it.
    Stop,
    /// `max_tokens` or the end of the context was reached.
    Length,
}

/// The tokens of one sequence as they are made. Dropping it cancels: the sequence is gone within one step.
#[derive(Debug)]
pub struct TokenStream {
    events: Receiver<EngineEvent>,
    ended: bool,
    told: Arc<Told>,
}

impl TokenStream {
    pub(crate) fn new(events: Receiver<EngineEvent>, told: Arc<Told>) -> Self {
        Self { events, ended: false, told }
    }

    /// Tokens of the prompt that were in the cache already and needed no computing; 0 until the first token is there.
    #[must_use]
    pub fn cached_tokens(&self) -> usize {
        self.told.cached()
    }

    /// What the engine tells beside the tokens.
    pub(crate) fn told(&self) -> &Arc<Told> {
        &self.told
    }

    /// The next event; `None` after one that nothing follows.
    ///
    /// An engine that died without a word gives `Failed`, never silence.
    pub async fn next(&mut self) -> Option<EngineEvent> {
        std::future::poll_fn(|context| Pin::new(&mut *self).poll_next(context)).await
    }
}

impl Stream for TokenStream {
    type Item = EngineEvent;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<EngineEvent>> {
        if self.ended {
            return Poll::Ready(None);
        }
        self.events.poll_recv(context).map(|event| {
            let event = event.unwrap_or_else(|| EngineEvent::Failed("the engine has stopped".into()));
            self.ended = !matches!(event, EngineEvent::Token(_) | EngineEvent::Scored(_));
            Some(event)
        })
    }
}
