//! A burst on an idle fleet that has measured nothing yet, and backends that stall.

use super::Effort;
use crate::{
    fleet,
    scenario::{Scenario, Stall},
    stats::mean,
    summary::Summary,
    table::{Table, short},
    tally::Tally,
    workload::{Mix, Service, Stage},
};

/// Second at which trouble begins.
const TROUBLE: f64 = 60.0;

/// Fifty users at once, nobody before and nobody after them.
pub fn burst(effort: Effort) -> Table {
    let mut table = Table::new(&[
        "slots/queue, 50 at once",
        "let in at once %",
        "served at last, one class %",
        "served at last, mix: high / normal / low %",
        "missed of accepted %",
    ]);
    for (slots, queue) in [(3, 50), (8, 50), (60, 100)] {
        let runs = |mix: Mix| -> Vec<(Summary, Tally)> {
            let mut scenario = Scenario::plain(slots, queue, Service::Lognormal(4.0, 1.0), 60.0, 0.0);
            scenario.stages = vec![Stage { from: 0.0, load: 0.0, service: 1.0 }];
            (scenario.mix, scenario.burst) = (mix, Some((1.0, 50)));
            (scenario.warm_up, scenario.measured) = (0.0, 100.0);
            let run = |seed| fleet::run(&scenario, seed);
            (1..=10 * effort.seeds).map(run).map(|tally| (Summary::of(&scenario, &tally), tally)).collect()
        };
        let (one, mix) = (runs(Mix::One), runs(Mix::Mixed));
        let average = |runs: &[(Summary, Tally)], figure: fn(&(Summary, Tally)) -> f64| {
            short(mean(&runs.iter().map(figure).collect::<Vec<_>>()))
        };
        table.row([
            format!("{slots}/{queue}"),
            average(&one, |(_, tally)| 2.0 * f64::from(tally.series_accepted.get(1).copied().unwrap_or(0))),
            average(&one, |(run, _)| run.served),
            [0, 1, 2].map(|rank| short(served(&mix, rank))).join(" / "),
            average(&one, |(run, _)| run.missed),
        ]);
    }
    table
}

/// Of all users of a rank in all runs: served.
fn served(runs: &[(Summary, Tally)], rank: usize) -> f64 {
    let sum = |counts: fn(&Tally) -> [u64; 3]| runs.iter().map(|(_, tally)| counts(tally)[rank]).sum::<u64>();
    100.0 * sum(|tally| tally.served) as f64 / sum(|tally| tally.users).max(1) as f64
}

/// Half of the backends, or all of them, make no progress for 20 s.
pub fn stalls(effort: Effort) -> Table {
    let mut table = Table::new(&[
        "slots, load, timeout, stalled for 20 s",
        "before",
        "in the stall",
        "0 to 10 s after",
        "10 to 30 s after",
        "30 to 60 s after",
    ]);
    for (slots, part) in [(16, 2), (16, 1), (64, 2), (64, 1)] {
        for (load, timeout) in [(0.9, 30.0), (4.0, 30.0), (4.0, 10.0)] {
            let scenario = stalled(slots, part, load, timeout);
            let runs: Vec<Tally> = (1..=2 * effort.seeds).map(|seed| fleet::run(&scenario, seed)).collect();
            let which = if part == 1 { "all" } else { "half" };
            let looks = [(-30, 0), (0, 20), (20, 30), (30, 50), (50, 80)];
            let cells = looks.map(|(from, to)| look(&scenario, &runs, from, to));
            table.row(std::iter::once(format!("{slots}, {load} x, {timeout} s, {which}")).chain(cells));
        }
    }
    table
}

fn stalled(slots: u32, part: usize, load: f64, timeout: f64) -> Scenario {
    let mut scenario = Scenario::plain(slots, 100, Service::Lognormal(2.0, 1.0), timeout, load);
    scenario.stalls = vec![Stall { from: TROUBLE, lasts: 20.0, backends: scenario.backends / part }];
    (scenario.warm_up, scenario.measured) = (30.0, 130.0);
    scenario
}

fn look(scenario: &Scenario, runs: &[Tally], from: i32, to: i32) -> String {
    let (from, to) = ((TROUBLE as i32 + from) as usize, (TROUBLE as i32 + to) as usize);
    super::steps::look(scenario, runs, from, to)
}
