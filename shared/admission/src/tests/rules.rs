//! The five rules and the formulas behind them.

use proptest::prelude::*;

use crate::{
    Asked, Limits, Priority, Reason, Time, Verdict, View,
    decide::{decide, probability, retry_after},
    estimate::Estimate,
};

fn view(slots: u32, running: u32, queued: [u32; 3]) -> View {
    View {
        at: Time(0),
        slots,
        free: running < slots,
        running,
        abandoned: 0,
        queued,
        estimate: Estimate::default(),
        backend_seen: Time(0),
        backend_slots: slots,
    }
}

pub(super) fn asked(priority: Priority, draw: f64) -> Asked {
    Asked { priority, remaining: 60.0, length: None, draw, jitter: 0.5 }
}

fn reason(view: &View, limits: &Limits, asked: &Asked) -> Option<Reason> {
    match decide(view, limits, asked).verdict {
        Verdict::Reject(refusal) => Some(refusal.reason),
        Verdict::Admit | Verdict::Queue => None,
    }
}

/// Three slots that serve a request in ten seconds on average, all busy for long.
pub(super) fn measured(queued: [u32; 3]) -> View {
    let estimate =
        Estimate { samples: 100.0, mean: 10.0, p90: 20.0, busy: 10.0, releases: 3.0, ..Estimate::default() };
    View { estimate, ..view(3, 3, queued) }
}

#[test]
fn the_defaults_are_the_documented_ones() {
    let limits = Limits::default();
    assert_eq!((limits.max_queue_size, limits.wait_share), (50, 0.15));
    assert_eq!(Priority::ALL.map(|priority| limits.queue_limit(priority)), [50.0, 40.0, 20.0]);
}

#[test]
fn a_free_slot_and_an_empty_queue_admit_whatever_else_holds() {
    let limits = Limits { max_queue_size: 0, rejection_start: 0.0, wait_share: 0.0, ..Limits::default() };
    let asked = Asked { priority: Priority::Low, remaining: 0.001, length: None, draw: 0.0, jitter: 0.0 };
    let view = View { estimate: measured([0; 3]).estimate, ..view(3, 2, [0; 3]) };
    assert_eq!(decide(&view, &limits, &asked).verdict, Verdict::Admit);
}

#[test]
fn a_full_queue_refuses_by_the_share_of_the_priority() {
    let limits = Limits::default();
    let full_for_low = view(100, 100, [0, 0, 20]);
    assert_eq!(reason(&full_for_low, &limits, &asked(Priority::Low, 0.999)), Some(Reason::QueueFull));
    assert_eq!(reason(&full_for_low, &limits, &asked(Priority::Normal, 0.999)), None);
    let full_for_normal = view(100, 100, [0, 0, 40]);
    assert_eq!(reason(&full_for_normal, &limits, &asked(Priority::Normal, 0.999)), Some(Reason::QueueFull));
    assert_eq!(reason(&full_for_normal, &limits, &asked(Priority::High, 0.999)), None);
    let full = view(100, 100, [0, 0, 50]);
    assert_eq!(reason(&full, &limits, &asked(Priority::High, 0.999)), Some(Reason::QueueFull));
}

#[test]
fn work_that_cannot_finish_in_time_is_refused_at_the_door() {
    let limits = Limits { rejection_start: 1.0, ..Limits::default() };
    let short = Asked { remaining: 30.0, ..asked(Priority::Normal, 0.999) };
    assert_eq!(reason(&measured([0, 4, 0]), &limits, &short), Some(Reason::Deadline));
    let unmeasured = View { estimate: Estimate::default(), ..measured([0, 4, 0]) };
    assert_eq!(reason(&unmeasured, &limits, &short), None, "nothing measured yet: the rule is skipped");
    let patient = Asked { remaining: 600.0, ..short };
    assert_eq!(reason(&measured([0, 4, 0]), &limits, &patient), None);
}

#[test]
fn low_tickets_ahead_do_not_count_against_high() {
    let limits = Limits::default();
    let crowded = view(3, 3, [0, 0, 39]);
    let high = decide(&crowded, &limits, &asked(Priority::High, 0.0)).numbers;
    assert_eq!((high.ahead, high.held, high.p), (0.0, 3.0, 0.0));
}

