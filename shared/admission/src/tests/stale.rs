//! Refusals from an old view: the same as the rules' where the view is fresh, fewer and fewer as it ages.

use proptest::prelude::*;

use crate::{
    Asked, Limits, Priority, Reason, Refusal, Time, Verdict, View,
    decide::decide,
    estimate::Estimate,
    stale::{MAX_AGE, most_drained, refuse_unasked},
};

/// Sixty slots that serve fifteen a second, all busy for long.
fn busy(queued: [u32; 3]) -> View {
    let estimate =
        Estimate { samples: 100.0, mean: 4.0, p90: 9.0, busy: 10.0, releases: 150.0, ..Estimate::default() };
    View {
        at: Time(0),
        slots: 60,
        free: false,
        running: 60,
        abandoned: 0,
        queued,
        estimate,
        backend_seen: Time(0),
        backend_slots: 1,
    }
}

fn asked(remaining: f64, draw: f64) -> Asked {
    Asked { priority: Priority::Normal, remaining, length: None, draw, jitter: 0.5 }
}

fn reason(view: &View, age: u64, limits: &Limits, asked: &Asked) -> Option<Reason> {
    refuse_unasked(view, age, limits, asked).map(|(refusal, _)| refusal.reason)
}

fn refusal(view: &View, limits: &Limits, asked: &Asked) -> Option<Refusal> {
    match decide(view, limits, asked).verdict {
        Verdict::Reject(refusal) => Some(refusal),
        Verdict::Admit | Verdict::Queue => None,
    }
}

#[test]
fn a_long_queue_refuses_at_any_age_and_a_view_too_old_nothing() {
    let (view, limits) = (busy([0, 60, 0]), Limits { max_queue_size: 50, ..Limits::default() });
    for age in [0, 1, MAX_AGE] {
        assert_eq!(reason(&view, age, &limits, &asked(60.0, 0.999)), Some(Reason::QueueFull));
    }
    assert_eq!(reason(&view, MAX_AGE + 1, &limits, &asked(60.0, 0.999)), None);
}

#[test]
fn a_view_refuses_for_as_long_as_somebody_must_still_wait() {
    let limits = Limits { max_queue_size: 1, queue_rejection_threshold: 1.0, ..Limits::default() };
    let reason = |tickets, age| reason(&busy([0, tickets, 0]), age, &limits, &asked(60.0, 0.999));
    // Fifteen a second: three quarters of a ticket in 50 ms, and hardly ever more than four.
    assert_eq!(reason(5, MAX_AGE), Some(Reason::QueueFull));
    assert_eq!(reason(4, MAX_AGE), None, "the queue may be empty by now");
    assert_eq!(reason(2, 1_000), Some(Reason::QueueFull));
    assert_eq!(reason(1, 1_000), None, "two slots may have come free within a millisecond");
}

#[test]
fn busy_slots_without_a_queue_refuse_only_in_a_fresh_view() {
    let (view, limits) = (busy([0; 3]), Limits { max_queue_size: 0, ..Limits::default() });
    assert_eq!(reason(&view, 0, &limits, &asked(60.0, 0.5)), Some(Reason::QueueFull));
    assert_eq!(reason(&view, 1, &limits, &asked(60.0, 0.5)), None, "a slot may be free by now");
}

#[test]
fn what_was_never_measured_cannot_be_aged() {
    let view = View { estimate: Estimate::default(), ..busy([0, 60, 0]) };
    let limits = Limits::default();
    assert_eq!(reason(&view, 0, &limits, &asked(60.0, 0.5)), Some(Reason::QueueFull));
    assert_eq!(reason(&view, 1, &limits, &asked(60.0, 0.5)), None);
}

#[test]
fn a_cold_pool_stays_cold() {
    let view = View { slots: 0, running: 0, ..busy([0; 3]) };
    let limits = Limits { pool_memory: 0, ..Limits::default() };
    assert_eq!(reason(&view, MAX_AGE, &limits, &asked(60.0, 0.5)), Some(Reason::NoBackend));
    assert_eq!(reason(&view, MAX_AGE, &Limits::default(), &asked(60.0, 0.5)), None, "it holds its requests");
}

fn views() -> impl Strategy<Value = View> {
    let counts = (0_u32..80, 0_u32..80, 0_u32..20, [0_u32..40, 0_u32..40, 0_u32..40]);
    let measured = (0_u32..3, 0.01..30.0, 0.01..30.0, 0.0..100.0, 0.0..10.0, 0.0..100.0, 0.0..1000.0);
    (counts, measured).prop_map(|((slots, running, abandoned, queued), measured)| {
        let (samples, mean, p90, releases, busy, taken_high, attempts) = measured;
        let samples = f64::from(samples);
        let estimate =
            Estimate { samples, mean, p90, releases, busy, taken_high, attempts, taken_normal: 1.0 };
        let free = running + abandoned < slots;
        View {
            at: Time(0),
            slots,
            free,
            running,
            abandoned,
            queued,
            estimate,
            backend_seen: Time(0),
            backend_slots: 1,
        }
    })
}

fn wishes() -> impl Strategy<Value = (Limits, Asked)> {
    let limits = (0_u32..100, 0.0..=1.0, 0.0..=1.0, 0.0..=1.0);
    let asked = (0_usize..3, 0.0..100.0, prop::option::of(0.0..100.0), 0.0..1.0, 0.0..1.0);
    (limits, asked).prop_map(|((max_queue_size, threshold, rejection_start, wait_share), asked)| {
        let (rank, remaining, length, draw, jitter) = asked;
        let limits = Limits {
            max_queue_size,
            queue_rejection_threshold: threshold,
            rejection_start,
            wait_share,
            pool_memory: 1,
        };
        (limits, Asked { priority: Priority::ALL[rank], remaining, length, draw, jitter })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    /// Fresh, it is the rules themselves: the same refusal, or the ledger's turn.
    #[test]
    fn a_fresh_view_refuses_as_the_rules_do(view in views(), (limits, asked) in wishes()) {
        let unasked = refuse_unasked(&view, 0, &limits, &asked);
        prop_assert_eq!(unasked.map(|(refusal, _)| refusal), refusal(&view, &limits, &asked));
        if let Some((_, numbers)) = unasked {
            prop_assert_eq!(numbers, decide(&view, &limits, &asked).numbers);
        }
    }

    /// Rule 1 for the aged view: with a free slot and an empty queue nothing is refused.
    #[test]
    fn nothing_is_refused_where_a_slot_may_be_free(view in views(), (limits, asked) in wishes(), age in 0..=MAX_AGE) {
        let left = most_drained(&view, age).map(|drained| f64::from(view.queued_total()) - drained);
        let nobody_waits = left.is_none_or(|left| left <= 0.0);
        let free = view.free || left.is_none_or(|left| left < 0.0);
        if view.slots > 0 && free && nobody_waits {
            prop_assert_eq!(refuse_unasked(&view, age, &limits, &asked), None);
        }
    }

    /// A view only becomes milder: what an older one refuses, a younger one refuses too, and so does the ledger if
    /// nothing has happened since.
    #[test]
    fn what_an_old_view_refuses_a_younger_one_refuses(view in views(), (limits, asked) in wishes(), ages in (0..=MAX_AGE, 0..=MAX_AGE)) {
        let (younger, older) = (ages.0.min(ages.1), ages.0.max(ages.1));
        if refuse_unasked(&view, older, &limits, &asked).is_some() {
            prop_assert!(refuse_unasked(&view, younger, &limits, &asked).is_some());
            prop_assert!(refusal(&view, &limits, &asked).is_some());
        }
    }
}
