//! Named situations, and what must happen in them.

use super::{
    scene::{Scene, granted, limits},
    trace::backend,
};
use crate::{
    Action, Admit, AttemptId, Backend, End, Event, HandBack, Limits, Place, Priority, Reason, Reply,
    pool::{BACKEND_LEASE, PROOF_LASTS, ROUTER_LEASE},
    snapshot::BackendState,
    time::SECOND,
};

#[test]
fn a_released_slot_goes_to_the_first_ticket_in_the_same_step() {
    let mut scene = Scene::new();
    scene.runs("a");
    for (attempt, priority) in
        [("low", Priority::Low), ("normal", Priority::Normal), ("high", Priority::High)]
    {
        scene.waits(attempt, priority);
    }
    for (ends, follows) in [("a", "high"), ("high", "normal"), ("normal", "low")] {
        let (_, actions) = scene.apply(&Event::Release(ends.into(), End::Finished, None));
        assert_eq!(granted(&actions), [follows]);
    }
}

#[test]
fn abandoned_work_holds_its_slot_until_it_is_confirmed() {
    let mut scene = Scene::new();
    scene.runs("a");
    scene.waits("b", Priority::Normal);
    let (_, actions) = scene.apply(&Event::Abandon("a".into(), End::TimedOut, None));
    assert_eq!((granted(&actions).len(), scene.counts()), (0, (0, 1, 1)));
    let (_, actions) = scene.apply(&Event::Reconcile("backend-0".to_owned(), vec!["a".into()]));
    assert_eq!(granted(&actions).len(), 0, "the backend still holds it");
    let (_, actions) = scene.apply(&Event::Reconcile("backend-0".to_owned(), vec![]));
    assert_eq!((granted(&actions), scene.counts()), (vec!["b"], (1, 0, 0)));
    assert_eq!(scene.pool.snapshot().totals.timed_out, 1);
}

#[test]
fn a_ticket_is_dropped_at_its_deadline_and_never_granted() {
    let mut scene = Scene::new();
    scene.runs("a");
    scene.waits("b", Priority::Normal);
    scene.now = scene.now.plus(4 * SECOND);
    let (_, actions) = scene.apply(&Event::Release("a".into(), End::Finished, None));
    let expected = Action::Drop { attempt: "b".into(), router: "r".to_owned(), reason: Reason::Deadline };
    assert_eq!(actions, [expected]);
    assert_eq!(scene.counts(), (0, 0, 0));
}

#[test]
fn a_ticket_that_is_handed_back_keeps_its_place() {
    let mut scene = Scene::new();
    let place = scene.runs("a");
    scene.waits("b", Priority::Normal);
    let (reply, actions) = scene.hand_back("a", HandBack::Concurrency, place);
    assert!(matches!(reply, Reply::Queued { position: 1, .. }), "{reply:?}");
    assert_eq!((actions.len(), scene.counts()), (0, (0, 1, 2)), "the slot counts until the backend's report");
    let (_, actions) = scene.apply(&Event::Reconcile("backend-0".to_owned(), vec![]));
    assert_eq!(granted(&actions), ["a+"]);
}

#[test]
fn a_ticket_avoids_the_backend_that_could_not_be_reached() {
    let mut scene = Scene::new();
    let place = scene.runs("a");
    scene.apply(&Event::PutBackend(backend(1, 0, false)));
    let (reply, _) = scene.hand_back("a", HandBack::Unreachable, place);
    assert!(matches!(&reply, Reply::Granted(granted, _) if granted.backend == "backend-1"), "{reply:?}");
}

#[test]
fn with_no_other_backend_left_a_handed_back_ticket_is_refused() {
    let mut scene = Scene::new();
    let place = scene.runs("a");
    let (reply, _) = scene.hand_back("a", HandBack::Unreachable, place);
    assert!(matches!(reply, Reply::Rejected(refusal, None) if refusal.reason == Reason::NoBackend));
    assert_eq!(scene.counts(), (0, 0, 0));
}

#[test]
fn a_handed_back_ticket_never_makes_the_queue_too_long() {
    let mut scene = Scene::new();
    let place = scene.runs("a");
    ["b", "c", "d"].into_iter().for_each(|attempt| scene.waits(attempt, Priority::Normal));
    let (_, actions) = scene.hand_back("a", HandBack::Concurrency, place);
    let expected = Action::Drop { attempt: "d".into(), router: "r".to_owned(), reason: Reason::QueueFull };
    assert_eq!((actions, scene.counts()), (vec![expected], (0, 1, 3)));
}

#[test]
fn a_place_survives_even_when_the_account_has_lost_the_attempt() {
    let mut scene = Scene::new();
    let place = scene.runs("a");
    scene.apply(&Event::PutBackend(backend(0, 1, false)));
    assert_eq!(scene.counts(), (0, 0, 0), "a new life of the backend frees what the old one ran");
    scene.runs("b");
    scene.waits("c", Priority::Normal);
    let (reply, _) = scene.hand_back("a", HandBack::Unreachable, place);
    assert!(matches!(reply, Reply::Queued { position: 1, .. }), "{reply:?}");
}

