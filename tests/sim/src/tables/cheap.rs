//! Refusals from a view up to 50 ms old, and how many routers there are.

use tidegate_admission::stale::MAX_AGE;

use super::Effort;
use crate::{
    scenario::{Asking, Scenario},
    summary::Seeds,
    table::{Table, short},
    workload::{Mix, Service},
};

/// How routers ask, with its name.
const ASKING: [(&str, Asking, usize); 5] = [
    ("the ledger, each time", Asking::Ledger, 1),
    ("view up to 10 ms, 1 router", Asking::View(10_000), 1),
    ("view up to 50 ms, 1 router", Asking::View(MAX_AGE), 1),
    ("view up to 50 ms, 4 routers", Asking::View(MAX_AGE), 4),
    ("view up to 50 ms, 8 routers", Asking::View(MAX_AGE), 8),
];

/// Fleets of four sizes at ten times the load, for each way of asking.
pub fn run(effort: Effort) -> Table {
    let mut table = Table::new(&[
        "slots, asking",
        "goodput ± error",
        "missed %",
        "calls per user",
        "refusals from the view %",
        "of these wrong %",
        "beside a free slot %",
        "answered high / normal / low %",
    ]);
    for (slots, queue) in [(3, 50), (8, 50), (60, 100), (600, 1000)] {
        for (name, asking, routers) in ASKING {
            let mut scenario = Scenario::plain(slots, queue, Service::Lognormal(4.0, 1.0), 30.0, 10.0);
            (scenario.mix, scenario.asking, scenario.routers) = (Mix::Mixed, asking, routers);
            let seeds = Seeds::run(&effort.cut(scenario), effort.seeds);
            row(&mut table, format!("{slots}, {name}"), &seeds);
        }
    }
    table
}

fn row(table: &mut Table, name: String, seeds: &Seeds) {
    let figure = |value: fn(&crate::summary::Summary) -> f64| seeds.mean(value);
    let served = [0, 1, 2].map(|rank| short(seeds.mean(|run| run.answered_by[rank])));
    table.row([
        name,
        format!("{} ± {}", short(figure(|run| run.goodput)), short(seeds.error(|run| run.goodput))),
        short(figure(|run| run.missed)),
        format!("{:.2}", figure(|run| run.calls)),
        short(figure(|run| run.unasked)),
        short(figure(|run| run.wrong)),
        format!("{:.3}", figure(|run| run.beside_a_slot)),
        served.join(" / "),
    ]);
}
