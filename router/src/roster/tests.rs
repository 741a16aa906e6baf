//! Ejection over a whole pool, and turns.

use super::standing::{FIRST_PAUSE, IN_A_ROW, Stance};
use super::*;

fn member(weight: u32) -> Membership {
    let (pool, epoch) = ("m".to_owned(), "1".to_owned());
    Membership { pool, epoch, slots: 4, weight, draining: false, key: None, http2: false }
}

fn roster(ids: &[&str]) -> Roster {
    let roster = Roster::default();
    ids.iter().for_each(|id| roster.enter(id, member(1)));
    roster
}

fn break_down(roster: &Roster, id: &str) -> Option<Ejection> {
    let on = roster.occupy(id).unwrap();
    (0..IN_A_ROW).fold(None, |before, _| roster.failed(&on).or(before))
}

fn backend(id: &str) -> Backend {
    Backend { id: id.to_owned(), epoch: String::new(), url: id.to_owned(), slots: 4, draining: false }
}

#[tokio::test(start_paused = true)]
async fn an_ejected_backend_takes_nothing_then_one_request_then_all() {
    let roster = roster(&["a", "b"]);
    let ejection = break_down(&roster, "a").unwrap();
    assert_eq!(ejection, Ejection { pool: "m".to_owned(), pause: FIRST_PAUSE });
    assert_eq!(roster.changes().await, BTreeSet::from(["a".to_owned()]));
    assert!(roster.as_it_stands(backend("a")).draining);
    let ids: Vec<String> = roster.candidates("m").into_iter().map(|candidate| candidate.id).collect();
    assert_eq!(ids, ["b"]);
    tokio::time::advance(FIRST_PAUSE).await;
    let tried = roster.as_it_stands(backend("a"));
    assert_eq!((tried.draining, tried.slots), (false, 1));
    assert!(roster.answered(&roster.occupy("a").unwrap()));
    assert_eq!(roster.as_it_stands(backend("a")), backend("a"));
}

#[tokio::test(start_paused = true)]
async fn the_last_one_of_a_pool_stays_and_other_pools_do_not_count() {
    let roster = roster(&["a", "b"]);
    roster.enter("other", Membership { pool: "other".to_owned(), ..member(1) });
    assert!(break_down(&roster, "a").is_some());
    assert_eq!(break_down(&roster, "b"), None);
    assert_eq!(break_down(&roster, "other"), None);
    assert_eq!(roster.stance("b"), Stance::In);
}

#[tokio::test(start_paused = true)]
async fn when_the_well_ones_leave_or_drain_the_ejected_ones_are_taken_back() {
    for drains in [false, true] {
        let roster = roster(&["a", "b"]);
        break_down(&roster, "a");
        roster.changes().await;
        if drains {
            roster.enter("b", Membership { draining: true, ..member(1) });
        } else {
            roster.remove("b");
        }
        assert_eq!(roster.changes().await, BTreeSet::from(["a".to_owned()]));
        assert_eq!(roster.stance("a"), Stance::In);
    }
}

#[tokio::test(start_paused = true)]
async fn another_life_of_a_backend_begins_well() {
    let roster = roster(&["a", "b"]);
    break_down(&roster, "a");
    roster.enter("a", member(1));
    assert_eq!(roster.stance("a"), Stance::Ejected);
    roster.enter("a", Membership { epoch: "2".to_owned(), ..member(1) });
    assert_eq!(roster.stance("a"), Stance::In);
}

#[test]
fn turns_follow_the_weights_and_are_spread() {
    let roster = Roster::default();
    for (id, weight) in [("a", 3), ("b", 1), ("c", 1)] {
        roster.enter(id, member(weight));
    }
    let turns: String = (0..10).filter_map(|_| roster.next_turn("m")).collect();
    assert_eq!(turns, "abacaabaca");
    assert_eq!(roster.next_turn("nobody"), None);
}

#[test]
fn a_load_is_what_this_router_runs_there() {
    let roster = roster(&["a"]);
    let on = roster.occupy("a").unwrap();
    assert_eq!(roster.candidates("m")[0].load, 0.25);
    drop(on);
    assert_eq!(roster.candidates("m")[0].load, 0.0);
    assert!(roster.occupy("unknown").is_none());
}

fn verdict(seconds: u64) -> standing::Verdict {
    standing::Verdict { until: Instant::now() + Duration::from_secs(seconds), times: 1 }
}

fn say(verdicts: &[(&str, u64)]) -> std::collections::BTreeMap<String, standing::Verdict> {
    verdicts.iter().map(|(id, seconds)| ((*id).to_owned(), verdict(*seconds))).collect()
}

#[tokio::test(start_paused = true)]
async fn a_verdict_of_another_router_counts_here_and_ends_with_it() {
    let (one, two) = (roster(&["a", "b"]), roster(&["a", "b"]));
    break_down(&one, "a");
    let told = one.untold();
    let told: std::collections::BTreeMap<_, _> =
        told.into_iter().filter_map(|(id, verdict)| Some((id, verdict?))).collect();
    two.take_over(&told);
    assert_eq!((two.stance("a"), two.stance("b")), (Stance::Ejected, Stance::In));
    assert_eq!(two.changes().await, BTreeSet::from(["a".to_owned()]));
    tokio::time::advance(FIRST_PAUSE).await;
    assert_eq!(two.stance("a"), Stance::Trial);
    assert!(two.answered(&two.occupy("a").unwrap()));
    assert_eq!(two.untold(), [("a".to_owned(), None)].into());
    one.take_over(&say(&[]));
    assert_eq!(one.stance("a"), Stance::In);
}

#[tokio::test(start_paused = true)]
async fn routers_that_ejected_different_backends_agree_on_who_stays() {
    let (one, two) = (roster(&["a", "b"]), roster(&["a", "b"]));
    break_down(&one, "a");
    break_down(&two, "b");
    let both = say(&[("b", 5), ("a", 6)]);
    for roster in [&one, &two] {
        roster.untold();
        roster.take_over(&both);
        assert_eq!((roster.stance("a"), roster.stance("b")), (Stance::In, Stance::Ejected));
    }
}

#[tokio::test(start_paused = true)]
async fn a_router_that_the_backend_serves_contradicts() {
    let roster = roster(&["a", "b"]);
    roster.answered(&roster.occupy("a").unwrap());
    roster.take_over(&say(&[("a", 5)]));
    assert_eq!(roster.stance("a"), Stance::In);
    assert_eq!(roster.untold(), [("a".to_owned(), None)].into());
    tokio::time::advance(Duration::from_secs(2)).await;
    roster.take_over(&say(&[("a", 5)]));
    assert_eq!(roster.stance("a"), Stance::Ejected, "that was long ago");
}

#[tokio::test(start_paused = true)]
async fn what_is_not_told_yet_is_newer() {
    let roster = roster(&["a", "b"]);
    break_down(&roster, "a");
    roster.take_over(&say(&[]));
    assert_eq!(roster.stance("a"), Stance::Ejected);
    roster.untold();
    roster.take_over(&say(&[]));
    assert_eq!(roster.stance("a"), Stance::In);
}
