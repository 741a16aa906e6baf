//! Every state of a small fleet.

use std::io::{Write, stdout};

use tidegate_admission::Priority;
use tidegate_model::{
    Setup,
    breakage::Breakage,
    explore::{Explored, Order, explore},
    promises,
    setup::{FOREVER, Wish},
};

/// Explores on one core, and prints the numbers.
fn on_one_core(name: &str, setup: Setup) -> Explored {
    let mut out = Vec::new();
    let explored = explore(setup, Order::Breadth, &mut out);
    let text = String::from_utf8_lossy(&out);
    // Past the test harness, which would keep the numbers of what passes to itself.
    drop(writeln!(stdout(), "{name}\n{text}"));
    explored
}

/// A sound ledger keeps every promise, and the world is as large as it should be.
fn keeps_all(name: &str, setup: Setup, at_least: usize) {
    let explored = on_one_core(name, setup);
    assert_eq!(explored.wrong, Vec::<&str>::new());
    assert!(explored.unique >= at_least, "the world has shrunk to {} states", explored.unique);
}

/// A broken ledger is found out, by this promise.
fn breaks(promise: &'static str, breakage: Breakage, setup: Setup) {
    let explored = on_one_core(promise, Setup { breakage, ..setup });
    assert!(explored.wrong.contains(&promise), "not found: {:?}", explored.wrong);
}

#[test]
fn two_backends() {
    keeps_all("three requests, two routers, two backends, one fault", Setup::fleet(1), 1_300_000);
}

#[test]
fn one_backend() {
    keeps_all("three requests, two routers, one backend, one fault", Setup::crowded(1), 260_000);
}

#[test]
fn limits_that_differ() {
    let wish = |router| Wish { router, priority: Priority::Normal, patience: FOREVER, key: None };
    let setup = Setup { max_queue_size: [2, 1], wishes: vec![wish(1), wish(1)], ..Setup::crowded(2) };
    keeps_all("two requests, two routers with different limits, one backend, two faults", setup, 340_000);
}

#[test]
fn two_tenants() {
    keeps_all(
        "two requests of each of two tenants, two routers, one backend",
        Setup::tenants(&[0, 0, 1, 1], 0),
        220_000,
    );
}

#[test]
fn a_tenant_with_one_request_at_once() {
    let setup = Setup::tenants(&[0, 0, 1], 1);
    keeps_all("three requests of two tenants, two routers, one backend, one fault", setup, 1_000_000);
}

#[test]
fn a_tenant_with_a_bucket_of_tokens() {
    let setup = Setup { leaves: 0, ..Setup::tenants(&[0, 1, 1], 1) };
    keeps_all("the same with two requests of the other tenant", setup, 200_000);
}

#[test]
fn weights_that_do_not_count_are_found() {
    breaks(promises::FAIR, Breakage::EqualWeights, Setup::tenants(&[0, 0, 1, 1], 0));
}

#[test]
fn limits_that_do_not_hold_are_found() {
    breaks(promises::KEY_LIMITED, Breakage::NoLimits, Setup::tenants(&[0, 0, 1, 1], 0));
}

#[test]
fn tokens_that_do_not_count_are_found() {
    breaks(promises::KEY_LIMITED, Breakage::TokensGivenBack, Setup::tenants(&[0, 0, 1, 1], 0));
}

#[test]
fn a_dead_router_that_keeps_what_keys_hold_is_found() {
    breaks(promises::ENDS_AT_ZERO, Breakage::DeadRouterKept, Setup::tenants(&[0, 0, 1], 1));
}

#[test]
fn a_release_that_counts_twice_is_found() {
    breaks(promises::NOTHING_TAKEN, Breakage::ReleaseTwice, Setup::fleet(1));
}

#[test]
fn a_reset_to_zero_is_found() {
    breaks(promises::NOTHING_TAKEN, Breakage::ResetToZero, Setup::fleet(1));
}

#[test]
fn a_hand_back_to_the_end_of_the_queue_is_found() {
    breaks(promises::ORDERED, Breakage::HandBackToTheEnd, Setup::crowded(2));
}

#[test]
fn a_renewal_that_counts_twice_is_found() {
    breaks(promises::NOTHING_TAKEN, Breakage::RenewalTwice, Setup::crowded(1));
}

#[test]
fn a_late_registration_that_counts_is_found() {
    breaks(promises::NOTHING_TAKEN, Breakage::RegistrationLate, Setup::crowded(2));
}

#[test]
fn a_dead_router_that_is_kept_is_found() {
    breaks(promises::ENDS_AT_ZERO, Breakage::DeadRouterKept, Setup::fleet(1));
}
