//! One sequence: its tokens as text that is whole characters and holds no part of a stop string.

use super::said::{Pending, Said};
use crate::{
    engine::{self, EngineEvent, ScoredToken, TokenStream, Told},
    text::{StopMatcher, StopOutput, TextStream},
};
use futures_util::Stream;
use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};
use tidegate_wire::openai::FinishReason;

/// What is new in one sequence.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Piece {
    /// What follows what came before; its text is never empty.
    Text { index: u32, said: Said },
    /// The rest, whose text may be empty, and why it ends.
    End { index: u32, said: Said, reason: FinishReason },
    /// The engine could not go on.
    Failed { message: String },
    /// The deadline passed.
    TimedOut,
}

impl Piece {
    /// True where nothing follows in this sequence.
    pub(super) fn is_last(&self) -> bool {
        !matches!(self, Self::Text { .. })
    }

    /// Why the answer ends with it.
    pub(crate) fn reason(&self) -> Option<FinishReason> {
        match self {
            Self::End { reason, .. } => Some(*reason),
            _ => None,
        }
    }
}

/// One running sequence. Dropping it cancels.
#[derive(Debug)]
pub(super) struct Choice {
    index: u32,
    tokens: TokenStream,
    text: TextStream,
    stops: StopMatcher,
    /// The prompt, where the answer is to begin with it and has not yet.
    echo: Option<String>,
    pending: Pending,
}

impl Choice {
    pub(super) fn new(
        index: u32,
        tokens: TokenStream,
        text: TextStream,
        stops: Vec<String>,
        echo: Option<String>,
    ) -> Self {
        Self { index, tokens, text, stops: StopMatcher::new(stops), echo, pending: Pending::default() }
    }

    /// Its number among the answers of the request.
    pub(super) fn index(&self) -> u32 {
        self.index
    }

    /// Tokens of its prompt that the engine had in its cache.
    pub(super) fn cached_tokens(&self) -> u64 {
        self.tokens.cached_tokens() as u64
    }

    /// What the engine tells of it.
    pub(super) fn told(&self) -> Arc<Told> {
        Arc::clone(self.tokens.told())
    }

    /// The next piece. Each token is added to `completion_tokens`. Not to be called after the last piece.
    pub(super) fn poll(&mut self, context: &mut Context<'_>, completion_tokens: &mut u64) -> Poll<Piece> {
        if let Some(text) = self.echo.take().filter(|text| !text.is_empty()) {
            return Poll::Ready(Piece::Text { index: self.index, said: Said { text, scores: Vec::new() } });
        }
        loop {
            let event = ready!(Pin::new(&mut self.tokens).poll_next(context));
            let piece = match event {
                Some(EngineEvent::Token(token)) => {
                    *completion_tokens += 1;
                    self.token(token, None)
                }
                Some(EngineEvent::Scored(scored)) => {
                    *completion_tokens += 1;
                    self.token(scored.token, Some(scored))
                }
                Some(EngineEvent::Finished(reason)) => Some(self.finish(reason)),
                Some(EngineEvent::Failed(message)) => Some(Piece::Failed { message }),
                Some(EngineEvent::TimedOut) => Some(Piece::TimedOut),
                None => {
                    Some(Piece::Failed { message: "the engine ended the sequence without a word".to_owned() })
                }
            };
            if let Some(piece) = piece {
                return Poll::Ready(piece);
            }
        }
    }

    /// The text that a token makes certain, if any.
    fn token(&mut self, token: u32, scored: Option<Box<ScoredToken>>) -> Option<Piece> {
        let index = self.index;
        if let Some(scored) = scored {
            self.pending.score(scored);
        }
        let text = match self.text.push(token) {
            Ok(text) => text,
            Err(error) => return Some(Piece::Failed { message: error.to_string() }),
        };
        self.pending.decoded(&text);
        match self.stops.push(&text) {
            StopOutput::Text(text) if text.is_empty() => None,
            StopOutput::Text(text) => Some(Piece::Text { index, said: self.pending.say(text) }),
            StopOutput::Stop(text) => {
                Some(Piece::End { index, said: self.pending.say(text), reason: FinishReason::Stop })
            }
        }
    }

    /// What was held back, now that nothing can follow. It may still complete a stop string.
    fn finish(&mut self, reason: engine::FinishReason) -> Piece {
        let index = self.index;
        let tail = match self.text.flush() {
            Ok(tail) => tail,
            Err(error) => return Piece::Failed { message: error.to_string() },
        };
        match self.stops.push(&tail) {
            StopOutput::Stop(text) => {
                Piece::End { index, said: self.pending.say(text), reason: FinishReason::Stop }
            }
            StopOutput::Text(mut text) => {
                text.push_str(&self.stops.flush());
                Piece::End { index, said: self.pending.say_rest(text), reason: finish_reason(reason) }
            }
        }
    }
}

fn finish_reason(reason: engine::FinishReason) -> FinishReason {
    match reason {
        engine::FinishReason::Stop => FinishReason::Stop,
        engine::FinishReason::Length => FinishReason::Length,
    }
}

#[cfg(test)]
mod tests;
