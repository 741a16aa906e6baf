//! Keys and tenants: what is charged and given back, whose turn it is, and what a tenant's request sees.

use super::scene::{Scene, ask, granted, limits};
use super::trace::backend;
use crate::{
    Admit, AttemptId, Backend, Caller, End, Event, HandBack, Limits, Numbers, Priority, Quota, Reason, Reply,
    Return, invariants::violated, time::SECOND,
};

fn caller(tenant: &str, quota: Quota) -> Caller {
    Caller { key: format!("key of {tenant}"), tenant: tenant.to_owned(), weight: 1, quota, reserved: 0 }
}

fn with(attempt: &str, caller: Caller) -> Event {
    let Event::Admit(ask) = ask(attempt, Priority::Normal) else { unreachable!() };
    Event::Admit(Admit { caller: Some(caller.into()), remaining: 600 * SECOND, ..ask })
}

fn numbers(reply: &Reply) -> Numbers {
    match reply {
        Reply::Granted(_, Some(numbers))
        | Reply::Queued { numbers: Some(numbers), .. }
        | Reply::Rejected(_, Some(numbers)) => *numbers,
        other => panic!("no numbers in {other:?}"),
    }
}

/// The seconds after which a refused key may come again, or none where it was let in.
fn limited(reply: &Reply) -> Option<f64> {
    match reply {
        Reply::Rejected(refusal, _) if refusal.reason == Reason::RateLimit => Some(refusal.retry_after),
        _ => None,
    }
}

fn ends(scene: &mut Scene, attempt: &str, tokens: u64) -> Vec<String> {
    let (_, actions) = scene.apply(&Event::Release(attempt.into(), End::Finished, Some(tokens)));
    assert_eq!(violated(&scene.pool), Vec::<&str>::new());
    granted(&actions).into_iter().map(str::to_owned).collect()
}

#[test]
fn requests_a_minute_leak_at_their_rate() {
    let mut scene = Scene::new();
    let quota = Quota { requests: Some(2), ..Quota::default() };
    for attempt in ["a", "b"] {
        assert_eq!(limited(&scene.apply(&with(attempt, caller("t", quota))).0), None);
    }
    let (reply, _) = scene.apply(&with("c", caller("t", quota)));
    assert_eq!(limited(&reply), Some(30.0), "two a minute: the next in 30 s");
    assert_eq!(numbers(&reply).allowance.map(|used| (used.requests, used.held)), Some((2.0, 2.0)));
    assert_eq!(limited(&scene.apply(&with("d", caller("other", quota))).0), None, "another key");
    ends(&mut scene, "a", 0);
    scene.pass(29 * SECOND);
    let wait = limited(&scene.apply(&with("e", caller("t", quota))).0);
    assert!(wait.is_some_and(|wait| (wait - 1.0).abs() < 1e-9), "{wait:?}");
    scene.pass(SECOND);
    assert_eq!(limited(&scene.apply(&with("f", caller("t", quota))).0), None);
    assert_eq!(
        limited(&scene.apply(&with("f", caller("t", quota))).0),
        None,
        "the same attempt is charged once"
    );
    assert!(limited(&scene.apply(&with("g", caller("t", quota))).0).is_some());
}

#[test]
fn a_limit_of_nothing_lets_nobody_in_and_says_so() {
    let mut scene = Scene::new();
    for quota in [
        Quota { requests: Some(0), ..Quota::default() },
        Quota { tokens: Some(0), ..Quota::default() },
        Quota { concurrency: Some(0), ..Quota::default() },
    ] {
        let (reply, _) = scene.apply(&with("a", caller("t", quota)));
        assert!(matches!(reply, Reply::Rejected(refusal, _) if refusal.hopeless), "{reply:?}");
    }
}

#[test]
fn what_a_request_declares_is_charged_until_its_use_is_known() {
    let mut scene = Scene::new();
    let quota = Quota { tokens: Some(600), ..Quota::default() };
    let declared = |tokens| Caller { reserved: tokens, ..caller("t", quota) };
    scene.apply(&with("a", declared(500)));
    assert_eq!(limited(&scene.apply(&with("b", declared(500))).0), Some(40.0), "400 too many at 10 a second");
    ends(&mut scene, "a", 50);
    let (reply, _) = scene.apply(&with("c", declared(500)));
    assert_eq!(numbers(&reply).allowance.map(|used| used.tokens), Some(550.0));
    let (reply, _) = scene.apply(&with("d", declared(601)));
    assert!(matches!(reply, Reply::Rejected(refusal, _) if refusal.hopeless), "more than a minute has");
    // What nobody declared is charged when it is known, and may overdraw.
    ends(&mut scene, "c", 0);
    scene.apply(&with("e", declared(0)));
    ends(&mut scene, "e", 1_000);
    assert_eq!(limited(&scene.apply(&with("f", declared(0))).0), Some(45.1));
}

