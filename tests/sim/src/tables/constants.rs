//! The other constants, one at a time: the curve, the shares of the queue, its length, and what clients do.

use tidegate_admission::Limits;

use super::Effort;
use crate::{
    client::Retries,
    scenario::Scenario,
    summary::Seeds,
    table::{Table, short, whole},
    workload::{Mix, Service},
};

/// One change to a fleet, with its name.
type Change = (&'static str, fn(&mut Scenario));

const CHANGES: [Change; 12] = [
    ("the defaults", |_| {}),
    ("`--vllm-rejection-threshold` 0.5", |scenario| limits(scenario).rejection_start = 0.5),
    ("`--vllm-rejection-threshold` 1: no curve", |scenario| limits(scenario).rejection_start = 1.0),
    ("`--queue-rejection-threshold` 0.5", |scenario| limits(scenario).queue_rejection_threshold = 0.5),
    ("`--queue-rejection-threshold` 1", |scenario| limits(scenario).queue_rejection_threshold = 1.0),
    ("`--max-queue-size` a quarter", |scenario| limits(scenario).max_queue_size /= 4),
    ("`--max-queue-size` fourfold", |scenario| limits(scenario).max_queue_size *= 4),
    ("share 1", |scenario| limits(scenario).wait_share = 1.0),
    ("share 1, no curve", |scenario| {
        limits(scenario).wait_share = 1.0;
        limits(scenario).rejection_start = 1.0;
    }),
    ("clients back off, `retry-after` ignored", |scenario| scenario.retries.obey = false),
    ("no retries", |scenario| scenario.retries = Retries::NONE),
    ("a fifth of the clients hangs up early", |scenario| scenario.impatient = 0.2),
];

fn limits(scenario: &mut Scenario) -> &mut Limits {
    &mut scenario.limits
}

/// Two sizes with a mix, each with one change, at 0.9, 1.2 and 10 times the capacity.
pub fn run(effort: Effort) -> Table {
    let mut table = Table::new(&[
        "slots/queue, change",
        "goodput / missed at 10 x",
        "goodput / missed at 1.2 x",
        "answered high / normal / low at 1.2 x",
        "answered high / normal / low at 10 x",
        "served at 0.9 x",
    ]);
    for (slots, queue) in [(8, 50), (60, 100)] {
        for (name, change) in CHANGES {
            let seeds = |load| Seeds::run(&effort.cut(scenario(slots, queue, load, change)), effort.seeds);
            let (calm, busy, flooded) = (seeds(0.9), seeds(1.2), seeds(10.0));
            table.row([
                format!("{slots}/{queue}, {name}"),
                answers(&flooded),
                answers(&busy),
                classes(&busy),
                classes(&flooded),
                short(calm.mean(|run| run.served)),
            ]);
        }
    }
    table
}

fn answers(seeds: &Seeds) -> String {
    format!("{} / {}", short(seeds.mean(|run| run.goodput)), short(seeds.mean(|run| run.missed)))
}

fn classes(seeds: &Seeds) -> String {
    [0, 1, 2].map(|rank| whole(seeds.mean(|run| run.answered_by[rank]))).join(" / ")
}

fn scenario(slots: u32, queue: u32, load: f64, change: fn(&mut Scenario)) -> Scenario {
    let mut scenario = Scenario::plain(slots, queue, Service::Lognormal(4.0, 1.0), 30.0, load);
    scenario.mix = Mix::Mixed;
    change(&mut scenario);
    scenario
}
