//! What a run comes to, in the words of the tables.

use std::ops::RangeInclusive;

use tidegate_admission::Reason;

use crate::{
    fleet,
    scenario::Scenario,
    stats::{dispersion, echo, mean, quantile, ratio, standard_error},
    tally::Tally,
};

/// The figures of one run. Parts are in percent, times in seconds.
#[derive(Debug, Clone, PartialEq)]
pub struct Summary {
    /// Slot time of answers inside their deadline, over the slot time and the zero-wait ceiling.
    pub goodput: f64,
    /// Of what was let in (and whose client did not hang up): not answered in time.
    pub missed: f64,
    /// Users who got an answer in time, at the first or a later try. Says little of an overload: who tries again after
    /// the last users have come finds an empty fleet.
    pub served: f64,
    /// Answers in time over users who came, by rank of the priority, both in the measured time.
    pub answered_by: [f64; 3],
    /// The same by the bound that was declared: none, the same as ever, what is needed.
    pub answered_by_bound: [f64; 3],
    /// Attempts that were refused.
    pub refused: f64,
    /// Parts of the refusals: capacity, queue full, deadline.
    pub reasons: [f64; 3],
    /// Waits of what was granted: median and 99th percentile.
    pub waits: [f64; 2],
    /// Variance over mean of those let in per second.
    pub dispersion: f64,
    /// Strongest correlation of that series with itself at 2 to 60 s.
    pub echo: f64,
    /// Its lag.
    pub echo_lag: f64,
    /// Of the refusals: from a view.
    pub unasked: f64,
    /// Of these: the ledger would have let them in.
    pub wrong: f64,
    /// Of these: beside a free slot while nobody waited.
    pub beside_a_slot: f64,
    /// Calls to the ledger per user, but for renewals.
    pub calls: f64,
}

impl Summary {
    /// Of a tally.
    pub fn of(scenario: &Scenario, tally: &Tally) -> Summary {
        let percent = |part: u64, whole: u64| 100.0 * ratio(part as f64, whole as f64);
        let slot_time = f64::from(scenario.slots) * scenario.measured;
        let ceiling = scenario.service.ceiling(scenario.timeout, scenario.slowdown);
        let refusals = tally.refusals();
        let reason = |reason| percent(tally.refused.get(&reason).copied().unwrap_or(0), refusals);
        let accepted = measured_seconds(tally);
        let (echo, lag) = echo(&accepted);
        let users: u64 = tally.users.iter().sum();
        let calls = tally.attempts - tally.unasked + tally.accepted;
        Summary {
            goodput: 100.0 * tally.useful / slot_time / ceiling,
            missed: percent(tally.missed, tally.accepted - tally.hung_up),
            served: percent(tally.served.iter().sum(), users),
            answered_by: [0, 1, 2].map(|rank| percent(tally.answers[rank], tally.users[rank])),
            answered_by_bound: [0, 1, 2]
                .map(|kind| percent(tally.said.answers[kind], tally.said.users[kind])),
            refused: percent(refusals, tally.attempts),
            reasons: [reason(Reason::Capacity), reason(Reason::QueueFull), reason(Reason::Deadline)],
            waits: [0.5, 0.99].map(|part| quantile(&tally.waits, part)),
            dispersion: dispersion(&accepted),
            echo,
            echo_lag: lag as f64,
            unasked: percent(tally.unasked, refusals),
            wrong: percent(tally.wrong, tally.unasked),
            beside_a_slot: percent(tally.beside_a_slot, tally.unasked),
            calls: ratio(calls as f64, users as f64),
        }
    }
}

/// Those let in, second by second of the measured time.
fn measured_seconds(tally: &Tally) -> Vec<u32> {
    let (from, to) = (tally.from.second() as usize, tally.to.second() as usize);
    let all = &tally.series_accepted;
    all.get(from..to.min(all.len())).unwrap_or_default().to_vec()
}

/// The same scenario under several seeds.
#[derive(Debug, Clone)]
pub struct Seeds(pub Vec<Summary>);

impl Seeds {
    /// Runs it once for each seed of 1 to `seeds`.
    pub fn run(scenario: &Scenario, seeds: u64) -> Seeds {
        Seeds::of(scenario, 1..=seeds)
    }

    /// Runs it once for each of these seeds.
    pub fn of(scenario: &Scenario, seeds: RangeInclusive<u64>) -> Seeds {
        Seeds(seeds.map(|seed| Summary::of(scenario, &fleet::run(scenario, seed))).collect())
    }

    fn values(&self, figure: impl Fn(&Summary) -> f64) -> Vec<f64> {
        self.0.iter().map(figure).collect()
    }

    /// Mean of a figure.
    pub fn mean(&self, figure: impl Fn(&Summary) -> f64) -> f64 {
        mean(&self.values(figure))
    }

    /// Its standard error.
    pub fn error(&self, figure: impl Fn(&Summary) -> f64) -> f64 {
        standard_error(&self.values(figure))
    }

    /// Its smallest value.
    pub fn least(&self, figure: impl Fn(&Summary) -> f64) -> f64 {
        self.values(figure).into_iter().fold(f64::INFINITY, f64::min)
    }

    /// Its greatest value.
    pub fn most(&self, figure: impl Fn(&Summary) -> f64) -> f64 {
        self.values(figure).into_iter().fold(f64::NEG_INFINITY, f64::max)
    }
}
