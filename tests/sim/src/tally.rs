//! What a run comes to, counted as it happens.

use std::collections::BTreeMap;

use tidegate_admission::{Priority, Reason, Time, time::seconds};

use crate::bounds::BySaid;

/// Counts of one run. What is counted by request belongs to the time when it asked, and only those of the measured time
/// are counted; the series cover the whole run, second by second.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    /// First instant that is measured.
    pub from: Time,
    /// First instant that no longer is.
    pub to: Time,
    /// Requests, retries among them.
    pub attempts: u64,
    /// Let in: granted at once or queued.
    pub accepted: u64,
    /// Answered inside their deadline.
    pub answered: u64,
    /// Let in, and not answered in time.
    pub missed: u64,
    /// Let in, and given up by their clients.
    pub hung_up: u64,
    /// Refused, by reason.
    pub refused: BTreeMap<Reason, u64>,
    /// Seconds that each granted request waited.
    pub waits: Vec<f32>,
    /// Users by rank of their priority.
    pub users: [u64; 3],
    /// Those of them who got an answer in time, at the first or a later try.
    pub served: [u64; 3],
    /// Answers in time that ended in the measured time, by rank of the priority.
    pub answers: [u64; 3],
    /// The same users and answers, by the bound that was declared.
    pub said: BySaid,
    /// Slot seconds spent on answers inside their deadline, in the measured time.
    pub useful: f64,
    /// Refused without asking the ledger.
    pub unasked: u64,
    /// Of these: those whom the ledger would have let in at that instant.
    pub wrong: u64,
    /// Of these: those for whom a slot was free while nobody waited.
    pub beside_a_slot: u64,
    /// Longest queue.
    pub longest_queue: usize,
    /// States that broke an invariant, with its name.
    pub broken: BTreeMap<&'static str, u64>,
    /// Events that the pools took.
    pub events: u64,
    /// Let in, second by second.
    pub series_accepted: Vec<u32>,
    /// Refused, second by second.
    pub series_refused: Vec<u32>,
    /// Late or never answered though let in, by the second in which they asked.
    pub series_missed: Vec<u32>,
    /// Useful slot seconds, second by second.
    pub series_useful: Vec<f64>,
}

impl Tally {
    /// Measures from one instant to another.
    pub fn new(from: Time, to: Time) -> Tally {
        Tally { from, to, ..Tally::default() }
    }

    /// Whether that instant is measured.
    pub fn measures(&self, at: Time) -> bool {
        self.from <= at && at < self.to
    }

    /// A user has come.
    pub fn came(&mut self, at: Time, priority: Priority) {
        if self.measures(at) {
            self.users[priority.rank()] += 1;
        }
    }

    /// A request was let in.
    pub fn accepted(&mut self, at: Time) {
        count(&mut self.series_accepted, at);
        if self.measures(at) {
            self.attempts += 1;
            self.accepted += 1;
        }
    }

    /// A request was refused.
    pub fn refused(&mut self, at: Time, reason: Reason) {
        count(&mut self.series_refused, at);
        if self.measures(at) {
            self.attempts += 1;
            *self.refused.entry(reason).or_default() += 1;
        }
    }

    /// A request that asked at `asked` has a slot now.
    pub fn granted(&mut self, asked: Time, now: Time) {
        if self.measures(asked) {
            self.waits.push(seconds(now.since(asked)) as f32);
        }
    }

    /// A request that asked at `asked` was answered in time; its slot was held from `granted` to `now`.
    pub fn answered(&mut self, priority: Priority, asked: Time, granted: Time, now: Time) {
        self.answers[priority.rank()] += u64::from(self.measures(now));
        if self.measures(asked) {
            self.answered += 1;
        }
        let (from, to) = (granted.max(self.from), now.min(self.to));
        self.useful += seconds(to.since(from));
        spread(&mut self.series_useful, granted, now);
    }

    /// The user's wish is fulfilled.
    pub fn served(&mut self, arrived: Time, priority: Priority) {
        if self.measures(arrived) {
            self.served[priority.rank()] += 1;
        }
    }

    /// A request that was let in at `asked` was not answered in time.
    pub fn missed(&mut self, asked: Time) {
        count(&mut self.series_missed, asked);
        if self.measures(asked) {
            self.missed += 1;
        }
    }

    /// The client of a request that was let in at `asked` has hung up.
    pub fn hung_up(&mut self, asked: Time) {
        if self.measures(asked) {
            self.hung_up += 1;
        }
    }

    /// A request is refused from a view. `ledger_refuses`: whether the ledger would; `beside`: whether a slot is free
    /// while nobody waits.
    pub fn unasked(&mut self, at: Time, ledger_refuses: bool, beside: bool) {
        if self.measures(at) {
            self.unasked += 1;
            self.wrong += u64::from(!ledger_refuses);
            self.beside_a_slot += u64::from(beside);
        }
    }

    /// All refusals of the measured time.
    pub fn refusals(&self) -> u64 {
        self.refused.values().sum()
    }
}

/// Adds one in the second of an instant.
fn count(series: &mut Vec<u32>, at: Time) {
    let second = at.second() as usize;
    if series.len() <= second {
        series.resize(second + 1, 0);
    }
    series[second] += 1;
}

/// Adds the time from one instant to another, each second its part of it.
fn spread(series: &mut Vec<f64>, from: Time, to: Time) {
    let last = to.second() as usize;
    if series.len() <= last {
        series.resize(last + 1, 0.0);
    }
    for second in from.second()..=to.second() {
        let begin = from.max(Time(second * 1_000_000));
        let end = to.min(Time((second + 1) * 1_000_000));
        series[second as usize] += seconds(end.since(begin));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slot_time_is_spread_over_the_seconds_and_cut_to_what_is_measured() {
        let mut tally = Tally::new(Time(1_000_000), Time(3_000_000));
        tally.answered(Priority::High, Time(0), Time(500_000), Time(2_250_000));
        assert_eq!(tally.series_useful, [0.5, 1.0, 0.25]);
        assert!((tally.useful - 1.25).abs() < 1e-9);
        assert_eq!(tally.answered, 0, "it asked before measuring began");
    }

    #[test]
    fn the_end_of_measuring_is_outside() {
        let mut tally = Tally::new(Time(1), Time(3));
        [0, 1, 2, 3].into_iter().for_each(|at| tally.accepted(Time(at)));
        assert_eq!((tally.accepted, tally.series_accepted.as_slice()), (2, [4].as_slice()));
    }
}
