//! Text with the scores of the tokens that it is made of.
//!
//! A token's score goes out with the first piece that holds text of it: not before, since what is held back may turn out
//! to be a stop string, whose tokens are no part of the answer.

use crate::engine::ScoredToken;
use std::collections::VecDeque;

/// A piece of an answer.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Said {
    /// Text that follows what came before.
    pub(crate) text: String,
    /// The tokens that begin in it; none unless scores were asked for.
    pub(crate) scores: Vec<Score>,
}

/// One token's score and place.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Score {
    pub(crate) scored: Box<ScoredToken>,
    /// Characters of the answer before it, an echoed prompt not counted.
    pub(crate) offset: usize,
}

impl Said {
    /// Takes in what follows.
    pub(crate) fn extend(&mut self, more: Self) {
        self.text.push_str(&more.text);
        self.scores.extend(more.scores);
    }

    /// Mean log-probability of its tokens: how likely the model found it, whatever its length.
    pub(crate) fn mean_logprob(&self) -> f64 {
        let sum: f64 = self.scores.iter().map(|score| f64::from(score.scored.logprob)).sum();
        sum / self.scores.len().max(1) as f64
    }
}

/// Scores whose text has not been sent.
#[derive(Debug, Default)]
pub(super) struct Pending {
    /// Each with the bytes of text before it.
    waiting: VecDeque<(usize, Score)>,
    /// Bytes and characters of all text so far.
    decoded: (usize, usize),
    /// Bytes of the text that was sent.
    sent: usize,
}

impl Pending {
    /// A token has come; its text follows.
    pub(super) fn score(&mut self, scored: Box<ScoredToken>) {
        self.waiting.push_back((self.decoded.0, Score { scored, offset: self.decoded.1 }));
    }

    /// So much more text there is.
    pub(super) fn decoded(&mut self, text: &str) {
        self.decoded.0 += text.len();
        self.decoded.1 += text.chars().count();
    }

    /// This text is sent now.
    pub(super) fn say(&mut self, text: String) -> Said {
        self.sent += text.len();
        let begun = self.waiting.iter().take_while(|(start, _)| *start < self.sent).count();
        Said { text, scores: self.waiting.drain(..begun).map(|(_, score)| score).collect() }
    }

    /// This text is sent now, and the answer is complete.
    pub(super) fn say_rest(&mut self, text: String) -> Said {
        self.sent += text.len();
        Said { text, scores: self.waiting.drain(..).map(|(_, score)| score).collect() }
    }
}

#[cfg(test)]
mod tests;
