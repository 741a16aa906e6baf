//! The estimates converge to what they estimate, and forget.

use proptest::prelude::*;

use crate::{
    estimate::Estimate,
    time::{SECOND, Time},
};

/// Numbers of [0, 1) that fill it evenly: the golden ratio's multiples, without their whole part.
fn even(n: u32) -> f64 {
    (f64::from(n) * 0.618_033_988_749_894_9).fract()
}

#[test]
fn mean_and_p90_of_an_even_spread_are_found() {
    let mut estimate = Estimate::default();
    for n in 0..2000 {
        estimate.served((even(n) * 10.0 * SECOND as f64) as u64);
    }
    assert!((estimate.mean - 5.0).abs() < 0.6, "mean {}", estimate.mean);
    assert!((estimate.p90 - 9.0).abs() < 0.7, "p90 {}", estimate.p90);
}

#[test]
fn a_change_of_the_service_time_is_followed() {
    let mut estimate = Estimate::default();
    (0..500).for_each(|_| estimate.served(SECOND));
    (0..150).for_each(|_| estimate.served(8 * SECOND));
    assert!(estimate.mean > 7.5 && estimate.p90 > 7.5, "{estimate:?}");
}

#[test]
fn steady_work_gives_its_own_drain_rate() {
    let mut estimate = Estimate::default();
    estimate.served(2 * SECOND);
    let mut now = Time(0);
    for _ in 0..300 {
        let next = now.plus(SECOND / 4);
        estimate.elapse(now, next, true);
        estimate.releases += 1.0;
        now = next;
    }
    let drain = estimate.drain(8.0);
    assert!((drain - 4.0).abs() < 0.1, "8 slots of 2 s give 4 a second, not {drain}");
}

#[test]
fn idle_time_is_not_held_against_the_drain_rate() {
    let mut estimate = Estimate::default();
    estimate.served(2 * SECOND);
    estimate.elapse(Time(0), Time(50 * SECOND), false);
    assert!((estimate.drain(8.0) - 4.0).abs() < 1e-9, "slots / mean once nothing else is known");
}

proptest! {
    /// How often the ledger is called must not change what it measures.
    #[test]
    fn elapsing_in_one_step_or_in_many_is_the_same(cuts in prop::collection::vec(0_u64..30 * SECOND, 0..20), busy in any::<bool>()) {
        let mut cuts = cuts;
        cuts.sort_unstable();
        let start = Estimate { releases: 7.0, busy: 3.0, attempts: 11.0, ..Estimate::default() };
        let (mut once, mut often, mut at) = (start, start, Time(0));
        once.elapse(Time(0), Time(30 * SECOND), busy);
        for cut in cuts.into_iter().chain([30 * SECOND]) {
            often.elapse(at, Time(cut), busy);
            at = Time(cut);
        }
        prop_assert_eq!(once.releases, often.releases);
        prop_assert_eq!(once.attempts, often.attempts);
        prop_assert!((once.busy - often.busy).abs() < 1e-9);
    }

    #[test]
    fn long_silence_forgets_everything_counted(seconds in 100_u64..1_000_000) {
        let mut estimate = Estimate { releases: 1e6, attempts: 1e6, ..Estimate::default() };
        estimate.elapse(Time(0), Time(seconds * SECOND), false);
        prop_assert_eq!((estimate.releases, estimate.attempts), (0.0, 0.0));
    }
}
