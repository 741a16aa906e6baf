//! What clients say of the length of their answers: the bound on its tokens that they declare (`max_tokens`).
//!
//! A bound is no estimate. Some who send one know what they need and leave room, some are cut by it, and some send the
//! same large number whatever they ask; the others send none.

use crate::chance::Chance;

/// Tokens that a request alone on a backend gets per second.
const TOKENS_PER_SECOND: f64 = 50.0;
/// How much the time per token varies from one request to another: sigma of its logarithm.
const PACE_SIGMA: f64 = 0.25;
/// How much more than they need those ask for who know: sigma of the half-normal logarithm. Half of them ask for 1.6 times as
/// much or more, one in ten for three times as much or more, before it is rounded up.
const ROOM_SIGMA: f64 = 0.7;
/// What those send who always send the same.
pub const HABIT: u64 = 4096;

/// Who declares what: parts of all clients. The others declare nothing.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bounds {
    /// Those who know what they need, leave room and round up.
    pub know: f64,
    /// Those whose answers end at the bound: it is their length.
    pub cut: f64,
    /// Those who always send the same.
    pub habit: f64,
}

impl Bounds {
    /// Nobody declares anything.
    pub const NOBODY: Bounds = Bounds { know: 0.0, cut: 0.0, habit: 0.0 };
    /// Everybody sends the same.
    pub const SAME: Bounds = Bounds { habit: 1.0, ..Bounds::NOBODY };
    /// Half of the clients declare a bound.
    pub const HALF: Bounds = Bounds::declared_by(0.5);
    /// All clients declare a bound.
    pub const ALL: Bounds = Bounds::declared_by(1.0);

    /// That part of the clients declares a bound: of these 60 % know, 15 % are cut, and 25 % send the same.
    pub const fn declared_by(part: f64) -> Bounds {
        Bounds { know: 0.6 * part, cut: 0.15 * part, habit: 0.25 * part }
    }

    /// What the client declares whose answer takes so many seconds alone. It draws as often whatever comes of it, so that two
    /// runs meet the same clients.
    pub fn draw(&self, service: f64, chance: &mut Chance) -> Option<u64> {
        let who = chance.unit();
        let tokens = (service * TOKENS_PER_SECOND * (PACE_SIGMA * chance.normal()).exp()).ceil().max(1.0);
        let room = (ROOM_SIGMA * chance.normal().abs()).exp();
        let decimal = chance.happens(0.5);
        match () {
            () if who < self.know => Some(rounded_up(tokens * room, decimal)),
            () if who < self.know + self.cut => Some(tokens as u64),
            () if who < self.know + self.cut + self.habit => Some(HABIT),
            () => None,
        }
    }
}

/// Users of the measured time and answers in it, by what was declared: nothing, the same as ever, what is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BySaid {
    /// Who came.
    pub users: [u64; 3],
    /// Who was answered in time.
    pub answers: [u64; 3],
}

impl BySaid {
    /// A user has come.
    pub fn came(&mut self, bound: Option<u64>, measured: bool) {
        self.users[kind(bound)] += u64::from(measured);
    }

    /// A user was answered in time.
    pub fn answered(&mut self, bound: Option<u64>, measured: bool) {
        self.answers[kind(bound)] += u64::from(measured);
    }
}

fn kind(bound: Option<u64>) -> usize {
    match bound {
        None => 0,
        Some(HABIT) => 1,
        Some(_) => 2,
    }
}

/// The next number of those that people choose: 1, 2, 3 or 5 and zeros, or a power of two.
fn rounded_up(tokens: f64, decimal: bool) -> u64 {
    let tokens = tokens.ceil().max(1.0) as u64;
    if !decimal {
        return tokens.next_power_of_two();
    }
    let mut scale = 1;
    loop {
        if let Some(digit) = [1, 2, 3, 5].into_iter().find(|digit| digit * scale >= tokens) {
            return digit * scale;
        }
        scale *= 10;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_choose_round_numbers_that_are_no_smaller() {
        let of = |tokens, decimal| rounded_up(tokens, decimal);
        assert_eq!([0.5, 1.0, 3.1, 51.0, 5001.0].map(|tokens| of(tokens, true)), [1, 1, 5, 100, 10_000]);
        assert_eq!([0.5, 1.0, 3.1, 51.0, 5001.0].map(|tokens| of(tokens, false)), [1, 1, 4, 64, 8192]);
    }

    #[test]
    fn the_parts_are_those_that_are_said() {
        let chance = &mut Chance::new(5, 0);
        let drawn: Vec<Option<u64>> = (0..40_000).map(|_| Bounds::HALF.draw(2.0, chance)).collect();
        let part = |of: &dyn Fn(&Option<u64>) -> bool| {
            drawn.iter().filter(|bound| of(bound)).count() as f64 / drawn.len() as f64
        };
        assert!((part(&|bound| bound.is_none()) - 0.5).abs() < 0.02);
        assert!((part(&|bound| *bound == Some(HABIT)) - 0.125).abs() < 0.02);
        // 100 tokens but for the pace: hardly anybody asks for less than half of that.
        assert!(part(&|bound| bound.is_some_and(|bound| bound < 50)) < 0.01);
    }
}
