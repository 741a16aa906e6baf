//! The timers, in real or paused time: nobody but them renews, reaps and drops here.

use std::time::Duration;

use tidegate_serve::workers::Workers;
use tokio::time::{Instant, sleep, timeout};

use super::{
    bench::{POOL, backend, counts, granted, options, queued, wait_granted, waited},
    server::RedisServer,
};
use crate::ledger::{Ask, AttemptId, Ledger, MemoryLedger, Priority, Reason, RedisLedger, Waited};

fn ask(attempt: &str, remaining: Duration) -> Ask {
    Ask {
        attempt: AttemptId::from(attempt),
        priority: Priority::Normal,
        remaining,
        length: None,
        draw: 0.999,
        jitter: 0.5,
        prefer: None,
        caller: None,
    }
}

const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test(start_paused = true)]
async fn memory_drops_a_ticket_at_its_deadline_by_itself() {
    let ledger = Ledger::Memory(MemoryLedger::new(options("r")));
    ledger.put_backend(POOL, backend("b", 1)).await.unwrap();
    granted(&ledger, ask("r-1", MINUTE)).await;
    let begun = Instant::now();
    let mut ticket = queued(&ledger, ask("r-2", Duration::from_millis(700))).await;
    assert!(matches!(waited(&mut ticket).await, Waited::Dropped(Reason::Deadline)));
    let took = begun.elapsed();
    assert!(took >= Duration::from_millis(700) && took < Duration::from_millis(710), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn memory_renews_its_own_lease() {
    let ledger = Ledger::Memory(MemoryLedger::new(options("r")));
    ledger.put_backend(POOL, backend("b", 1)).await.unwrap();
    granted(&ledger, ask("r-1", MINUTE)).await;
    sleep(Duration::from_secs(30)).await;
    assert_eq!(counts(&ledger).await, (1, 0, 0));
    assert_eq!(ledger.fleet().await.unwrap().routers.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn memory_reaps_a_dead_router_by_itself() {
    let alive = MemoryLedger::new(options("alive"));
    let dead = Ledger::Memory(MemoryLedger::on(alive.desk.account.clone(), options("dead")));
    let alive = Ledger::Memory(alive);
    alive.put_backend(POOL, backend("b", 1)).await.unwrap();
    granted(&dead, ask("dead-1", MINUTE)).await;
    drop(dead);
    let mut ticket = queued(&alive, ask("alive-1", MINUTE)).await;
    for _ in 0..6 {
        sleep(Duration::from_secs(1)).await;
        alive.put_backend(POOL, backend("b", 1)).await.unwrap();
    }
    wait_granted(&mut ticket).await;
}

async fn router(server: &RedisServer, id: &str) -> Ledger {
    let patience = Duration::from_secs(2);
    let here = Workers::here();
    let connected = RedisLedger::connect(&server.url(), "live", patience, options(id), &here).await;
    Ledger::Redis(connected.unwrap())
}

#[tokio::test]
async fn redis_reaps_a_dead_router_within_ten_seconds() {
    let server = RedisServer::start().await;
    let (dead, alive) = (router(&server, "dead").await, router(&server, "alive").await);
    alive.put_backend(POOL, backend("b", 1)).await.unwrap();
    granted(&dead, ask("dead-1", MINUTE)).await;
    let mut ticket = queued(&alive, ask("alive-1", MINUTE)).await;
    drop(dead);
    let renewals = async {
        loop {
            sleep(Duration::from_secs(1)).await;
            // A machine that is busy for 100 ms costs one renewal, not the test.
            drop(alive.put_backend(POOL, backend("b", 1)).await);
        }
    };
    let reaped = async {
        tokio::select! {
            grant = wait_granted(&mut ticket) => grant,
            () = renewals => unreachable!("renewals do not end"),
        }
    };
    let grant = timeout(Duration::from_secs(10), reaped).await.expect("reaped within ten seconds");
    assert_eq!(grant.attempt.as_str(), "alive-1");
}
