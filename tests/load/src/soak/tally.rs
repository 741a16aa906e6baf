//! What all requests came to.

use super::ask::Outcome;
use super::plan::Request;
use std::collections::BTreeMap;
use std::time::Duration;

/// Examples of what went wrong that are kept.
const SHOWN: usize = 8;

/// Counts of outcomes.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    /// Requests that are over.
    pub asked: u64,
    /// Right answers, by what was sent.
    pub right: BTreeMap<&'static str, u64>,
    /// Right answers that came after their time.
    pub late: u64,
    /// Refusals, by their code.
    pub refused: BTreeMap<String, u64>,
    /// Requests whose time was over before their answer was.
    pub timed_out: u64,
    /// Invalid requests that were answered as they must be.
    pub rejected: u64,
    /// Clients that left before anything of an answer was there.
    pub left_before: u64,
    /// Clients that left in the midst of an answer.
    pub left_amid: u64,
    /// Answers that are not right.
    pub wrong: Marred,
    /// What must not happen at all.
    pub faults: Marred,
}

/// Something that must not happen.
#[derive(Debug, Clone, Default)]
pub struct Marred {
    /// How often it happened.
    pub count: u64,
    /// The first few.
    pub examples: Vec<String>,
}

impl Tally {
    /// Takes a request's outcome in, and how long it took: what went wrong with it, if it is one of the first few.
    pub fn note(&mut self, request: &Request, outcome: &Outcome, took: Duration) -> Option<&str> {
        self.asked += 1;
        match outcome {
            Outcome::Right => {
                *self.right.entry(request.form.name()).or_default() += 1;
                self.late += u64::from(took > request.time());
            }
            Outcome::Refused(code) => *self.refused.entry(code.clone()).or_default() += 1,
            Outcome::TimedOut => self.timed_out += 1,
            Outcome::Rejected => self.rejected += 1,
            Outcome::Left(false) => self.left_before += 1,
            Outcome::Left(true) => self.left_amid += 1,
            Outcome::Wrong(why) => return self.wrong.note(request, why, took),
            Outcome::Fault(what) => return self.faults.note(request, what, took),
        }
        None
    }

    /// Right answers to all that can be sent.
    pub fn all_right(&self) -> u64 {
        self.right.values().sum()
    }

    /// Refusals of all codes.
    pub fn all_refused(&self) -> u64 {
        self.refused.values().sum()
    }
}

impl Marred {
    fn note(&mut self, request: &Request, what: &str, took: Duration) -> Option<&str> {
        self.count += 1;
        if self.examples.len() == SHOWN {
            return None;
        }
        self.examples.push(format!("{what}; after {took:?}: {request:?}"));
        self.examples.last().map(String::as_str)
    }
}
