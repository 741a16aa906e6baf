//! What every ledger must do, seen from routers.

use std::time::Duration;

use super::bench::{
    Bench, POOL, backend, counts, forget, generous, granted, pool, put, queued, rejected, renew,
    wait_granted, waited,
};
pub(super) use super::curve::{rejections_are_as_frequent_as_the_curve_says, the_curve_rejects_by_the_draw};
use crate::ledger::{
    Admission, Ask, AttemptId, Backend, End, HandBack, LedgerError, Limits, Priority, Reason, Waited,
};

mod cold;

pub(super) use self::cold::*;

const SECOND: Duration = Duration::from_secs(1);

pub(super) async fn a_free_slot_is_granted_at_once_and_released(bench: &Bench) {
    let router = bench.router("r").await;
    put(&router, "b", 1).await;
    let grant = granted(&router, bench.ask("r")).await;
    assert_eq!((grant.backend.as_str(), grant.url.as_str()), ("b", "http://b"));
    assert_eq!(grant.numbers.map(|numbers| (numbers.slots, numbers.p)), Some((1.0, 0.0)));
    assert_eq!(counts(&router).await, (1, 0, 0));
    bench.pass(SECOND);
    router.release(POOL, &grant.attempt, End::Finished, None).await.unwrap();
    let view = router.view(POOL).await.unwrap().unwrap();
    assert_eq!((view.running, view.free, view.estimate.mean, view.estimate.p90), (0, true, 1.0, 1.0));
}

pub(super) async fn tickets_are_served_in_order_across_routers(bench: &Bench) {
    let (one, two) = (bench.router("one").await, bench.router("two").await);
    put(&one, "b", 1).await;
    let mut running = granted(&one, bench.ask("one")).await;
    let mut tickets = vec![
        (&two, queued(&two, bench.ask("two")).await),
        (&one, queued(&one, bench.ask("one")).await),
        (&two, queued(&two, bench.ask("two")).await),
    ];
    assert_eq!(tickets.iter().map(|(_, ticket)| ticket.position).collect::<Vec<_>>(), [1, 2, 3]);
    let mut holder = &one;
    while !tickets.is_empty() {
        holder.release(POOL, &running.attempt, End::Finished, None).await.unwrap();
        let (next, mut ticket) = tickets.remove(0);
        running = wait_granted(&mut ticket).await;
        holder = next;
        for (_, later) in &mut tickets {
            assert!(later.grant.try_recv().is_err(), "overtook");
        }
    }
    holder.release(POOL, &running.attempt, End::Finished, None).await.unwrap();
    assert_eq!(counts(&one).await, (0, 0, 0));
}

pub(super) async fn priorities_go_first_across_routers(bench: &Bench) {
    let (one, two) = (bench.router("one").await, bench.router("two").await);
    put(&one, "b", 1).await;
    let running = granted(&one, bench.ask("one")).await;
    let mut low = queued(&one, bench.ask_with("one", Priority::Low)).await;
    let mut normal = queued(&two, bench.ask_with("two", Priority::Normal)).await;
    let mut high = queued(&two, bench.ask_with("two", Priority::High)).await;
    assert_eq!((low.position, normal.position, high.position), (1, 1, 1));
    one.release(POOL, &running.attempt, End::Finished, None).await.unwrap();
    let first = wait_granted(&mut high).await;
    two.release(POOL, &first.attempt, End::Finished, None).await.unwrap();
    let second = wait_granted(&mut normal).await;
    two.release(POOL, &second.attempt, End::Finished, None).await.unwrap();
    wait_granted(&mut low).await;
}

pub(super) async fn the_queue_limit_holds_across_routers(bench: &Bench) {
    let (one, two) = (bench.router("one").await, bench.router("two").await);
    put(&one, "b", 1).await;
    granted(&one, bench.ask("one")).await;
    let mut tickets = Vec::new();
    for n in 0..5 {
        let (router, name) = if n % 2 == 0 { (&one, "one") } else { (&two, "two") };
        tickets.push(queued(router, bench.ask_with(name, Priority::High)).await);
    }
    for (router, name) in [(&one, "one"), (&two, "two")] {
        let refused = rejected(router, bench.ask_with(name, Priority::High)).await;
        assert_eq!(refused.reason, Reason::QueueFull);
        assert!(refused.retry_after >= SECOND / 2 && !refused.hopeless);
    }
    assert_eq!(counts(&two).await, (1, 0, 5));
}

