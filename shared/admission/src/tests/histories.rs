//! A router learns how long requests of a kind take, and forgets.

use proptest::prelude::*;

use super::rules::{asked, measured};
use crate::{
    Asked, Class, History, Limits, Priority, Reason, Verdict, View,
    decide::{CROWDED, decide},
    estimate::{Estimate, WINDOW},
    history::{ENOUGH, FORGET_AFTER},
    time::{SECOND, Time},
};

const NOW: Time = Time(1_000 * SECOND);

/// So many requests of a class that took a whole number of seconds.
fn finish(history: &mut History, class: Class, count: u32, seconds: u64) {
    (0..count).for_each(|_| history.finished(NOW, class, seconds * SECOND));
}

#[test]
fn bounds_of_one_power_of_two_are_alike() {
    let alike = |a: u64, b: u64| Class::of(Some(a)) == Class::of(Some(b));
    assert!(alike(0, 1) && alike(129, 256) && alike(1 << 20, u64::MAX));
    assert!(!alike(1, 2) && !alike(128, 129) && !alike(256, 257));
    assert_ne!(Class::of(None), Class::of(Some(0)));
}

#[test]
fn a_class_says_nothing_before_it_was_seen_often_enough() {
    let (mut history, class) = (History::default(), Class::of(Some(100)));
    finish(&mut history, class, ENOUGH as u32 - 1, 3);
    assert_eq!(history.length(NOW, class), None);
    finish(&mut history, class, 1, 3);
    let length = history.length(NOW, class).unwrap();
    assert!((length - 3.0).abs() < 0.5, "{length}");
    assert_eq!(history.length(NOW, Class::of(Some(1000))), None, "another class");
    assert_eq!(history.length(NOW, Class::of(None)), None, "those without a bound are a class of their own");
}

#[test]
fn what_ran_out_of_time_took_at_least_so_long() {
    let (mut history, class) = (History::default(), Class::of(None));
    finish(&mut history, class, 100, 4);
    let before = history.length(NOW, class).unwrap();
    history.ran_out(NOW, class, SECOND);
    assert_eq!(history.length(NOW, class), Some(before), "stopped early, it says nothing");
    (0..100).for_each(|_| history.ran_out(NOW, class, 10 * SECOND));
    let after = history.length(NOW, class).unwrap();
    assert!(after > 9.0, "{before} s, then {after} s though all were stopped after 10 s");
}

#[test]
fn a_class_of_which_nothing_ends_any_more_is_forgotten() {
    let (mut history, class) = (History::default(), Class::of(Some(100)));
    finish(&mut history, class, 100, 30);
    let later = |micros| NOW.plus(micros);
    assert!(history.length(later(FORGET_AFTER), class).is_some());
    assert_eq!(history.length(later(FORGET_AFTER + 1), class), None);
    let now = later(FORGET_AFTER + 1);
    (0..ENOUGH as u32).for_each(|_| history.finished(now, class, SECOND));
    let length = history.length(now, class).unwrap();
    assert!(length < 2.0, "learnt anew, not {length} s");
}

/// The same pool with so many requests asking for each slot that comes free.
fn asked_by(queued: [u32; 3], times: f64) -> View {
    let view = measured(queued);
    let attempts = times * view.estimate.drain(3.0) * WINDOW;
    View { estimate: Estimate { attempts, ..view.estimate }, ..view }
}

fn refused(view: &View, length: Option<f64>) -> Option<Reason> {
    let limits = Limits { wait_share: 1.0, rejection_start: 1.0, ..Limits::default() };
    match decide(view, &limits, &Asked { length, ..asked(Priority::Normal, 0.999) }).verdict {
        Verdict::Reject(refusal) => Some(refusal.reason),
        Verdict::Admit | Verdict::Queue => None,
    }
}

#[test]
fn in_a_crowd_the_own_length_counts_and_not_that_of_all() {
    let crowded = asked_by([0, 4, 0], CROWDED + 0.1);
    // Five places take some 17 s; 60 s are left and nine in ten of all work take 20 s.
    assert_eq!(refused(&crowded, None), None);
    assert_eq!(refused(&crowded, Some(50.0)), Some(Reason::Deadline), "too long to wait");
    assert_eq!(refused(&crowded, Some(20.0)), None);
    let packed = asked_by([0, 13, 0], CROWDED + 0.1);
    assert_eq!(refused(&packed, None), Some(Reason::Deadline));
    assert_eq!(refused(&packed, Some(2.0)), None, "short enough to wait longer than others");
}

#[test]
fn without_a_crowd_the_own_length_does_not_count() {
    let calm = asked_by([0, 4, 0], CROWDED - 0.1);
    assert_eq!(refused(&calm, Some(50.0)), None);
    let packed = asked_by([0, 13, 0], CROWDED - 0.1);
    assert_eq!(refused(&packed, Some(2.0)), Some(Reason::Deadline));
}

proptest! {
    /// Nine in ten of the work lie below, whatever the scale.
    #[test]
    fn the_length_is_what_nine_in_ten_do_not_exceed(scale in 0.01_f64..100.0, bound in prop::option::of(0_u64..1 << 40)) {
        let (mut history, class) = (History::default(), Class::of(bound));
        for n in 0..2000_u32 {
            let even = (f64::from(n) * 0.618_033_988_749_894_9).fract();
            history.finished(NOW, class, (even * scale * SECOND as f64) as u64);
        }
        let length = history.length(NOW, class).unwrap() / scale;
        prop_assert!((length - 0.9).abs() < 0.07, "{} of the longest", length);
    }
}
