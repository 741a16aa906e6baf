//! L8: Redis goes away and comes back, with its memory or without; each router goes on alone with its share meanwhile.
//!
//! In real time, with a real Redis that is killed, stopped and started again.

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use tidegate_serve::workers::Workers;
use tokio::{
    task::JoinSet,
    time::{sleep, timeout},
};

use super::{
    bench::{POOL, backend, counts, generous, granted, options, queued, wait_granted},
    server::RedisServer,
};
use crate::ledger::{
    Admission, Ask, AttemptId, End, Grant, HandBack, Ledger, LedgerError, LedgerMode, LedgerOptions, Limits,
    OnLoss, Priority, RedisLedger, Ticket,
};

/// Time that Redis gets to answer here: a stopped one is found out, and a busy machine is not taken for one.
const PATIENCE: Duration = Duration::from_millis(400);

static ATTEMPTS: AtomicU32 = AtomicU32::new(0);

/// Routers at one Redis, each entering the backends again and again, as its watchers do.
struct Routers {
    ledgers: Vec<Ledger>,
    _watchers: JoinSet<()>,
}

impl Routers {
    /// Routers at backends with so many slots; every router knows of all the others when this returns.
    async fn start(
        server: &RedisServer,
        routers: usize,
        slots: &'static [u32],
        options: LedgerOptions,
    ) -> Routers {
        let (mut ledgers, mut watchers) = (Vec::new(), JoinSet::new());
        for index in 0..routers {
            let options = LedgerOptions { router_id: format!("router-{index}"), ..options.clone() };
            let connected =
                RedisLedger::connect(&server.url(), "away", PATIENCE, options, &Workers::here()).await;
            let ledger = Ledger::Redis(connected.unwrap());
            enter(&ledger, slots).await;
            watchers.spawn(watch(ledger.clone(), slots));
            ledgers.push(ledger);
        }
        // The roll is told at each renewal: one renewal after all are there, everybody knows.
        let all = Routers { ledgers, _watchers: watchers };
        until(|| async { all.ledgers[0].fleet().await.is_ok_and(|fleet| fleet.routers.len() == routers) })
            .await;
        sleep(Duration::from_millis(1500)).await;
        all
    }

    async fn until_mode(&self, mode: LedgerMode) {
        until(|| async { self.ledgers.iter().all(|ledger| ledger.mode() == mode) }).await;
    }
}

async fn enter(ledger: &Ledger, slots: &[u32]) {
    for (index, slots) in slots.iter().enumerate() {
        drop(ledger.put_backend(POOL, backend(&format!("b{index}"), *slots)).await);
    }
}

async fn watch(ledger: Ledger, slots: &'static [u32]) {
    loop {
        sleep(Duration::from_millis(300)).await;
        enter(&ledger, slots).await;
    }
}