#[test]
fn a_ticket_that_is_never_served_costs_no_tokens() {
    let mut scene = Scene::new();
    let quota = Quota { tokens: Some(600), concurrency: Some(2), ..Quota::default() };
    let declared = || Caller { reserved: 300, ..caller("t", quota) };
    scene.apply(&with("a", declared()));
    scene.apply(&with("b", declared()));
    assert_eq!(limited(&scene.apply(&with("c", declared())).0), Some(1.0), "two at once");
    scene.apply(&Event::Cancel("b".into(), End::ClientGone));
    let (reply, _) = scene.apply(&with("c", declared()));
    assert_eq!(numbers(&reply).allowance.map(|used| (used.tokens, used.held)), Some((600.0, 2.0)));
}

#[test]
fn given_up_work_is_held_and_charged_for_what_it_gave() {
    let mut scene = Scene::new();
    let quota = Quota { tokens: Some(600), concurrency: Some(1), ..Quota::default() };
    let declared = || Caller { reserved: 300, ..caller("t", quota) };
    scene.apply(&with("a", declared()));
    scene.apply(&Event::Abandon("a".into(), End::ClientGone, Some(20)));
    assert!(limited(&scene.apply(&with("b", declared())).0).is_some(), "it still runs");
    scene.apply(&Event::Confirm("a".into()));
    let (reply, _) = scene.apply(&with("b", declared()));
    assert_eq!(numbers(&reply).allowance.map(|used| used.tokens), Some(320.0));
}

#[test]
fn a_ticket_that_is_handed_back_stays_one() {
    let mut scene = Scene::new();
    scene.apply(&Event::PutBackend(backend(1, 0, false)));
    let quota = Quota { concurrency: Some(1), ..Quota::default() };
    for why in [HandBack::Concurrency, HandBack::Unreachable] {
        let attempt = format!("a{why:?}");
        let Reply::Granted(first, _) = scene.apply(&with(&attempt, caller("t", quota))).0 else {
            panic!("a slot")
        };
        scene.hand_back(&attempt, why, first.place);
        assert_eq!(violated(&scene.pool), Vec::<&str>::new());
        let (reply, _) = scene.apply(&with("b", caller("t", quota)));
        assert_eq!(numbers(&reply).allowance.map(|used| used.held), Some(1.0), "{why:?}");
        scene.apply(&Event::Cancel(AttemptId::from(format!("{attempt}+")), End::ClientGone));
    }
}

#[test]
fn a_ticket_that_may_not_wait_again_costs_nothing() {
    let mut scene = Scene::new();
    let quota = Quota { tokens: Some(600), ..Quota::default() };
    let declared = || Caller { reserved: 300, ..caller("t", quota) };
    let Reply::Granted(first, _) = scene.apply(&with("a", declared())).0 else { panic!("a slot") };
    let (reply, _) = scene.hand_back("a", HandBack::Unreachable, first.place);
    assert!(matches!(reply, Reply::Rejected(refusal, _) if refusal.reason == Reason::NoBackend), "{reply:?}");
    let (reply, _) = scene.apply(&with("b", declared()));
    assert_eq!(numbers(&reply).allowance.map(|used| (used.tokens, used.held)), Some((300.0, 1.0)));
}

#[test]
fn a_ticket_that_the_account_has_lost_counts_for_its_key_when_it_comes_back() {
    let mut scene = Scene::new();
    let quota = Quota { concurrency: Some(1), ..Quota::default() };
    let Reply::Granted(first, _) = scene.apply(&with("a", caller("t", quota))).0 else { panic!("a slot") };
    scene.pass(20 * SECOND);
    assert_eq!(scene.counts(), (0, 0, 0));
    scene.apply(&Event::PutBackend(backend(0, 0, false)));
    scene.apply(&Event::HandBack(Return {
        attempt: "a".into(),
        next: "a+".into(),
        router: "r".to_owned(),
        limits: limits(),
        why: HandBack::Concurrency,
        place: first.place,
        caller: Some(caller("t", quota).into()),
    }));
    assert!(
        limited(&scene.apply(&with("b", caller("t", quota))).0).is_some(),
        "it is the one that it may have"
    );
    assert_eq!(violated(&scene.pool), Vec::<&str>::new());
}

#[test]
fn a_ticket_that_comes_back_alone_keeps_its_place() {
    let mut scene = one_slot();
    waiting(&mut scene, "few", 1, &["f0", "f1"]);
    ends(&mut scene, "f0", 1);
    let place = scene.pool.attempts()[&AttemptId::from("f1")].place;
    scene.hand_back("f1", HandBack::Concurrency, place);
    waiting(&mut scene, "many", 1, &["m0", "m1"]);
    let (_, actions) = scene.apply(&Event::Confirm("f1".into()));
    assert_eq!(granted(&actions), ["f1+"]);
}

