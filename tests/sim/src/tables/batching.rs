//! Requests that share a backend slow one another down, as continuous batching does.

use super::Effort;
use crate::{
    scenario::Scenario,
    summary::Seeds,
    table::{Table, short, whole},
    workload::Service,
};

/// Slots per backend here.
const BATCH: u32 = 16;

/// Runs fleets whose full batches are 1, 2 and 4 times as slow as a request alone.
pub fn run(effort: Effort) -> Table {
    let mut table = Table::new(&[
        "slots, full batch slower by",
        "share",
        "goodput / missed at 10 x",
        "goodput / missed at 2 x",
        "users served at 0.9 x",
    ]);
    for slots in [16, 64] {
        for slowdown in [1.0, 2.0, 4.0] {
            for share in [0.25, 0.1] {
                let seeds =
                    |load| Seeds::run(&effort.cut(scenario(slots, slowdown, share, load)), effort.seeds);
                let answer = |seeds: Seeds| {
                    let (goodput, missed) = (seeds.mean(|run| run.goodput), seeds.mean(|run| run.missed));
                    format!("{} / {}", whole(goodput), short(missed))
                };
                table.row([
                    format!("{slots}, x {slowdown}"),
                    share.to_string(),
                    answer(seeds(10.0)),
                    answer(seeds(2.0)),
                    short(seeds(0.9).mean(|run| run.served)),
                ]);
            }
        }
    }
    table
}

fn scenario(slots: u32, slowdown: f64, share: f64, load: f64) -> Scenario {
    let mut scenario = Scenario::plain(slots, 100, Service::Lognormal(2.0, 1.0), 30.0, load);
    scenario.backends = (slots / BATCH) as usize;
    scenario.slowdown = slowdown;
    scenario.limits.wait_share = share;
    scenario
}
