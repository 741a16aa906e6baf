//! Routers come back: to the account that they left, to one that was away, and to one that has lost everything.

use super::{
    scene::{Scene, granted, running, seat, waiting},
    trace::backend,
};
use crate::{End, Event, Held, Place, Priority, Seat, Stage, Time, pool::ROUTER_LEASE, time::SECOND};

#[test]
fn a_router_re_enters_what_it_holds_even_past_the_limits() {
    let mut scene = Scene::new();
    let place = scene.runs("a");
    let mut empty = Scene::empty(scene.now);
    let reply = empty.reenter("r", 1, vec![running("a", place), running("b", place), waiting("c", place)]);
    assert_eq!((reply, empty.counts()), (false, (2, 0, 1)));
    let (_, actions) = empty.apply(&Event::PutBackend(backend(0, 0, false)));
    assert_eq!((granted(&actions).len(), empty.pool.view().slots), (0, 1), "its only slot is taken twice");
    empty.apply(&Event::Release("a".into(), End::Finished, None));
    assert_eq!(empty.counts(), (1, 0, 1));
    let (_, actions) = empty.apply(&Event::Release("b".into(), End::Finished, None));
    assert_eq!(granted(&actions), ["c"]);
}

#[test]
fn a_ticket_that_re_enters_avoids_what_it_avoided() {
    let mut scene = Scene::new();
    let place = scene.runs("a");
    let avoid = vec![seat("backend-0").life()];
    let mut empty = Scene::empty(scene.now);
    empty.reenter("r", 1, vec![Held { avoid, ..waiting("a", place) }, waiting("b", place)]);
    let (_, actions) = empty.apply(&Event::PutBackend(backend(0, 0, false)));
    assert_eq!((granted(&actions), empty.counts()), (vec!["b"], (1, 0, 1)));
    let (_, actions) = empty.apply(&Event::PutBackend(backend(1, 0, false)));
    assert_eq!(granted(&actions), ["a"]);
}

#[test]
fn an_account_without_memory_grants_nothing_until_the_routers_are_back() {
    let mut scene = Scene::empty(Time(0));
    assert!(scene.reenter("other", 2, vec![]));
    scene.apply(&Event::PutBackend(backend(0, 0, false)));
    assert!(!scene.pool.view().free);
    let place =
        Place { priority: Priority::Normal, arrival: 7, entered: Time(0), deadline: Time(60 * SECOND) };
    assert!(!scene.reenter("r", 2, vec![waiting("a", place)]));
    assert_eq!(scene.counts(), (1, 0, 0));
}

#[test]
fn work_of_an_account_whose_clock_was_ahead_counts_from_now() {
    let mut scene = Scene::new();
    scene.pass(60 * SECOND);
    scene.apply(&Event::PutBackend(backend(0, 0, false)));
    let place = scene.runs("a");
    let seat = Seat { since: scene.now, ..seat("backend-0") };
    let mut behind = Scene::empty(Time(SECOND));
    behind.reenter("r", 1, vec![Held { stage: Stage::Running(seat), ..running("a", place) }]);
    behind.reenter("r", 1, vec![running("a", place), waiting("b", place)]);
    assert_eq!(behind.pool.snapshot().tickets.first().map(|ticket| ticket.age), Some(0));
    behind.pass(2 * SECOND);
    behind.apply(&Event::Release("a".into(), End::Finished, None));
    assert_eq!(behind.pool.view().estimate.mean, 2.0);
}

#[test]
fn a_recovery_ends_with_one_lease_at_the_latest() {
    let mut scene = Scene::empty(Time(0));
    scene.reenter("other", 3, vec![]);
    scene.pass(SECOND);
    scene.apply(&Event::PutBackend(backend(0, 0, false)));
    scene.waits("a", Priority::Normal);
    assert_eq!(granted(&scene.pass(ROUTER_LEASE - SECOND)), ["a"]);
}

#[test]
fn an_account_that_was_away_for_a_whole_lease_waits_for_its_routers() {
    let mut scene = Scene::new();
    let place = scene.runs("a");
    scene.reenter("other", 2, vec![]);
    scene.pass(ROUTER_LEASE);
    scene.apply(&Event::PutBackend(backend(0, 0, false)));
    assert_eq!((scene.pool.view().free, scene.counts()), (false, (0, 0, 0)));
    assert!(scene.reenter("r", 2, vec![running("a", place)]));
    assert!(!scene.reenter("other", 2, vec![]));
    assert_eq!(scene.counts(), (1, 0, 0));
}

#[test]
fn the_word_of_a_router_replaces_what_the_account_has_of_it() {
    let mut scene = Scene::new();
    scene.apply(&Event::PutBackend(backend(1, 0, false)));
    let place = scene.runs("a");
    scene.runs("b");
    let moved = Held { stage: Stage::Abandoned(seat("backend-1")), ..running("a", place) };
    scene.reenter("r", 1, vec![moved]);
    assert_eq!(scene.counts(), (0, 1, 0), "b was left out, and a has gone on elsewhere");
    let dead = Held {
        stage: Stage::Running(Seat { epoch: "older".into(), ..seat("backend-0") }),
        ..running("c", place)
    };
    scene.reenter("r", 1, vec![dead]);
    assert_eq!(scene.counts(), (0, 0, 0), "work of another life of a backend has ended with it");
}
