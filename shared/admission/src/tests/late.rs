//! What comes late or twice: renewals, re-entries, registrations; and a clock that is put back.

use super::{
    scene::{Scene, granted, limits, running},
    trace::backend,
};
use crate::{
    AttemptId, Backend, End, Event, HandBack, Limits, Place, Priority, Reply, Time,
    invariants::violated,
    pool::{BACKEND_LEASE, ROUTER_LEASE},
    time::SECOND,
};

#[test]
fn a_renewal_that_comes_twice_counts_once() {
    let mut scene = Scene::new();
    let renewal = scene.renewal("r", limits(), &[]);
    scene.runs("a");
    scene.apply(&renewal);
    scene.apply(&renewal);
    assert_eq!(scene.counts(), (1, 0, 0), "it was made before a came in, and has said so once");
    scene.renew(&[]);
    assert_eq!(scene.counts(), (0, 0, 0), "a second one says the same");
}

#[test]
fn a_copy_of_a_renewal_keeps_no_dead_router_and_is_answered_all_the_same() {
    let mut scene = Scene::new();
    scene.runs("a");
    let renewal = scene.renewal("r", limits(), &["a", "b"]);
    let first = scene.apply(&renewal).0;
    scene.pass(ROUTER_LEASE - SECOND);
    let Reply::Renewed { granted, gone, .. } = scene.apply(&renewal).0 else { panic!() };
    let Reply::Renewed { granted: before, gone: before_too, .. } = first else { panic!() };
    assert_eq!((granted, gone), (before, before_too));
    scene.pass(SECOND);
    assert_eq!(scene.counts(), (0, 0, 0), "five seconds after its last word the router is dead");
}

#[test]
fn an_old_renewal_takes_nothing_back() {
    let mut scene = Scene::new();
    let old = scene.renewal("r", limits(), &[]);
    scene.runs("a");
    scene.renew(&[]);
    scene.apply(&old);
    scene.renew(&["a"]);
    scene.apply(&old);
    scene.renew(&[]);
    assert_eq!(scene.counts(), (1, 0, 0), "between two renewals that left it out there was one that knew it");
}

#[test]
fn a_copy_of_a_re_entry_takes_nothing_that_came_in_since() {
    let mut scene = Scene::new();
    scene.apply(&Event::PutBackend(backend(1, 0, false)));
    let place = scene.runs("a");
    let reentry = scene.reentry("r", 1, vec![running("a", place)]);
    scene.apply(&reentry);
    scene.runs("b");
    scene.apply(&Event::Release("a".into(), End::Finished, None));
    let (reply, actions) = scene.apply(&reentry);
    assert!(matches!(reply, Reply::Reentered { recovering: false, .. }), "{reply:?}");
    let left: Vec<&str> = scene.pool.attempts().keys().map(AttemptId::as_str).collect();
    assert_eq!((actions, left), (vec![], vec!["b"]), "a has ended");
}

#[test]
fn a_late_registration_of_a_former_life_frees_nothing() {
    let mut scene = Scene::new();
    scene.apply(&Event::PutBackend(backend(0, 1, false)));
    scene.runs("a");
    scene.pass(SECOND);
    scene.renew(&["a"]);
    scene.apply(&Event::PutBackend(Backend { slots: 9, ..backend(0, 0, false) }));
    let view = scene.pool.view();
    assert_eq!((scene.counts(), view.slots, view.backend_slots), ((1, 0, 0), 1, 1));
    scene.pass(BACKEND_LEASE - SECOND);
    assert_eq!(scene.pool.view().slots, 0, "nor does it renew the present one");
}

