//! The held-out scenarios: sizes, shapes of the work, timeouts and seeds that no constant was picked on. They were written down, with
//! the rule that sets the default of `--wait-share` by them, before any of them was run.
//!
//! The rule: of the shares that pass the first two bars in the most scenarios where nobody declares a bound (one scenario fewer
//! counts as alike: that is within the noise), and the third with 100 slots wherever any share does, the largest, which costs small
//! fleets least.

use super::{Cell, Effort, on_all_cores};
use crate::{
    bounds::Bounds,
    scenario::Scenario,
    stats::mean,
    table::{Table, short, whole},
    workload::{Mix, Service},
};

/// Values of `--wait-share` that are compared.
pub const SHARES: [f64; 4] = [0.25, 0.2, 0.15, 0.1];
/// The first seed.
const FIRST_SEED: u64 = 101;
/// Slots and queue.
const SIZES: [(u32, u32); 4] = [(4, 50), (12, 50), (24, 80), (100, 150)];
/// From so many slots on a fleet has no excuse not to serve its users at 0.9 of the load.
const LARGE: u32 = 60;
/// Service and timeout.
const WORK: [(Service, f64); 6] = [
    (Service::Gamma(3.0, 2), 10.0),
    (Service::Lognormal(4.0, 0.7), 20.0),
    (Service::Lognormal(4.0, 1.3), 20.0),
    (Service::Gamma(6.0, 2), 45.0),
    (Service::Bimodal(3.0, 25.0, 0.15), 45.0),
    (Service::Lognormal(8.0, 1.3), 90.0),
];

/// A way in which routers learn and clients declare, with its name.
type Arm = (&'static str, bool, Bounds);

const ARMS: [Arm; 3] = [
    ("nobody declares", true, Bounds::NOBODY),
    ("half declare", true, Bounds::HALF),
    ("nothing is learnt", false, Bounds::NOBODY),
];

/// What each scenario comes to: by arm, then by share.
type Cells = Vec<Vec<Cell>>;

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

/// Runs all scenarios in all ways with all shares.
pub fn run(effort: Effort) -> Vec<(Scenario, Cells)> {
    let scenarios = scenarios();
    let seeds = FIRST_SEED..=FIRST_SEED + effort.seeds - 1;
    let cells = on_all_cores(&scenarios, |scenario| {
        let cell = |(_, learns, bounds): Arm, share: f64| {
            let mut changed = scenario.limited(|limits| limits.wait_share = share);
            (changed.learns, changed.bounds) = (learns, bounds);
            Cell::run(effort, seeds.clone(), |load| changed.loaded(load))
        };
        ARMS.map(|arm| SHARES.map(|share| cell(arm, share)).to_vec()).to_vec()
    });
    scenarios.into_iter().zip(cells).collect()
}

/// Whether a large fleet serves 98 % of those users at 0.9 of the load whose work is not too long for its timeout anyway.
fn serves(scenario: &Scenario, cell: &Cell) -> bool {
    cell.served() >= 98.0 * scenario.service.part_within(scenario.timeout)
}

/// How many scenarios pass each bar, for each way and share.
pub fn bars(runs: &[(Scenario, Cells)]) -> Table {
    let mut table = Table::new(&[
        "who declares, share",
        "goodput >= 95 % at 10 x, of 48",
        "missed <= 5 % of accepted at 10 x, of 48",
        "served >= 98 % at 0.9 x with 100 slots, of 12",
        "goodput mean / worst %",
        "missed mean / worst %",
        "served with 4 / 12 / 24 / 100 slots %",
    ]);
    for (arm, (name, ..)) in ARMS.iter().enumerate() {
        for (share, value) in SHARES.iter().enumerate() {
            let cells: Vec<(&Scenario, &Cell)> =
                runs.iter().map(|(scenario, cells)| (scenario, &cells[arm][share])).collect();
            table.row(std::iter::once(format!("{name}, {value}")).chain(row(&cells)));
        }
    }
    table
}

fn row(cells: &[(&Scenario, &Cell)]) -> [String; 6] {
    let passing = |bar: &dyn Fn(&(&Scenario, &Cell)) -> bool| cells.iter().filter(|cell| bar(cell)).count();
    let figures = |figure: fn(&Cell) -> f64| cells.iter().map(|(_, cell)| figure(cell)).collect::<Vec<_>>();
    let (goodput, missed) = (figures(Cell::goodput), figures(Cell::missed));
    let worst = |values: &[f64], start: f64, of: fn(f64, f64) -> f64| values.iter().copied().fold(start, of);
    let served = |(slots, _): (u32, u32)| {
        let of_size = cells.iter().filter(|(scenario, _)| scenario.slots == slots);
        short(mean(&of_size.map(|(_, cell)| cell.served()).collect::<Vec<_>>()))
    };
    [
        passing(&|(_, cell)| cell.goodput() >= 95.0).to_string(),
        passing(&|(_, cell)| cell.missed() <= 5.0).to_string(),
        passing(&|(scenario, cell)| scenario.slots >= LARGE && serves(scenario, cell)).to_string(),
        format!("{} / {}", short(mean(&goodput)), short(worst(&goodput, f64::INFINITY, f64::min))),
        format!("{} / {}", short(mean(&missed)), short(worst(&missed, 0.0, f64::max))),
        SIZES.map(served).join(" / "),
    ]
}

/// Each scenario where nobody declares a bound: goodput / missed at ten times the load, users served at 0.9.
pub fn each(runs: &[(Scenario, Cells)]) -> Table {
    let shares = SHARES.map(|share| format!("share {share}"));
    let first = "goodput / missed at 10 x, served at 0.9 x (all %)";
    let headings: Vec<&str> = std::iter::once(first).chain(shares.iter().map(String::as_str)).collect();
    let mut table = Table::new(&headings);
    for (scenario, cells) in runs {
        let cell = |cell: &Cell| {
            format!("{} / {}, {}", whole(cell.goodput()), short(cell.missed()), short(cell.served()))
        };
        table.row(std::iter::once(scenario.name.clone()).chain(cells[0].iter().map(cell)));
    }
    table
}