async fn until<F: Future<Output = bool>>(holds: impl Fn() -> F) {
    let wait = async {
        while !holds().await {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(Duration::from_secs(20), wait).await.expect("it does not come to that");
}

/// A queue of five, of all priorities.
fn tight() -> LedgerOptions {
    LedgerOptions { limits: Limits { max_queue_size: 5, ..generous() }, ..options("") }
}

fn ask() -> Ask {
    let attempt = AttemptId::from(format!("a-{}", ATTEMPTS.fetch_add(1, Ordering::SeqCst)));
    let remaining = Duration::from_secs(60);
    Ask {
        attempt,
        priority: Priority::Normal,
        remaining,
        length: None,
        draw: 0.9999,
        jitter: 0.5,
        prefer: None,
        caller: None,
    }
}

/// Asks until a router refuses.
async fn fill(ledger: &Ledger) -> (Vec<Grant>, Vec<Ticket>) {
    let (mut grants, mut tickets) = (Vec::new(), Vec::new());
    loop {
        match ledger.admit(POOL, ask()).await.unwrap() {
            Admission::Granted(grant) => grants.push(grant),
            Admission::Queued(ticket) => tickets.push(ticket),
            Admission::Rejected(_) => return (grants, tickets),
        }
    }
}

async fn release(ledger: &Ledger, grant: &Grant) {
    ledger.release(POOL, &grant.attempt, End::Finished, None).await.unwrap();
}

#[tokio::test]
async fn alone_each_router_has_its_share_and_together_they_have_the_fleet() {
    let server = RedisServer::start().await;
    let port = server.port();
    let routers = Routers::start(&server, 2, &[4, 1], tight()).await;
    drop(server);
    let mut held = Vec::new();
    for ledger in &routers.ledgers {
        held.push(fill(ledger).await);
    }
    routers.until_mode(LedgerMode::Degraded).await;
    let sizes: Vec<_> = held.iter().map(|(grants, tickets)| (grants.len(), tickets.len())).collect();
    assert_eq!(sizes, [(3, 3), (2, 2)], "five slots and five places, divided");

    let _again = RedisServer::start_on(port).await.expect("the port is free again");
    routers.until_mode(LedgerMode::Redis).await;
    assert_eq!(counts(&routers.ledgers[0]).await, (5, 0, 5), "all that was held is on the new account");
    for (ledger, (grants, tickets)) in routers.ledgers.iter().zip(&mut held) {
        for grant in grants {
            release(ledger, grant).await;
        }
        for ticket in tickets {
            let grant = wait_granted(ticket).await;
            release(ledger, &grant).await;
        }
    }
    assert_eq!(counts(&routers.ledgers[1]).await, (0, 0, 0));
}

#[tokio::test]
async fn what_a_router_held_before_counts_and_nobody_is_evicted() {
    let server = RedisServer::start().await;
    let routers = Routers::start(&server, 2, &[4], tight()).await;
    let (one, two) = (&routers.ledgers[0], &routers.ledgers[1]);
    let mut held = Vec::new();
    for _ in 0..4 {
        held.push(granted(one, ask()).await);
    }
    drop(server);
    let mut waits = queued(one, ask()).await;
    granted(two, ask()).await;
    granted(two, ask()).await;
    let _waits_too = queued(two, ask()).await;
    // It stops at the larger of its share, which is 2, and what it held.
    for grant in &held[..2] {
        release(one, grant).await;
    }
    assert!(timeout(Duration::from_millis(300), &mut waits.grant).await.is_err());
    release(one, &held[2]).await;
    wait_granted(&mut waits).await;
}

#[tokio::test]
async fn a_backend_that_could_not_be_reached_stays_avoided_through_a_loss() {
    let server = RedisServer::start().await;
    let port = server.port();
    let routers = Routers::start(&server, 1, &[2, 1], tight()).await;
    let router = &routers.ledgers[0];
    let (first, second) = (granted(router, ask()).await, granted(router, ask()).await);
    assert_eq!((first.backend.as_str(), second.backend.as_str()), ("b0", "b1"));
    let next = AttemptId::from("again");
    let back = router.hand_back(POOL, &first.attempt, HandBack::Unreachable, next).await.unwrap();
    let Admission::Queued(mut ticket) = back else { panic!("{back:?}") };
    drop(server);
    routers.until_mode(LedgerMode::Degraded).await;
    let _again = RedisServer::start_on(port).await.expect("the port is free again");
    routers.until_mode(LedgerMode::Redis).await;
    assert_eq!(counts(router).await, (1, 0, 1), "b0 is free all the time");
    release(router, &second).await;
    let grant = wait_granted(&mut ticket).await;
    assert_eq!(grant.backend, "b1");
    release(router, &grant).await;
}

#[tokio::test]
async fn a_stopped_redis_goes_on_with_the_right_counts() {
    let server = RedisServer::start().await;
    let routers = Routers::start(&server, 2, &[2], tight()).await;
    let (one, two) = (&routers.ledgers[0], &routers.ledgers[1]);
    let (first, second) = (granted(one, ask()).await, granted(two, ask()).await);
    let mut ticket = queued(one, ask()).await;
    server.signal("STOP");
    release(one, &first).await;
    let follower = wait_granted(&mut ticket).await;
    release(two, &second).await;
    routers.until_mode(LedgerMode::Degraded).await;
    server.signal("CONT");
    routers.until_mode(LedgerMode::Redis).await;
    until(|| async { counts(two).await == (1, 0, 0) }).await;
    release(one, &follower).await;
    assert_eq!(counts(two).await, (0, 0, 0));
}

#[tokio::test]
async fn an_empty_redis_waits_one_lease_for_a_router_that_does_not_come_back() {
    let server = RedisServer::start().await;
    let port = server.port();
    let mut routers = Routers::start(&server, 2, &[2], tight()).await;
    drop(server);
    drop(routers.ledgers.pop());
    routers._watchers.abort_all();
    let running = granted(&routers.ledgers[0], ask()).await;
    let mut ticket = queued(&routers.ledgers[0], ask()).await;
    let _again = RedisServer::start_on(port).await.expect("the port is free again");
    sleep(Duration::from_secs(2)).await;
    assert_eq!(routers.ledgers[0].mode(), LedgerMode::Degraded, "the other router may come yet");
    assert_eq!(counts(&routers.ledgers[0]).await, (1, 0, 1), "and until then it keeps to its share");
    routers.until_mode(LedgerMode::Redis).await;
    enter(&routers.ledgers[0], &[2]).await;
    let follower = wait_granted(&mut ticket).await;
    assert_eq!(counts(&routers.ledgers[0]).await, (2, 0, 0));
    release(&routers.ledgers[0], &running).await;
    release(&routers.ledgers[0], &follower).await;
}

#[tokio::test]
async fn flushed_while_it_runs_it_gets_everything_back() {
    let server = RedisServer::start().await;
    let routers = Routers::start(&server, 2, &[2], tight()).await;
    let grant = granted(&routers.ledgers[0], ask()).await;
    let other = granted(&routers.ledgers[1], ask()).await;
    let () = redis::cmd("FLUSHALL").query_async(&mut server.connection().await).await.unwrap();
    until(|| async {
        routers.ledgers.iter().all(|ledger| ledger.mode() == LedgerMode::Redis)
            && routers.ledgers[0]
                .fleet()
                .await
                .is_ok_and(|fleet| fleet.pools.iter().any(|pool| pool.running == 2))
    })
    .await;
    release(&routers.ledgers[0], &grant).await;
    release(&routers.ledgers[1], &other).await;
    assert_eq!(counts(&routers.ledgers[0]).await, (0, 0, 0));
}

#[tokio::test]
async fn closed_admits_nothing_and_open_admits_everything() {
    for (on_loss, slots) in [(OnLoss::Closed, 0), (OnLoss::Open, 2)] {
        let server = RedisServer::start().await;
        let routers = Routers::start(&server, 2, &[2], LedgerOptions { on_loss, ..tight() }).await;
        drop(server);
        for ledger in &routers.ledgers {
            match ledger.admit(POOL, ask()).await {
                Err(LedgerError::Unavailable(_)) => assert_eq!(slots, 0),
                Ok(Admission::Granted(_)) => assert_eq!(fill(ledger).await.0.len() + 1, slots),
                other => panic!("{other:?}"),
            }
        }
    }
}

#[tokio::test]
async fn a_named_pool_waits_for_its_first_backend() {
    let server = RedisServer::start().await;
    let named = LedgerOptions { pools: vec![POOL.to_owned()], ..tight() };
    let routers = Routers::start(&server, 1, &[], named).await;
    let mut ticket = queued(&routers.ledgers[0], ask()).await;
    enter(&routers.ledgers[0], &[1]).await;
    wait_granted(&mut ticket).await;
}