pub(super) async fn late_work_is_refused_once_the_service_time_is_known(bench: &Bench) {
    let router = bench.router_with("r", Limits { wait_share: 0.25, ..generous() }).await;
    put(&router, "b", 1).await;
    let running = granted(&router, bench.ask("r")).await;
    bench.pass(4 * SECOND);
    put(&router, "b", 1).await;
    let short = || Ask { remaining: 3 * SECOND, ..bench.ask("r") };
    let mut ticket = queued(&router, short()).await;
    router.release(POOL, &running.attempt, End::Finished, None).await.unwrap();
    let running = wait_granted(&mut ticket).await;
    let refused = rejected(&router, short()).await;
    assert_eq!((refused.reason, refused.hopeless), (Reason::Deadline, true));
    let measured = refused.numbers.and_then(|numbers| numbers.measured).expect("one service time is known");
    assert_eq!((measured.mean, measured.p90, measured.budget), (4.0, 4.0, -1.0));
    router.release(POOL, &running.attempt, End::Failed, None).await.unwrap();
    granted(&router, short()).await;
}

pub(super) async fn a_ticket_is_dropped_at_its_deadline(bench: &Bench) {
    let router = bench.router("r").await;
    put(&router, "b", 1).await;
    let running = granted(&router, bench.ask("r")).await;
    let mut ticket = queued(&router, Ask { remaining: SECOND, ..bench.ask("r") }).await;
    bench.pass(SECOND);
    router.release(POOL, &running.attempt, End::Finished, None).await.unwrap();
    assert!(matches!(waited(&mut ticket).await, Waited::Dropped(Reason::Deadline)));
    let pool = pool(&router).await;
    assert_eq!((pool.running, pool.queued, pool.totals.timed_out), (0, 0, 1));
}

pub(super) async fn a_cancelled_ticket_frees_its_place_and_a_granted_one_its_slot(bench: &Bench) {
    let router = bench.router("r").await;
    put(&router, "b", 1).await;
    let running = granted(&router, bench.ask("r")).await;
    let gone = queued(&router, bench.ask("r")).await;
    let mut next = queued(&router, bench.ask("r")).await;
    router.cancel(POOL, &gone.attempt, End::ClientGone).await.unwrap();
    assert_eq!(counts(&router).await, (1, 0, 1));
    router.cancel(POOL, &running.attempt, End::ClientGone).await.unwrap();
    let grant = wait_granted(&mut next).await;
    router.cancel(POOL, &grant.attempt, End::ClientGone).await.unwrap();
    assert_eq!(counts(&router).await, (0, 0, 0));
    assert_eq!(pool(&router).await.totals.client_gone, 3);
}

pub(super) async fn abandoned_work_holds_its_slot_until_confirmed(bench: &Bench) {
    let router = bench.router("r").await;
    put(&router, "b", 1).await;
    let running = granted(&router, bench.ask("r")).await;
    let mut ticket = queued(&router, bench.ask("r")).await;
    router.abandon(POOL, &running.attempt, End::TimedOut, None).await.unwrap();
    assert_eq!(counts(&router).await, (0, 1, 1));
    router.confirm(POOL, &running.attempt).await.unwrap();
    wait_granted(&mut ticket).await;
    assert_eq!(counts(&router).await, (1, 0, 0));
}

