//! Timeouts that are short for the work: the 90th percentile of the service time takes most of them, or all.

use super::Effort;
use crate::{
    scenario::Scenario,
    summary::Seeds,
    table::{Table, short},
    workload::Service,
};

/// Lognormal with a mean of 4 s: its 90th percentile is 8.7 s.
const SERVICE: Service = Service::Lognormal(4.0, 1.0);

/// Fleets of three sizes with timeouts of 6 to 20 s.
pub fn scenarios() -> Vec<Scenario> {
    let fleet = |(slots, queue)| {
        [6.0, 8.0, 10.0, 20.0].map(|timeout| Scenario::plain(slots, queue, SERVICE, timeout, 1.0))
    };
    [(3, 50), (8, 50), (60, 100)].into_iter().flat_map(fleet).collect()
}

/// Their figures at four loads.
pub fn run(effort: Effort) -> Table {
    let mut table = Table::new(&[
        "slots/queue, timeout",
        "most that can be served %",
        "served at 0.5 x",
        "served at 0.9 x",
        "refused at 0.9 x %",
        "goodput / missed at 2 x",
        "goodput / missed at 10 x",
    ]);
    for scenario in scenarios() {
        let seeds = |load| Seeds::run(&effort.cut(scenario.loaded(load)), effort.seeds);
        let answers = |seeds: Seeds| {
            format!("{} / {}", short(seeds.mean(|run| run.goodput)), short(seeds.mean(|run| run.missed)))
        };
        let calm = seeds(0.9);
        table.row([
            format!("{}/{}, {} s", scenario.slots, scenario.limits.max_queue_size, scenario.timeout),
            short(100.0 * SERVICE.part_within(scenario.timeout)),
            short(seeds(0.5).mean(|run| run.served)),
            short(calm.mean(|run| run.served)),
            short(calm.mean(|run| run.refused)),
            answers(seeds(2.0)),
            answers(seeds(10.0)),
        ]);
    }
    table
}
