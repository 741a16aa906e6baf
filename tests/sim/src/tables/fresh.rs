//! The 24 fresh scenarios: three sizes, four kinds of work, one class or a mix, at 0.9 and at ten times the capacity.

use super::{Cell, Effort, on_all_cores};
use crate::{
    scenario::Scenario,
    summary::Seeds,
    table::{Table, short, whole},
    workload::{Mix, Service},
};

/// Values of `--wait-share` that are compared.
pub const SHARES: [f64; 5] = [1.0, 0.5, 0.25, 0.15, 0.1];
/// The one that is shown in detail.
const DETAILED: usize = 3;
/// Slots and queue.
const SIZES: [(u32, u32); 3] = [(3, 50), (8, 50), (60, 100)];
/// Service and timeout.
pub const WORK: [(Service, f64); 4] = [
    (Service::Exponential(3.0), 15.0),
    (Service::Exponential(3.0), 60.0),
    (Service::Lognormal(4.0, 1.0), 30.0),
    (Service::Bimodal(2.0, 20.0, 0.1), 40.0),
];

/// The scenarios.
pub fn scenarios() -> Vec<Scenario> {
    let mut all = Vec::new();
    for (slots, queue) in SIZES {
        for (service, timeout) in WORK {
            for mix in [Mix::One, Mix::Mixed] {
                let mut scenario = Scenario::plain(slots, queue, service, timeout, 1.0);
                scenario.name = format!("{slots}/{queue} {service}, {timeout} s, {mix}");
                scenario.mix = mix;
                all.push(scenario);
            }
        }
    }
    all
}

/// Runs all scenarios with all shares: scenario first, then share.
pub fn run(effort: Effort) -> Vec<(Scenario, Vec<Cell>)> {
    let scenarios = scenarios();
    let cells = on_all_cores(&scenarios, |scenario| {
        let cell = |share: f64| {
            let shared = scenario.limited(|limits| limits.wait_share = share);
            Cell::run(effort, 1..=effort.seeds, |load| shared.loaded(load))
        };
        SHARES.map(cell).to_vec()
    });
    scenarios.into_iter().zip(cells).collect()
}

fn headed(first: &str) -> Table {
    let shares = SHARES.map(|share| format!("share {share}"));
    let headings: Vec<&str> = std::iter::once(first).chain(shares.iter().map(String::as_str)).collect();
    Table::new(&headings)
}

/// How many scenarios pass each bar.
pub fn bars(runs: &[(Scenario, Vec<Cell>)]) -> Table {
    let mut table = headed("of 24 scenarios");
    let mut count = |name: &str, passes: fn(&Cell) -> bool| {
        let passing = |n: usize| runs.iter().filter(|(_, cells)| passes(&cells[n])).count().to_string();
        table.row(std::iter::once(name.to_owned()).chain((0..SHARES.len()).map(passing)));
    };
    count("goodput >= 95 % at 10 x", |cell| cell.goodput() >= 95.0);
    count("missed <= 5 % of accepted at 10 x", |cell| cell.missed() <= 5.0);
    count("users served >= 98 % at 0.9 x", |cell| cell.served() >= 98.0);
    let worst = |n: usize| {
        let goodput = |(_, cells): &(Scenario, Vec<Cell>)| cells[n].goodput();
        format!("{} %", short(runs.iter().map(goodput).fold(f64::INFINITY, f64::min)))
    };
    table.row(std::iter::once("worst goodput at 10 x".to_owned()).chain((0..SHARES.len()).map(worst)));
    let served = |n: usize| {
        let served = |(_, cells): &(Scenario, Vec<Cell>)| cells[n].served();
        format!("{} %", short(runs.iter().map(served).fold(f64::INFINITY, f64::min)))
    };
    table.row(std::iter::once("worst users served at 0.9 x".to_owned()).chain((0..SHARES.len()).map(served)));
    table
}

/// Each scenario: goodput / missed at ten times the load, users served at 0.9.
pub fn each(runs: &[(Scenario, Vec<Cell>)]) -> Table {
    let mut table = headed("goodput / missed at 10 x, served at 0.9 x (all %)");
    for (scenario, cells) in runs {
        let cell = |cell: &Cell| {
            format!("{} / {}, {}", whole(cell.goodput()), short(cell.missed()), short(cell.served()))
        };
        table.row(std::iter::once(scenario.name.clone()).chain(cells.iter().map(cell)));
    }
    table
}

/// Waits, reasons and steadiness at ten times the load with the default share.
pub fn detail(runs: &[(Scenario, Vec<Cell>)]) -> Table {
    let first = format!("10 x, share {}", SHARES[DETAILED]);
    let mut table = Table::new(&[
        &first,
        "goodput ± error",
        "wait p50 / p99 s",
        "refused %",
        "capacity / full / deadline %",
        "dispersion",
        "echo at lag s",
        "answered high / normal / low %",
    ]);
    for (scenario, cells) in runs {
        let seeds = &cells[DETAILED].overload;
        let figure = |value: fn(&crate::summary::Summary) -> f64| seeds.mean(value);
        table.row([
            scenario.name.clone(),
            format!("{} ± {}", short(figure(|run| run.goodput)), short(seeds.error(|run| run.goodput))),
            format!("{} / {}", short(figure(|run| run.waits[0])), short(figure(|run| run.waits[1]))),
            whole(figure(|run| run.refused)),
            format!(
                "{} / {} / {}",
                whole(figure(|run| run.reasons[0])),
                whole(figure(|run| run.reasons[1])),
                whole(figure(|run| run.reasons[2]))
            ),
            short(figure(|run| run.dispersion)),
            format!("{:.2} at {}", figure(|run| run.echo), whole(figure(|run| run.echo_lag))),
            by_class(scenario, seeds),
        ]);
    }
    table
}

fn by_class(scenario: &Scenario, seeds: &Seeds) -> String {
    let served = [0, 1, 2].map(|rank| whole(seeds.mean(|run| run.answered_by[rank])));
    if scenario.mix == Mix::One { served[1].clone() } else { served.join(" / ") }
}
