//! One sequence's way through a grammar.
//!
//! Which tokens may come next is computed beside the model's forward pass: it begins as soon as a token is chosen, and is
//! waited for when the next one is to be.

use std::fmt;
use std::sync::mpsc::{Receiver, sync_channel};

use llguidance::Matcher;
use llguidance::toktrie::SimpleVob;

/// Where a sequence stands in its grammar.
pub(crate) struct Guide {
    state: State,
}

enum State {
    /// A thread of the pool looks for the next tokens.
    Busy(Receiver<Place>),
    Ready(Box<Place>),
    /// The grammar cannot go on.
    Failed(String),
}

/// A place in a grammar, and what may follow.
struct Place {
    matcher: Matcher,
    /// None where it could not be computed; the matcher says why.
    allowed: Option<SimpleVob>,
}

impl Guide {
    pub(super) fn new(matcher: Matcher) -> Self {
        Self { state: look_ahead(matcher) }
    }

    /// Waits until it is known what may come next. Not to be called by a thread of the pool, which might be waiting for
    /// itself.
    pub(crate) fn wait(&mut self) {
        if let State::Busy(place) = &self.state {
            self.state = match place.recv() {
                Ok(place) => State::Ready(Box::new(place)),
                Err(_) => State::Failed("the grammar's computation broke off".to_owned()),
            };
        }
    }

    /// Rules out every token that the grammar does not allow.
    ///
    /// # Errors
    /// Where the grammar has become too complex to go on.
    pub(crate) fn apply(&mut self, logits: &mut [f32]) -> Result<(), String> {
        self.wait();
        let place = match &mut self.state {
            State::Ready(place) => place,
            State::Failed(why) => return Err(why.clone()),
            State::Busy(_) => return Err("the grammar is not ready".to_owned()),
        };
        let Some(allowed) = &place.allowed else {
            return Err(place.matcher.get_error().unwrap_or_else(|| "the grammar failed".to_owned()));
        };
        for (word, logits) in allowed.as_slice().iter().zip(logits.chunks_mut(u32::BITS as usize)) {
            if *word == u32::MAX {
                continue;
            }
            for (bit, logit) in logits.iter_mut().enumerate() {
                if word >> bit & 1 == 0 {
                    *logit = f32::NEG_INFINITY;
                }
            }
        }
        Ok(())
    }

    /// Goes on with a token that was allowed. True where nothing can follow it.
    pub(crate) fn accept(&mut self, token: u32) -> bool {
        self.wait();
        let state = std::mem::replace(&mut self.state, State::Failed("the grammar is complete".to_owned()));
        let State::Ready(mut place) = state else {
            self.state = state;
            return false;
        };
        if let Err(error) = place.matcher.consume_token(token) {
            self.state = State::Failed(error.to_string());
            return false;
        }
        let complete = place.matcher.is_stopped();
        if !complete {
            self.state = look_ahead(place.matcher);
        }
        complete
    }
}

fn look_ahead(mut matcher: Matcher) -> State {
    let (sender, receiver) = sync_channel(1);
    rayon::spawn(move || {
        let allowed = matcher.compute_mask_or_eos().ok();
        // A sequence that has left does not wait for it.
        let _ = sender.send(Place { matcher, allowed });
    });
    State::Busy(receiver)
}

impl fmt::Debug for Guide {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::Busy(_) => "looking ahead",
            State::Ready(_) => "ready",
            State::Failed(why) => why,
        };
        f.debug_tuple("Guide").field(&state).finish()
    }
}