#[test]
fn a_dead_router_is_reaped_and_its_slots_go_on() {
    let mut scene = Scene::new();
    scene.runs("a");
    scene.pass(ROUTER_LEASE - SECOND);
    scene.apply(&Event::PutBackend(backend(0, 0, false)));
    let other = Admit {
        attempt: "other-1".into(),
        router: "other".to_owned(),
        limits: Limits::default(),
        priority: Priority::Normal,
        remaining: 60 * SECOND,
        length: None,
        draw: 0.999,
        jitter: 0.0,
        prefer: None,
        caller: None,
    };
    scene.apply(&Event::Admit(other));
    assert_eq!(scene.counts(), (1, 0, 1));
    assert_eq!(granted(&scene.pass(SECOND)), ["other-1"]);
}

#[test]
fn what_a_router_does_not_know_at_two_renewals_is_freed() {
    let mut scene = Scene::new();
    scene.runs("a");
    scene.waits("b", Priority::Normal);
    assert_eq!(granted(&scene.renew(&["b"]).1).len(), 0);
    assert_eq!(granted(&scene.renew(&["a", "b"]).1).len(), 0, "known again");
    assert_eq!(granted(&scene.renew(&["b"]).1).len(), 0);
    assert_eq!(granted(&scene.renew(&["b"]).1), ["b"]);
}

#[test]
fn a_renewal_tells_the_fate_of_what_it_asks_for() {
    let mut scene = Scene::new();
    scene.runs("a");
    let (reply, _) = scene.renew(&["a", "lost"]);
    let Reply::Renewed { granted, gone, recovering: false, .. } = reply else { panic!("{reply:?}") };
    assert_eq!((granted.len(), gone), (1, vec![AttemptId::from("lost")]));
}

#[test]
fn a_reset_frees_what_is_not_provably_running_and_nothing_else() {
    let mut scene = Scene::new();
    scene.apply(&Event::PutBackend(backend(2, 0, false)));
    for attempt in ["a", "b", "c"] {
        scene.runs(attempt);
    }
    scene.apply(&Event::Abandon("a".into(), End::TimedOut, None));
    scene.apply(&Event::Abandon("b".into(), End::TimedOut, None));
    for _ in 0..299 {
        scene.pass(SECOND);
        scene.renew(&["a", "b", "c"]);
        scene.apply(&Event::PutBackend(backend(0, 0, false)));
        scene.apply(&Event::PutBackend(backend(2, 0, false)));
        let held: Vec<AttemptId> = vec!["b".into()];
        scene.apply(&Event::Reconcile("nobody".to_owned(), held));
    }
    assert_eq!(scene.counts(), (1, 2, 0));
    let on_2: Vec<AttemptId> = vec!["a".into(), "b".into()];
    scene.apply(&Event::Reconcile("backend-2".to_owned(), on_2));
    scene.pass(SECOND);
    scene.renew(&["a", "b", "c"]);
    assert_eq!(scene.counts(), (1, 1, 0), "backend-2 said that it holds its one; backend-0 said nothing");
}

#[test]
fn what_was_given_up_on_a_backend_that_has_gone_is_freed_without_a_reset() {
    let mut scene = Scene::new();
    let place = scene.runs("a");
    scene.apply(&Event::PutBackend(backend(1, 0, false)));
    let (reply, _) = scene.hand_back("a", HandBack::Concurrency, place);
    assert!(matches!(reply, Reply::Granted(..)), "{reply:?}");
    scene.pass(SECOND);
    scene.apply(&Event::Release("a+".into(), End::Finished, None));
    assert_eq!(scene.counts(), (0, 1, 0), "the slot that was handed back counts until the next report");
    // The backend is killed. Nobody will ever report on it, and its router renews the mark as its own.
    for _ in 0..BACKEND_LEASE / SECOND {
        scene.renew(&["a"]);
        scene.pass(SECOND);
    }
    assert_eq!(scene.counts(), (0, 0, 0));
    assert!(scene.pool.snapshot().backends.is_empty());
}

#[test]
fn given_up_work_that_was_lately_proven_outlives_the_registration_of_its_backend() {
    let mut scene = Scene::new();
    scene.runs("a");
    scene.apply(&Event::Abandon("a".into(), End::TimedOut, None));
    scene.pass(BACKEND_LEASE - SECOND);
    scene.renew(&["a"]);
    scene.apply(&Event::Reconcile("backend-0".to_owned(), vec!["a".into()]));
    scene.pass(SECOND);
    assert_eq!(scene.counts(), (0, 1, 0), "it was still running a second ago");
    scene.renew(&["a"]);
    assert_eq!(scene.pool.next_due(), Some(scene.now.plus(PROOF_LASTS - SECOND)));
    scene.pass(PROOF_LASTS - SECOND);
    assert_eq!(scene.counts(), (0, 0, 0));
}

