//! What is asked: each request drawn from the seed and its number, so that a seed repeats the traffic however fast it goes.

use crate::chaos::answer::{CHAT, COMPLETIONS, Places};
use std::time::Duration;
use tidegate_sim::chance::Chance;

/// Routers in every run.
pub const ROUTERS: usize = 3;
/// `--max-queue-size` of the routers.
pub const MAX_QUEUE_SIZE: u32 = 50;
/// `--request-timeout` of the routers.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// Part of the requests that are invalid.
pub const INVALID: f64 = 0.06;
/// Part of the others whose client leaves before the end.
const LEAVING: f64 = 0.1;
/// Part of those that stay whose time is short.
const HURRIED: f64 = 0.08;
/// Part that goes over a connection that is kept for others.
const KEPT: f64 = 0.85;
/// The streams of chance of the load and of the requests that the capacity is measured with begin here; each request has its own.
const LOAD: u64 = 100;
const MEASURING: u64 = 1 << 40;

/// One request.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// Its place among all.
    pub number: usize,
    /// The router that it goes to.
    pub router: usize,
    /// What is sent.
    pub form: Form,
    /// Any number: which question of those that the demo model answers rightly.
    pub fact: usize,
    /// `x-tidegate-priority`.
    pub priority: &'static str,
    /// `x-request-timeout-ms`.
    pub timeout: Option<Duration>,
    /// Whether its connection is kept for others.
    pub keeps: bool,
    /// When its client leaves before the end.
    pub leaves: Option<Leaves>,
}

/// What is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A chat; whether the answer is a stream.
    Chat(bool),
    /// A completion; whether the answer is a stream.
    Completion(bool),
    /// Any number: which of the invalid requests.
    Invalid(usize),
}

/// When a client leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leaves {
    /// So long after it has sent its request.
    After(Duration),
    /// With so many events of a stream.
    AtEvent(usize),
}

impl Request {
    /// The request of that number in the load of a seed.
    pub fn draw(seed: u64, number: usize) -> Request {
        let mut chance = Chance::new(seed, LOAD + number as u64);
        let mut request = Request::plain(&mut chance, number);
        request.priority = ["high", "normal", "normal", "normal", "normal", "low", "low"][chance.index(7)];
        if chance.happens(INVALID) {
            request.form = Form::Invalid(chance.index(1000));
        } else if chance.happens(LEAVING) {
            request.leaves = Some(request.form.leaving(&mut chance));
        } else if chance.happens(HURRIED) {
            request.timeout = Some(Duration::from_millis(chance.between(20, 600)));
        }
        request
    }

    /// One that is valid, has all the time that there is, and waits for its end: what the capacity is measured with.
    pub fn patient(seed: u64, number: usize) -> Request {
        Request::plain(&mut Chance::new(seed, MEASURING + number as u64), number)
    }

    fn plain(chance: &mut Chance, number: usize) -> Request {
        Request {
            number,
            router: chance.index(ROUTERS),
            form: if chance.happens(0.8) {
                Form::Chat(chance.happens(0.5))
            } else {
                Form::Completion(chance.happens(0.4))
            },
            fact: chance.index(10_000),
            priority: "normal",
            timeout: None,
            keeps: chance.happens(KEPT),
            leaves: None,
        }
    }

    /// Time from its sending to its last byte that it may take at most.
    pub fn time(&self) -> Duration {
        self.timeout.unwrap_or(REQUEST_TIMEOUT)
    }
}

impl Form {
    /// Some leave at once, when most still wait; some later, when many run; some in the midst of their stream.
    fn leaving(&mut self, chance: &mut Chance) -> Leaves {
        match chance.index(3) {
            0 => Leaves::After(Duration::from_millis(chance.between(1, 60))),
            1 => Leaves::After(Duration::from_millis(chance.between(20, 500))),
            _ => {
                *self = match self {
                    Form::Completion(_) => Form::Completion(true),
                    _ => Form::Chat(true),
                };
                Leaves::AtEvent(1 + chance.index(5))
            }
        }
    }

    /// What it is called.
    pub fn name(self) -> &'static str {
        match self {
            Form::Chat(false) => "chat",
            Form::Chat(true) => "chat, streamed",
            Form::Completion(false) => "completion",
            Form::Completion(true) => "completion, streamed",
            Form::Invalid(_) => "invalid request",
        }
    }

    /// Where its answer says what the model says.
    pub fn places(self) -> Places {
        if matches!(self, Form::Completion(_)) { COMPLETIONS } else { CHAT }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_requests() {
        let drawn = |seed| (0..100).map(|number| Request::draw(seed, number)).collect::<Vec<_>>();
        assert_eq!(drawn(7), drawn(7));
        assert_ne!(drawn(7), drawn(8));
    }

    #[test]
    fn the_mix_is_what_it_says() {
        let all: Vec<Request> = (0..20_000).map(|number| Request::draw(3, number)).collect();
        let part = |holds: fn(&Request) -> bool| {
            all.iter().filter(|request| holds(request)).count() as f64 / all.len() as f64
        };
        let valid = 1.0 - INVALID;
        for (found, wanted) in [
            (part(|request| matches!(request.form, Form::Invalid(_))), INVALID),
            (part(|request| request.leaves.is_some()), LEAVING * valid),
            (part(|request| request.timeout.is_some()), HURRIED * (1.0 - LEAVING) * valid),
            (part(|request| matches!(request.leaves, Some(Leaves::AtEvent(_)))), LEAVING * valid / 3.0),
            (part(|request| request.priority == "high"), 1.0 / 7.0),
            (part(|request| request.keeps), KEPT),
        ] {
            assert!((found - wanted).abs() < 0.015, "seed 3: {found} where {wanted} is wanted");
        }
        let streams = |request: &&Request| matches!(request.leaves, Some(Leaves::AtEvent(_)));
        assert!(all.iter().filter(streams).all(|request| request.form.name().ends_with("streamed")));
    }
}
