//! The simulation itself: it does what queueing theory says where theory has an answer, and the same each time.

use tidegate_admission::stale::MAX_AGE;
use tidegate_sim::{
    client::Retries,
    fleet::{self, Watch},
    scenario::{Asking, Scenario, Stall},
    summary::{Seeds, Summary},
    workload::{Mix, Service},
};

/// Part of those that wait in an M/M/c queue (Erlang, 1917).
fn erlang_c(servers: u32, load: f64) -> f64 {
    let offered = load * f64::from(servers);
    let (mut term, mut sum) = (1.0, 1.0);
    for n in 1..servers {
        term *= offered / f64::from(n);
        sum += term;
    }
    let last = term * offered / f64::from(servers) / (1.0 - load);
    last / (sum + last)
}

#[test]
fn without_refusals_it_is_the_queue_of_the_textbook() {
    let mut scenario = Scenario::plain(5, 100_000, Service::Exponential(1.0), 1000.0, 0.8);
    (scenario.limits.wait_share, scenario.retries) = (1.0, Retries::NONE);
    scenario.measured = 20_000.0;
    let tally = fleet::run(&scenario, 1);
    assert_eq!((tally.refusals(), tally.missed), (0, 0));
    let mean = tally.waits.iter().map(|wait| f64::from(*wait)).sum::<f64>() / tally.waits.len() as f64;
    // Mean wait: C / (servers * (1 - load)) service times.
    let expected = erlang_c(5, 0.8) / (5.0 * 0.2);
    assert!((mean / expected - 1.0).abs() < 0.1, "waits {mean} s on average, not {expected} s");
}

#[test]
fn work_of_known_length_leaves_no_slot_time_unused() {
    let scenario = Scenario::plain(8, 50, Service::Fixed(3.0), 60.0, 10.0);
    let run = Summary::of(&scenario, &fleet::run(&scenario, 1));
    assert!(run.goodput > 99.0 && run.missed < 0.1, "{run:?}");
}

#[test]
fn the_same_seed_gives_the_same_run_and_another_another() {
    let mut scenario = Scenario::plain(8, 50, Service::Lognormal(4.0, 1.0), 30.0, 3.0);
    (scenario.mix, scenario.impatient, scenario.measured) = (Mix::Mixed, 0.2, 100.0);
    (scenario.asking, scenario.routers) = (Asking::View(MAX_AGE), 3);
    let of = |seed| Summary::of(&scenario, &fleet::run(&scenario, seed));
    assert_eq!(of(1), of(1));
    assert_ne!(of(1), of(2));
}

#[test]
fn no_invariant_breaks_under_overload_stalls_and_hang_ups() {
    let mut scenario = Scenario::plain(16, 40, Service::Bimodal(1.0, 10.0, 0.2), 15.0, 4.0);
    (scenario.mix, scenario.impatient, scenario.measured) = (Mix::Mixed, 0.3, 100.0);
    (scenario.asking, scenario.routers, scenario.pools) = (Asking::View(MAX_AGE), 4, 2);
    scenario.slowdown = 2.0;
    scenario.stalls = vec![Stall { from: 120.0, lasts: 20.0, backends: 1 }];
    let (tally, _) = fleet::watched(&scenario, 1, Watch { every: 1, log: false });
    assert!(tally.events > 10_000 && tally.hung_up > 0 && tally.unasked > 0, "{}", tally.events);
    assert_eq!(tally.broken, std::collections::BTreeMap::new());
}

#[test]
fn a_view_of_50_ms_refuses_most_and_costs_no_goodput() {
    let mut scenario = Scenario::plain(60, 100, Service::Lognormal(4.0, 1.0), 60.0, 10.0);
    scenario.measured = 100.0;
    let ledger = Seeds::run(&scenario, 2);
    (scenario.asking, scenario.routers) = (Asking::View(MAX_AGE), 4);
    let view = Seeds::run(&scenario, 2);
    let unasked = view.mean(|run| run.unasked);
    assert!(unasked > 50.0, "{unasked} % of the refusals from the view");
    assert_eq!(view.most(|run| run.beside_a_slot), 0.0);
    let (with, without) = (view.mean(|run| run.goodput), ledger.mean(|run| run.goodput));
    assert!(with > without - 3.0, "goodput {with} with views, {without} without");
}