pub(super) async fn a_report_confirms_what_the_backend_no_longer_holds(bench: &Bench) {
    let router = bench.router("r").await;
    put(&router, "b", 2).await;
    let (one, two) = (granted(&router, bench.ask("r")).await, granted(&router, bench.ask("r")).await);
    router.abandon(POOL, &one.attempt, End::ClientGone, None).await.unwrap();
    router.reconcile_backend(POOL, "b", &[one.attempt.clone(), two.attempt.clone()]).await.unwrap();
    assert_eq!(counts(&router).await, (1, 1, 0));
    router.reconcile_backend(POOL, "b", &[]).await.unwrap();
    assert_eq!(counts(&router).await, (1, 0, 0), "what runs is its router's to end");
}

pub(super) async fn a_full_backend_is_left_and_the_ticket_keeps_its_place(bench: &Bench) {
    let (one, two) = (bench.router("one").await, bench.router("two").await);
    put(&one, "b", 1).await;
    let grant = granted(&one, bench.ask("one")).await;
    let _later = queued(&two, bench.ask("two")).await;
    let next = AttemptId::from("one-again");
    let back = one.hand_back(POOL, &grant.attempt, HandBack::Concurrency, next.clone()).await.unwrap();
    let Admission::Queued(mut ticket) = back else { panic!("{back:?}") };
    assert_eq!((ticket.position, counts(&one).await), (1, (0, 1, 2)));
    one.reconcile_backend(POOL, "b", &[]).await.unwrap();
    assert_eq!(wait_granted(&mut ticket).await.attempt, next);
    assert_eq!(counts(&one).await, (1, 0, 1));
}

pub(super) async fn an_unreachable_backend_is_avoided(bench: &Bench) {
    let router = bench.router("r").await;
    put(&router, "b1", 2).await;
    put(&router, "b2", 1).await;
    let grant = granted(&router, bench.ask("r")).await;
    assert_eq!(grant.backend, "b1");
    let back = router.hand_back(POOL, &grant.attempt, HandBack::Unreachable, "r-again".into()).await.unwrap();
    let Admission::Granted(grant) = back else { panic!("{back:?}") };
    assert_eq!(grant.backend, "b2");
    let back = router.hand_back(POOL, &grant.attempt, HandBack::Unreachable, "r-third".into()).await.unwrap();
    assert!(matches!(&back, Admission::Rejected(refused) if refused.reason == Reason::NoBackend), "{back:?}");
    assert_eq!(counts(&router).await, (0, 0, 0));
}

pub(super) async fn nothing_comes_back_that_is_not_held(bench: &Bench) {
    let router = bench.router("r").await;
    put(&router, "b", 1).await;
    let back = router.hand_back(POOL, &"r-77".into(), HandBack::Unreachable, "r-78".into()).await;
    assert_eq!(back.err(), Some(LedgerError::NotHeld("r-77".into())));
}

pub(super) async fn a_dead_router_is_reaped(bench: &Bench) {
    let (dead, alive) = (bench.router("dead").await, bench.router("alive").await);
    put(&dead, "b", 1).await;
    granted(&dead, bench.ask("dead")).await;
    let _lost = queued(&dead, bench.ask("dead")).await;
    let mut ticket = queued(&alive, bench.ask("alive")).await;
    for _ in 0..4 {
        bench.pass(SECOND);
        renew(&alive).await;
        put(&alive, "b", 1).await;
    }
    assert!(ticket.grant.try_recv().is_err(), "not before its lease is over");
    bench.pass(SECOND);
    renew(&alive).await;
    wait_granted(&mut ticket).await;
    let fleet = alive.fleet().await.unwrap();
    assert_eq!(fleet.routers.iter().map(|router| router.id.as_str()).collect::<Vec<_>>(), ["alive"]);
    assert_eq!(counts(&alive).await, (1, 0, 0));
}

pub(super) async fn what_its_router_forgot_is_freed(bench: &Bench) {
    let router = bench.router("r").await;
    put(&router, "b", 1).await;
    let lost = granted(&router, bench.ask("r")).await;
    let mut ticket = queued(&router, bench.ask("r")).await;
    forget(&router, &lost.attempt);
    renew(&router).await;
    assert_eq!(counts(&router).await, (1, 0, 1));
    renew(&router).await;
    wait_granted(&mut ticket).await;
}

