//! The slots' promises: never more than there are, abandoned work counts until it stops, a reset frees nothing in use.

use super::*;

fn take(slots: &Slots, attempt: &str) -> (Arc<Slot>, Waiter) {
    slots.take(attempt.to_owned()).expect("a slot is free")
}

fn counts(running: u32, abandoned: u32) -> Counts {
    Counts { running, abandoned }
}

#[tokio::test]
async fn a_slot_is_free_again_when_both_sides_let_go() {
    let slots = Slots::new(1);
    let (slot, waiter) = take(&slots, "a");
    let engine = Arc::clone(&slot);
    assert!(slots.take("b".to_owned()).is_none(), "there is only one");
    waiter.served();
    drop(slot);
    assert_eq!(slots.counts(), counts(1, 0));
    drop(engine);
    assert_eq!(slots.counts(), counts(0, 0));
    take(&slots, "b");
}

#[tokio::test]
async fn given_up_work_counts_as_abandoned_until_the_engine_lets_go() {
    let slots = Slots::new(2);
    let (slot, waiter) = take(&slots, "a");
    let (_other, _other_waiter) = take(&slots, "b");
    drop(waiter);
    assert_eq!(slots.counts(), counts(1, 1));
    let expected = Attempts { running: vec!["b".to_owned()], abandoned: vec!["a".to_owned()] };
    assert_eq!(slots.attempts(), expected);
    assert!(slots.take("c".to_owned()).is_none(), "abandoned work holds its slot");
    drop(slot);
    assert_eq!(slots.counts(), counts(1, 0));
}

#[tokio::test]
async fn a_waiter_that_leaves_after_the_slot_changes_nothing() {
    let slots = Slots::new(1);
    let (slot, waiter) = take(&slots, "a");
    drop(slot);
    let (_slot, _waiter) = take(&slots, "b");
    drop(waiter);
    assert_eq!(slots.counts(), counts(1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_reset_frees_only_what_is_proven_to_have_stopped() {
    let slots = Slots::new(3);
    let (leaked, waiter) = take(&slots, "leaked");
    let (_used, _used_waiter) = take(&slots, "used");
    drop(waiter);
    assert_eq!(slots.reset(true), 0, "too fresh: it may be on its way into the engine");
    tokio::time::advance(PROOF_AGE).await;
    assert_eq!(slots.reset(false), 0, "a busy engine proves nothing");
    assert_eq!(slots.counts(), counts(1, 1));
    assert_eq!(slots.reset(true), 1);
    assert_eq!(slots.counts(), counts(1, 0), "what is in use stays");
    drop(leaked);
    assert_eq!(slots.counts(), counts(1, 0), "a late guard frees nothing a second time");
}

#[tokio::test]
async fn emptied_waits_for_the_last_slot() {
    let slots = Slots::new(2);
    slots.emptied().await;
    let (first, _first_waiter) = take(&slots, "a");
    let (second, _second_waiter) = take(&slots, "b");
    let waiting = tokio::spawn({
        let slots = slots.clone();
        async move { slots.emptied().await }
    });
    drop(first);
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished());
    drop(second);
    waiting.await.expect("it ends");
}