#[test]
fn the_dead_hold_nothing() {
    let mut scene = Scene::new();
    let quota = Quota { concurrency: Some(2), ..Quota::default() };
    scene.apply(&with("a", caller("t", quota)));
    scene.apply(&with("b", caller("t", quota)));
    scene.pass(20 * SECOND);
    assert_eq!(scene.counts(), (0, 0, 0));
    let (reply, _) = scene.apply(&with("c", caller("t", quota)));
    assert_eq!(limited(&reply), None);
    assert_eq!(violated(&scene.pool), Vec::<&str>::new());
}

/// A pool with one slot and a long queue.
fn one_slot() -> Scene {
    let mut scene = Scene::new();
    scene.apply(&Event::PutBackend(Backend { slots: 1, ..backend(0, 0, false) }));
    scene
}

fn waiting(scene: &mut Scene, tenant: &str, weight: u64, names: &[&str]) {
    for name in names {
        let asks = Caller { weight, ..caller(tenant, Quota::default()) };
        let Event::Admit(ask) = with(name, asks) else { unreachable!() };
        let roomy = Limits { max_queue_size: 100, rejection_start: 1.0, wait_share: 1.0, ..limits() };
        let (reply, _) = scene.apply(&Event::Admit(Admit { limits: roomy, ..ask }));
        assert!(matches!(reply, Reply::Granted(..) | Reply::Queued { .. }), "{name}: {reply:?}");
    }
}

/// The order in which all that wait are served, each using as many tokens.
fn order(scene: &mut Scene, first: &str, tokens: u64) -> Vec<String> {
    let (mut served, mut next) = (Vec::new(), first.to_owned());
    while let [granted] = ends(scene, &next, tokens).as_slice() {
        next.clone_from(granted);
        served.push(next.clone());
    }
    served
}

#[test]
fn tenants_take_turns_and_each_keeps_its_own_order() {
    let mut scene = one_slot();
    waiting(&mut scene, "many", 1, &["a0", "a1", "a2", "a3", "a4", "a5"]);
    waiting(&mut scene, "few", 1, &["b1", "b2"]);
    assert_eq!(order(&mut scene, "a0", 10), ["b1", "a1", "b2", "a2", "a3", "a4", "a5"]);
}

#[test]
fn twice_the_weight_is_twice_the_turns() {
    let mut scene = one_slot();
    waiting(&mut scene, "other", 1, &["first"]);
    waiting(&mut scene, "heavy", 2, &["h1", "h2", "h3", "h4", "h5", "h6"]);
    waiting(&mut scene, "light", 1, &["l1", "l2", "l3"]);
    let served = order(&mut scene, "first", 64);
    let heavy = served.iter().take(6).filter(|name| name.starts_with('h')).count();
    assert_eq!(heavy, 4, "{served:?}");
}

#[test]
fn long_answers_count_as_what_they_are() {
    let mut scene = one_slot();
    // Ten tokens are what a request is known to cost; then one tenant's cost ten times as much.
    waiting(&mut scene, "long", 1, &["l0"]);
    ends(&mut scene, "l0", 10);
    waiting(&mut scene, "long", 1, &["l1"]);
    waiting(&mut scene, "short", 1, &["s0"]);
    ends(&mut scene, "l1", 1000);
    waiting(&mut scene, "long", 1, &["l2"]);
    waiting(&mut scene, "short", 1, &["s1", "s2"]);
    assert_eq!(order(&mut scene, "s0", 10), ["s1", "s2", "l2"], "it has had its part");
}

#[test]
fn who_has_less_than_its_part_comes_in_where_the_queue_is_full_of_others() {
    let mut scene = one_slot();
    let quota = Quota::default();
    for attempt in ["m0", "m1", "m2", "m3"] {
        scene.apply(&with(attempt, caller("many", quota)));
    }
    assert_eq!(scene.counts(), (1, 0, 3));
    let (reply, _) = scene.apply(&with("m4", caller("many", quota)));
    assert!(
        matches!(&reply, Reply::Rejected(refusal, _) if refusal.reason == Reason::QueueFull),
        "{reply:?}"
    );
    let (reply, _) = scene.apply(&ask("nobody's", Priority::Normal));
    assert!(matches!(reply, Reply::Rejected(..)));
    let (reply, actions) = scene.apply(&with("f1", caller("few", quota)));
    assert!(matches!(reply, Reply::Queued { position: 1, .. }), "{reply:?}");
    assert_eq!(granted(&actions), ["m3"], "the last one makes room");
    assert_eq!(violated(&scene.pool), Vec::<&str>::new());
}
