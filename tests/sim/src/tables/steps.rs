//! Steps of the load and of the service time: how long the fleet takes to settle.

use super::Effort;
use crate::{
    fleet,
    scenario::Scenario,
    stats::{mean, ratio},
    table::{Table, short},
    tally::Tally,
    workload::{Service, Stage},
};

/// Seconds from one step to the next.
const STAGE: f64 = 120.0;
/// Looks at what follows a step: from and to, in seconds after it.
const LOOKS: [(usize, usize); 4] = [(0, 10), (10, 30), (30, 60), (60, 120)];

/// A course of three stages, with its name: load and factor on the service time.
type Course = (&'static str, [(f64, f64); 3]);

const COURSES: [Course; 3] = [
    ("load 0.5, 4, 0.5", [(0.5, 1.0), (4.0, 1.0), (0.5, 1.0)]),
    ("load 1.5; service x 1, 2, 1", [(1.5, 1.0), (1.5, 2.0), (1.5, 1.0)]),
    ("load 1.5; service x 1, 0.5, 1", [(1.5, 1.0), (1.5, 0.5), (1.5, 1.0)]),
];

/// Goodput, missed and refused after each step.
pub fn run(effort: Effort) -> Table {
    let looks = LOOKS.map(|(from, to)| format!("{from} to {to} s"));
    let headings = ["slots, share, course: step", "before"];
    let headings: Vec<&str> = headings.into_iter().chain(looks.iter().map(String::as_str)).collect();
    let mut table = Table::new(&headings);
    for slots in [8, 60] {
        for share in [0.25, 0.1] {
            for (name, stages) in COURSES {
                let scenario = scenario(slots, share, stages);
                let runs: Vec<Tally> =
                    (1..=4 * effort.seeds).map(|seed| fleet::run(&scenario, seed)).collect();
                rows(&mut table, &format!("{slots}, {share}, {name}"), &scenario, &runs);
            }
        }
    }
    table
}

fn rows(table: &mut Table, name: &str, scenario: &Scenario, runs: &[Tally]) {
    for (step, at) in [("first", STAGE), ("second", 2.0 * STAGE)] {
        let at = at as usize;
        let cell = |(from, to): (usize, usize)| look(scenario, runs, at + from, at + to);
        let before = look(scenario, runs, at - 60, at);
        table.row([format!("{name}: {step}"), before].into_iter().chain(LOOKS.map(cell)));
    }
}

/// Goodput / missed of accepted / refused of all who asked, in percent, over the seeds.
pub(super) fn look(scenario: &Scenario, runs: &[Tally], from: usize, to: usize) -> String {
    let ceiling = scenario.service.ceiling(scenario.timeout, 1.0);
    let slot_time = f64::from(scenario.slots) * (to - from) as f64;
    let useful = |run: &Tally| 100.0 * sum(&run.series_useful, from, to) / slot_time / ceiling;
    let goodput = mean(&runs.iter().map(useful).collect::<Vec<_>>());
    let total =
        |series: fn(&Tally) -> &[u32]| runs.iter().map(|run| sum_counts(series(run), from, to)).sum::<f64>();
    let (accepted, refused) = (total(|run| &run.series_accepted), total(|run| &run.series_refused));
    let missed = 100.0 * ratio(total(|run| &run.series_missed), accepted);
    let refused = 100.0 * ratio(refused, refused + accepted);
    format!("{} / {} / {}", short(goodput), short(missed), short(refused))
}

fn sum(series: &[f64], from: usize, to: usize) -> f64 {
    series.iter().take(to).skip(from).sum()
}

fn sum_counts(series: &[u32], from: usize, to: usize) -> f64 {
    series.iter().take(to).skip(from).map(|count| f64::from(*count)).sum()
}

fn scenario(slots: u32, share: f64, stages: [(f64, f64); 3]) -> Scenario {
    let mut scenario = Scenario::plain(slots, 100, Service::Lognormal(3.0, 1.0), 30.0, 1.0);
    let stage = |(n, (load, service)): (usize, (f64, f64))| Stage { from: STAGE * n as f64, load, service };
    scenario.stages = stages.into_iter().enumerate().map(stage).collect();
    scenario.limits.wait_share = share;
    (scenario.warm_up, scenario.measured) = (STAGE, 2.0 * STAGE);
    scenario
}