pub(super) async fn a_ticket_nobody_waits_for_is_freed(bench: &Bench) {
    let router = bench.router("r").await;
    put(&router, "b", 1).await;
    let running = granted(&router, bench.ask("r")).await;
    drop(queued(&router, bench.ask("r")).await);
    renew(&router).await;
    renew(&router).await;
    assert_eq!(counts(&router).await, (1, 0, 0));
    drop(queued(&router, bench.ask("r")).await);
    router.release(POOL, &running.attempt, End::Finished, None).await.unwrap();
    // The push of the grant finds nobody, before or after the first renewal.
    for _ in 0..100 {
        renew(&router).await;
        if counts(&router).await == (0, 0, 0) {
            return;
        }
    }
    panic!("leaked: {:?}", counts(&router).await);
}

pub(super) async fn a_new_life_of_a_backend_frees_what_the_old_one_ran(bench: &Bench) {
    let router = bench.router("r").await;
    put(&router, "b", 1).await;
    let lost = granted(&router, bench.ask("r")).await;
    let mut ticket = queued(&router, bench.ask("r")).await;
    let again = Backend { epoch: "2".to_owned(), ..backend("b", 1) };
    router.put_backend(POOL, again).await.unwrap();
    let grant = wait_granted(&mut ticket).await;
    router.release(POOL, &lost.attempt, End::Failed, None).await.unwrap();
    assert_eq!(counts(&router).await, (1, 0, 0), "the old life's end frees nothing of the new one's");
    router.release(POOL, &grant.attempt, End::Finished, None).await.unwrap();
    assert_eq!(counts(&router).await, (0, 0, 0));
}

pub(super) async fn a_former_life_of_a_backend_comes_too_late(bench: &Bench) {
    let router = bench.router("r").await;
    let present = Backend { epoch: "2".to_owned(), ..backend("b", 1) };
    router.put_backend(POOL, present.clone()).await.unwrap();
    let grant = granted(&router, bench.ask("r")).await;
    put(&router, "b", 3).await;
    let nameless = Backend { epoch: String::new(), ..backend("b", 3) };
    router.put_backend(POOL, nameless).await.unwrap();
    let after = pool(&router).await;
    assert_eq!((after.running, after.slots, after.backends[0].epoch.as_str()), (1, 1, "2"));
    bench.pass(4 * SECOND);
    renew(&router).await;
    bench.pass(SECOND);
    put(&router, "b", 3).await;
    let after = pool(&router).await;
    assert_eq!((after.running, after.slots), (0, 3), "the one that renewed no more has ended");
    router.release(POOL, &grant.attempt, End::Failed, None).await.unwrap();
}

pub(super) async fn a_reset_returns_what_is_never_confirmed(bench: &Bench) {
    let router = bench.router("r").await;
    put(&router, "b", 1).await;
    let silent = granted(&router, bench.ask("r")).await;
    router.abandon(POOL, &silent.attempt, End::TimedOut, None).await.unwrap();
    for _ in 0..299 {
        bench.pass(SECOND);
        put(&router, "b", 1).await;
        renew(&router).await;
    }
    let before = pool(&router).await;
    assert_eq!((before.abandoned, before.until_reset), (1, SECOND));
    bench.pass(SECOND);
    renew(&router).await;
    let after = pool(&router).await;
    assert_eq!((after.abandoned, after.until_reset), (0, 300 * SECOND));
    put(&router, "b", 1).await;
    granted(&router, bench.ask("r")).await;
}

pub(super) async fn pools_do_not_share(bench: &Bench) {
    let router = bench.router("r").await;
    put(&router, "b", 1).await;
    router.put_backend("another", backend("b", 1)).await.unwrap();
    granted(&router, bench.ask("r")).await;
    let other = router.admit("another", bench.ask("r")).await.unwrap();
    assert!(matches!(other, Admission::Granted(_)), "{other:?}");
    let names: Vec<_> = router.fleet().await.unwrap().pools.into_iter().map(|pool| pool.model).collect();
    assert_eq!(names, ["another", POOL]);
}