#[test]
fn the_queue_is_within_the_limit_that_is_left_when_a_router_dies() {
    let mut scene = Scene::new();
    let place = scene.runs("a");
    let roomy = scene.renewal("roomy", Limits { max_queue_size: 9, ..limits() }, &[]);
    scene.apply(&roomy);
    scene.pass(ROUTER_LEASE - SECOND);
    scene.apply(&Event::PutBackend(backend(0, 0, false)));
    ["b", "c", "d"].into_iter().for_each(|attempt| scene.waits(attempt, Priority::Normal));
    scene.hand_back("a", HandBack::Concurrency, Place { deadline: scene.now.plus(60 * SECOND), ..place });
    assert_eq!(scene.counts(), (0, 1, 4), "four are within the other router's nine");
    scene.renew(&["b", "c", "d", "a+"]);
    let dropped = Action::Drop { attempt: "d".into(), router: "r".to_owned(), reason: Reason::QueueFull };
    assert_eq!((scene.pass(SECOND), scene.counts()), (vec![dropped], (0, 1, 3)));
}

#[test]
fn a_registration_that_flaps_loses_no_count() {
    let mut scene = Scene::new();
    scene.runs("a");
    scene.apply(&Event::RemoveBackend("backend-0".to_owned()));
    let snapshot = scene.pool.snapshot();
    assert_eq!((snapshot.view.slots, snapshot.view.running), (0, 1));
    assert_eq!(snapshot.backends.first().map(|backend| backend.state), Some(BackendState::Gone));
    scene.apply(&Event::PutBackend(backend(0, 0, false)));
    scene.waits("b", Priority::Normal);
    assert_eq!(scene.counts(), (1, 0, 1));
    let (_, actions) = scene.apply(&Event::Release("a".into(), End::Finished, None));
    assert_eq!(granted(&actions), ["b"]);
}

#[test]
fn a_backend_that_no_longer_renews_takes_its_slots_with_it() {
    let mut scene = Scene::new();
    scene.pass(BACKEND_LEASE);
    assert!(scene.pool.snapshot().backends.is_empty());
    scene.pass(limits().pool_memory);
    let reply = scene.ask("a", Priority::High);
    assert!(matches!(reply, Reply::Rejected(refusal, _) if refusal.reason == Reason::NoBackend));
}

#[test]
fn a_cold_pool_holds_its_requests_until_a_backend_registers() {
    let mut scene = Scene::new();
    scene.pass(BACKEND_LEASE);
    ["a", "b", "c"].into_iter().for_each(|attempt| scene.waits(attempt, Priority::Normal));
    let reply = scene.ask("d", Priority::Normal);
    assert!(matches!(reply, Reply::Rejected(refusal, _) if refusal.reason == Reason::QueueFull), "{reply:?}");
    let (_, actions) = scene.apply(&Event::PutBackend(backend(0, 1, false)));
    assert_eq!(granted(&actions), ["a"]);
    assert_eq!(scene.pool.view().backend_slots, 1);
}

#[test]
fn a_preferred_backend_is_chosen_while_it_has_a_free_slot() {
    let mut scene = Scene::new();
    scene.apply(&Event::PutBackend(backend(2, 0, false)));
    scene.apply(&Event::PutBackend(backend(1, 0, false)));
    let places: Vec<String> = (0..3)
        .map(|n| match scene.prefers(&format!("a{n}"), "backend-1") {
            Reply::Granted(granted, _) => granted.backend,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(places, ["backend-1", "backend-1", "backend-0"]);
}

#[test]
fn a_draining_backend_takes_nothing_new() {
    let mut scene = Scene::new();
    scene.runs("a");
    scene.apply(&Event::PutBackend(Backend { slots: 5, ..backend(0, 0, true) }));
    assert_eq!((scene.pool.view().slots, scene.pool.view().free), (0, false));
}

#[test]
fn the_least_loaded_backend_is_chosen() {
    let mut scene = Scene::new();
    scene.apply(&Event::PutBackend(backend(2, 0, false)));
    let places: Vec<String> = ["a", "b", "c", "d"]
        .into_iter()
        .map(|attempt| match scene.ask(attempt, Priority::Normal) {
            Reply::Granted(granted, _) => granted.backend,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(places, ["backend-0", "backend-2", "backend-2", "backend-2"]);
}

#[test]
fn the_last_minute_is_counted_and_no_more() {
    let mut scene = Scene::new();
    scene.runs("a");
    scene.apply(&Event::Release("a".into(), End::Finished, None));
    assert_eq!((scene.pool.snapshot().totals.admitted, scene.pool.snapshot().totals.finished), (1, 1));
    scene.pass(60 * SECOND);
    assert_eq!(scene.pool.snapshot().totals.attempts(), 0);
}