#[test]
fn a_backend_that_once_does_not_name_its_life_is_still_the_same() {
    let mut scene = Scene::new();
    scene.runs("a");
    let nameless = Backend { epoch: String::new(), slots: 9, ..backend(0, 0, false) };
    scene.apply(&Event::PutBackend(nameless.clone()));
    assert_eq!((scene.counts(), scene.pool.view().slots), ((1, 0, 0), 1));
    scene.apply(&Event::PutBackend(Backend { id: "foreign".to_owned(), ..nameless.clone() }));
    assert_eq!(scene.pool.view().slots, 10, "a server of another make never names one");
    scene.apply(&Event::PutBackend(Backend { id: "foreign".to_owned(), ..backend(2, 0, false) }));
    assert_eq!(scene.pool.view().slots, 4, "until one of our own takes its place");
}

#[test]
fn after_the_lease_of_a_backend_any_life_is_its_next() {
    let mut scene = Scene::new();
    scene.apply(&Event::PutBackend(backend(0, 1, false)));
    scene.runs("a");
    scene.pass(BACKEND_LEASE - SECOND);
    scene.renew(&["a"]);
    scene.pass(SECOND);
    // Its host's clock was put back before it started again.
    scene.apply(&Event::PutBackend(backend(0, 0, false)));
    assert_eq!((scene.counts(), scene.pool.view().slots), ((0, 0, 0), 1));
}

#[test]
fn a_clock_that_is_put_back_keeps_no_dead_router() {
    let mut scene = Scene::empty(Time(600 * SECOND));
    scene.apply(&Event::PutBackend(backend(0, 0, false)));
    scene.runs("a");
    scene.now = Time(scene.now.0 - 60 * SECOND);
    scene.pass(0);
    assert_eq!(scene.pool.next_due(), Some(scene.now.plus(4 * SECOND)), "the time of nothing has changed");
    scene.pass(ROUTER_LEASE - 1);
    assert_eq!(scene.counts(), (1, 0, 0));
    scene.pass(1);
    assert_eq!(scene.counts(), (0, 0, 0));
}

#[test]
fn tickets_beyond_the_limit_that_is_left_go_with_the_router_that_allowed_them() {
    let mut scene = Scene::new();
    scene.apply(&Event::PutBackend(backend(2, 0, false)));
    let tight = Limits { max_queue_size: 1, ..limits() };
    let roomy = scene.renewal("roomy", Limits { max_queue_size: 50, ..limits() }, &[]);
    scene.apply(&roomy);
    let strict = scene.renewal("r", tight, &[]);
    scene.apply(&strict);
    let places: Vec<(&str, Place)> = ["a", "b", "c", "d"].map(|id| (id, scene.runs(id))).into();
    let long = scene.now.plus(60 * SECOND);
    for (id, place) in &places[..3] {
        scene.hand_back(id, HandBack::Concurrency, Place { deadline: long, ..*place });
    }
    assert_eq!(scene.counts(), (1, 3, 3), "the roomy router allows fifty");
    scene.pass(ROUTER_LEASE - SECOND);
    let strict = scene.renewal("r", tight, &["a", "b", "c", "d", "a+", "b+", "c+"]);
    scene.apply(&strict);
    for id in [0, 2] {
        scene.apply(&Event::PutBackend(backend(id, 0, false)));
    }
    assert_eq!(granted(&scene.pass(SECOND)), ["c+", "b+"], "the last ones go");
    assert_eq!((scene.counts(), violated(&scene.pool)), ((1, 3, 1), vec![]));
}

#[test]
fn who_comes_after_a_ticket_of_a_lost_account_waits_behind_it() {
    let mut scene = Scene::new();
    let place = scene.runs("a");
    let ahead = Place { arrival: 600 * SECOND, deadline: scene.now.plus(600 * SECOND), ..place };
    let (reply, _) = scene.hand_back("lost", HandBack::Concurrency, ahead);
    assert!(matches!(reply, Reply::Queued { position: 1, .. }), "{reply:?}");
    let reply = scene.ask("b", Priority::Normal);
    assert!(
        matches!(reply, Reply::Queued { position: 2, .. }),
        "its clock was ahead, and it came first: {reply:?}"
    );
}
