//! What it brings that routers learn how long requests of a kind take: with and without, by what clients declare.

use super::{Cell, Effort, fresh, on_all_cores, short, steps};
use crate::{
    bounds::Bounds,
    fleet,
    scenario::Scenario,
    stats::mean,
    table::{Table, short as digit},
    tally::Tally,
    workload::{Service, Stage},
};

/// Values of `--wait-share` for the fresh scenarios.
const SHARES: [f64; 3] = [0.25, 0.15, 0.1];

/// A way in which routers learn and clients declare, with its name.
type Arm = (&'static str, bool, Bounds);

/// What clients declare says nothing where nothing is learnt.
const WITHOUT: Arm = ("nothing is learnt", false, Bounds::HALF);
const ARMS: [Arm; 5] = [
    WITHOUT,
    ("nobody declares", true, Bounds::NOBODY),
    ("half declare", true, Bounds::HALF),
    ("all declare", true, Bounds::ALL),
    ("all send the same", true, Bounds::SAME),
];

fn with(scenario: &Scenario, (_, learns, bounds): Arm) -> Scenario {
    Scenario { learns, bounds, ..scenario.clone() }
}

/// The 24 fresh scenarios.
pub fn of_fresh(effort: Effort) -> Table {
    let mut table = Table::new(&[
        "of the 24 fresh scenarios",
        "goodput >= 95 % at 10 x",
        "missed <= 5 % at 10 x",
        "served >= 98 % at 0.9 x",
        "goodput mean / worst %",
        "missed mean %",
        "served mean / worst %",
    ]);
    let scenarios = fresh::scenarios();
    for share in SHARES {
        for arm in ARMS {
            let cells = on_all_cores(&scenarios, |scenario| {
                let scenario = with(&scenario.limited(|limits| limits.wait_share = share), arm);
                Cell::run(effort, 1..=effort.seeds, |load| scenario.loaded(load))
            });
            let passing = |bar: fn(&Cell) -> bool| cells.iter().filter(|cell| bar(cell)).count().to_string();
            let average =
                |figure: fn(&Cell) -> f64| digit(mean(&cells.iter().map(figure).collect::<Vec<_>>()));
            let worst =
                |figure: fn(&Cell) -> f64| digit(cells.iter().map(figure).fold(f64::INFINITY, f64::min));
            table.row([
                format!("share {share}, {}", arm.0),
                passing(|cell| cell.goodput() >= 95.0),
                passing(|cell| cell.missed() <= 5.0),
                passing(|cell| cell.served() >= 98.0),
                format!("{} / {}", average(Cell::goodput), worst(Cell::goodput)),
                average(Cell::missed),
                format!("{} / {}", average(Cell::served), worst(Cell::served)),
            ]);
        }
    }
    table
}

/// Timeouts that are short for the work.
pub fn of_short(effort: Effort) -> Table {
    let names = ARMS.map(|(name, ..)| name);
    let first = "goodput / missed at 10 x, served at 0.9 x (all %)";
    let headings: Vec<&str> = std::iter::once(first).chain(names).collect();
    let mut table = Table::new(&headings);
    let scenarios = short::scenarios();
    let rows = on_all_cores(&scenarios, |scenario| {
        ARMS.map(|arm| {
            let scenario = with(scenario, arm);
            let cell = Cell::run(effort, 1..=effort.seeds, |load| scenario.loaded(load));
            format!("{} / {}, {}", digit(cell.goodput()), digit(cell.missed()), digit(cell.served()))
        })
    });
    for (scenario, row) in scenarios.iter().zip(rows) {
        let name = format!("{}/{}, {} s", scenario.slots, scenario.limits.max_queue_size, scenario.timeout);
        table.row(std::iter::once(name).chain(row));
    }
    table
}

/// Each router learns from its part of the requests; and who is answered in the crowd.
pub fn of_routers(effort: Effort) -> Table {
    let mut table = Table::new(&[
        "slots, routers",
        "goodput / missed at 10 x",
        "served at 0.9 x",
        "answered at 10 x: declare nothing / the same / what they need %",
    ]);
    let arms = [(1, WITHOUT), (1, ARMS[2]), (2, ARMS[2]), (8, ARMS[2])];
    let rows: Vec<_> = [8, 60].into_iter().flat_map(|slots| arms.map(|arm| (slots, arm))).collect();
    let cells = on_all_cores(&rows, |(slots, (routers, arm))| {
        let mut scenario = with(&Scenario::plain(*slots, 100, WORK, TIMEOUT, 1.0), *arm);
        scenario.routers = *routers;
        Cell::run(effort, 1..=effort.seeds, |load| scenario.loaded(load))
    });
    for ((slots, (routers, (_, learns, _))), cell) in rows.iter().zip(cells) {
        let learns = if *learns { "" } else { ", nothing is learnt" };
        let answered = [0, 1, 2].map(|kind| digit(cell.overload.mean(|run| run.answered_by_bound[kind])));
        table.row([
            format!("{slots}, {routers}{learns}"),
            format!("{} / {}", digit(cell.goodput()), digit(cell.missed())),
            digit(cell.served()),
            answered.join(" / "),
        ]);
    }
    table
}

/// Work whose timeout is short for it.
const WORK: Service = Service::Lognormal(3.0, 1.0);
const TIMEOUT: f64 = 8.0;
/// Seconds from one step of the service time to the next.
const STAGE: usize = 240;
/// Offered load, of the service time of the stage.
const LOAD: f64 = 4.0;
/// Looks at what follows a step: from and to, in seconds after it.
const LOOKS: [(usize, usize); 4] = [(0, 30), (30, 60), (60, 120), (120, 240)];

/// The service time doubles or halves, and goes back.
pub fn of_steps(effort: Effort) -> Table {
    let looks = LOOKS.map(|(from, to)| format!("{from} to {to} s"));
    let headings = ["slots, routers, service: step", "before"];
    let headings: Vec<&str> = headings.into_iter().chain(looks.iter().map(String::as_str)).collect();
    let mut table = Table::new(&headings);
    for (slots, routers) in [(8, 1), (60, 1), (60, 8)] {
        for factor in [2.0, 0.5] {
            for arm in [WITHOUT, ARMS[2]] {
                let scenario = with(&stepped(slots, routers, factor), arm);
                let seeds: Vec<u64> = (1..=2 * effort.seeds).collect();
                let runs = on_all_cores(&seeds, |seed| fleet::run(&scenario, *seed));
                let learns = if arm.1 { "" } else { ", nothing is learnt" };
                rows(&mut table, &format!("{slots}, {routers}, x {factor}{learns}"), &scenario, &runs);
            }
        }
    }
    table
}

fn rows(table: &mut Table, name: &str, scenario: &Scenario, runs: &[Tally]) {
    for (step, at) in [("there", STAGE), ("back", 2 * STAGE)] {
        let cell = |(from, to): (usize, usize)| steps::look(scenario, runs, at + from, at + to);
        let before = steps::look(scenario, runs, at - STAGE / 2, at);
        table.row([format!("{name}: {step}"), before].into_iter().chain(LOOKS.map(cell)));
    }
}

fn stepped(slots: u32, routers: usize, factor: f64) -> Scenario {
    let mut scenario = Scenario::plain(slots, 100, WORK, TIMEOUT, LOAD);
    let stage =
        |(n, service): (usize, f64)| Stage { from: (n * STAGE) as f64, load: LOAD / service, service };
    scenario.stages = [1.0, factor, 1.0].into_iter().enumerate().map(stage).collect();
    scenario.routers = routers;
    (scenario.warm_up, scenario.measured) = (STAGE as f64, 2.0 * STAGE as f64);
    scenario
}