pub(super) async fn every_call_may_come_twice(bench: &Bench) {
    let router = bench.router("r").await;
    put(&router, "b", 1).await;
    let running = granted(&router, bench.ask("r")).await;
    for _ in 0..2 {
        router.abandon(POOL, &running.attempt, End::TimedOut, None).await.unwrap();
        assert_eq!(counts(&router).await, (0, 1, 0));
    }
    for _ in 0..2 {
        router.confirm(POOL, &running.attempt).await.unwrap();
        router.release(POOL, &running.attempt, End::Finished, None).await.unwrap();
        router.cancel(POOL, &running.attempt, End::ClientGone).await.unwrap();
        assert_eq!(counts(&router).await, (0, 0, 0));
    }
    let totals = pool(&router).await.totals;
    assert_eq!((totals.timed_out, totals.finished, totals.client_gone), (1, 0, 0));
}

pub(super) async fn the_fleet_shows_the_account(bench: &Bench) {
    let router = bench.router("r").await;
    put(&router, "b1", 1).await;
    put(&router, "b2", 1).await;
    renew(&router).await;
    let grant = granted(&router, bench.ask("r")).await;
    granted(&router, bench.ask("r")).await;
    let ticket = queued(&router, bench.ask_with("r", Priority::Low)).await;
    router.abandon(POOL, &grant.attempt, End::TimedOut, None).await.unwrap();
    bench.pass(SECOND / 4);
    let fleet = router.fleet().await.unwrap();
    let pool = &fleet.pools[0];
    assert_eq!((pool.slots, pool.running, pool.abandoned, pool.queued), (2, 1, 1, 1));
    assert_eq!((pool.max_queue_size, pool.capacity, pool.oldest_wait_ms), (5, 7, 250));
    let backends: Vec<_> = pool.backends.iter().map(|b| (b.id.as_str(), b.running, b.abandoned)).collect();
    assert_eq!(backends, [("b1", 0, 1), ("b2", 1, 0)]);
    let waiting = &pool.tickets[0];
    assert_eq!((waiting.id.as_str(), waiting.router.as_str()), (ticket.attempt.as_str(), "r"));
    assert_eq!((waiting.priority, waiting.age_ms), (Priority::Low, 250));
    assert_eq!((pool.totals.admitted, pool.totals.timed_out, pool.totals.rejections()), (3, 1, 0));
    assert_eq!((fleet.routers[0].id.as_str(), fleet.routers[0].age_ms), ("r", 250));
    assert!(fleet.routers[0].flags.contains("max_queue_size=5"), "{}", fleet.routers[0].flags);
}

/// Two routers under load from many tasks: the limits hold in every instant that anybody sees.
pub(super) async fn many_at_once_never_pass_the_limits(bench: &Bench) {
    let routers = [bench.router("one").await, bench.router("two").await];
    put(&routers[0], "b1", 2).await;
    put(&routers[0], "b2", 1).await;
    let lives = (0..120).map(|n| {
        let router = &routers[n % 2];
        async move {
            let outcome = match router.admit(POOL, bench.ask(["one", "two"][n % 2])).await.unwrap() {
                Admission::Granted(grant) => Some(grant),
                Admission::Queued(mut ticket) => Some(wait_granted(&mut ticket).await),
                Admission::Rejected(_) => None,
            };
            let view = router.view(POOL).await.unwrap().expect("the pool is known");
            assert!(view.running <= 3 && view.queued_total() <= 5, "{view:?}");
            if let Some(grant) = &outcome {
                router.release(POOL, &grant.attempt, End::Finished, None).await.unwrap();
            }
            outcome.is_some()
        }
    });
    let served = futures_util::future::join_all(lives).await.into_iter().filter(|served| *served).count();
    assert!(served >= 8, "three slots and five tickets serve at least eight, not {served}");
    assert_eq!(counts(&routers[0]).await, (0, 0, 0));
    let totals = pool(&routers[1]).await.totals;
    assert_eq!((totals.attempts(), totals.finished), (120, served as u64));
}