#[test]
fn a_refusal_is_hopeless_only_when_an_idle_fleet_could_not_serve_it() {
    let limits = Limits::default();
    let hopeless = |remaining| match decide(
        &measured([0, 4, 0]),
        &limits,
        &Asked { remaining, ..asked(Priority::Normal, 0.999) },
    )
    .verdict
    {
        Verdict::Reject(refusal) => Some(refusal.hopeless),
        _ => None,
    };
    assert_eq!((hopeless(15.0), hopeless(25.0)), (Some(true), Some(false)));
}

#[test]
fn a_cold_pool_refuses_once_it_is_not_remembered_any_more() {
    let limits = Limits::default();
    let cold = |micros| View { at: Time(micros), ..view(0, 0, [0, 20, 0]) };
    let asked = |priority| asked(priority, 0.9);
    assert_eq!(reason(&cold(limits.pool_memory), &limits, &asked(Priority::High)), Some(Reason::NoBackend));
    assert_eq!(reason(&cold(limits.pool_memory - 1), &limits, &asked(Priority::High)), None);
    assert_eq!(
        reason(&cold(0), &limits, &asked(Priority::Low)),
        Some(Reason::QueueFull),
        "under the same limits"
    );
}

#[test]
fn more_attempts_than_releases_spread_the_retries() {
    let limits = Limits::default();
    let mut view = measured([0, 4, 0]);
    let asked = asked(Priority::Normal, 0.999);
    let numbers = decide(&view, &limits, &asked).numbers;
    let calm = retry_after(&view, &numbers, 0.0);
    let wait = numbers.measured.map(|measured| measured.wait);
    assert_eq!(Some(calm), wait.map(|wait| wait * 0.5));
    view.estimate.attempts = 30.0 * numbers.measured.map_or(0.0, |measured| measured.drain);
    let stormy = retry_after(&view, &decide(&view, &limits, &asked).numbers, 0.0);
    assert!((stormy / calm - 3.0).abs() < 1e-9, "{stormy} against {calm}");
}

proptest! {
    /// "70 % of capacity rejects nothing, 85 % half, 100 % all", wherever 70 % of the capacity is at least the slots.
    #[test]
    fn the_curve_ends_where_the_hard_limit_begins(slots in 1_u32..500, more in 0_u32..2000) {
        let capacity = f64::from(slots) / 0.7 + f64::from(more);
        let p = |part: f64| probability(part * capacity, f64::from(slots), capacity, 0.7);
        prop_assert_eq!(p(0.5), 0.0);
        prop_assert!(p(0.7) < 1e-9);
        prop_assert!((p(0.85) - 0.5).abs() < 1e-9);
        prop_assert!(p(1.0) > 1.0 - 1e-9);
        prop_assert_eq!(p(1.5), 1.0);
    }

    /// With many slots and a short queue the curve begins when the last slot is taken, never before.
    #[test]
    fn nothing_is_drawn_for_before_the_last_slot_is_taken(slots in 1_u32..500, queue in 0_u32..100, start in 0.0..1.0) {
        let capacity = f64::from(slots + queue);
        prop_assert_eq!(probability(f64::from(slots), f64::from(slots), capacity, start), 0.0);
    }

    #[test]
    fn the_draw_decides_where_p_says(held in 30_u32..54, draw in 0.0..1.0) {
        let limits = Limits::default();
        let view = view(3, 3, [held - 3, 0, 0]);
        let decision = decide(&view, &limits, &asked(Priority::High, draw));
        let expected = match () {
            () if held - 3 >= 50 => Some(Reason::QueueFull),
            () if draw < decision.numbers.p => Some(Reason::Capacity),
            () => None,
        };
        prop_assert_eq!(reason(&view, &limits, &asked(Priority::High, draw)), expected);
    }

    #[test]
    fn retry_after_stays_in_its_bounds(queued in 0_u32..2000, attempts in 0.0..1e6, jitter in 0.0..1.0, mean in 1e-6..1e4) {
        let mut view = measured([0, queued, 0]);
        view.estimate.attempts = attempts;
        view.estimate.mean = mean;
        let numbers = decide(&view, &Limits::default(), &asked(Priority::Low, 0.5)).numbers;
        let seconds = retry_after(&view, &numbers, jitter);
        prop_assert!((0.5..=60.0).contains(&seconds), "{}", seconds);
    }
}
