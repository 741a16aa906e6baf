//! What may happen to a Redis and to what it says, as far as one router alone can set it right.

use std::{sync::Arc, time::Duration};

use redis::cmd;
use tidegate_serve::workers::Workers;
use tokio::time::{Instant, sleep, timeout};

use super::{
    bench::{Bench, POOL, backend, counts, granted, options, put, queued, renew, wait_granted},
    server::RedisServer,
};
use crate::ledger::{
    End, Ledger, LedgerError, RedisLedger,
    holding::Holdings,
    redis::link::{Link, Terms},
};

/// Time that Redis gets to answer.
const PATIENCE: Duration = Duration::from_millis(400);

fn patient() -> Terms {
    Terms { patience: Duration::from_secs(20), ..Terms::default() }
}

async fn router(server: &RedisServer, id: &str) -> Ledger {
    deaf_to(server, id, id).await
}

/// A router that listens on the channel of `ears`.
async fn deaf_to(server: &RedisServer, id: &str, ears: &str) -> Ledger {
    let holdings = Arc::new(Holdings::default());
    let link = Link::open(&server.url(), "faults", ears, Arc::clone(&holdings), patient(), &Workers::here())
        .await
        .unwrap();
    Ledger::Redis(RedisLedger::at(link, holdings, options(id)))
}

#[tokio::test]
async fn scripts_that_redis_lost_are_loaded_again() {
    let bench = Bench::memory();
    let server = RedisServer::start().await;
    let ledger = router(&server, "r").await;
    put(&ledger, "b", 1).await;
    let () = cmd("SCRIPT").arg("FLUSH").query_async(&mut server.connection().await).await.unwrap();
    let grant = granted(&ledger, bench.ask("r")).await;
    ledger.release(POOL, &grant.attempt, End::Finished, None).await.unwrap();
    assert_eq!(counts(&ledger).await, (0, 0, 0));
}

#[tokio::test]
async fn a_grant_whose_push_got_lost_is_found_at_the_next_renewal() {
    let bench = Bench::memory();
    let server = RedisServer::start().await;
    let (one, two) = (router(&server, "one").await, deaf_to(&server, "two", "nobody").await);
    put(&one, "b", 1).await;
    let running = granted(&one, bench.ask("one")).await;
    let mut ticket = queued(&two, bench.ask("two")).await;
    one.release(POOL, &running.attempt, End::Finished, None).await.unwrap();
    assert!(timeout(Duration::from_millis(50), &mut ticket.grant).await.is_err(), "no push, no grant yet");
    renew(&two).await;
    wait_granted(&mut ticket).await;
}

#[tokio::test]
async fn a_cut_connection_comes_back_and_hears_its_pushes_again() {
    let bench = Bench::memory();
    let server = RedisServer::start().await;
    let (one, two) = (router(&server, "one").await, router(&server, "two").await);
    put(&one, "b", 1).await;
    let running = granted(&one, bench.ask("one")).await;
    let mut ticket = queued(&two, bench.ask("two")).await;
    let mut behind = server.connection().await;
    let kill = || cmd("CLIENT").arg("KILL").arg("TYPE").arg("pubsub").to_owned();
    let killed: i64 = kill().query_async(&mut behind).await.unwrap();
    assert_eq!(killed, 2, "both routers' connections");
    subscribed_again(&mut behind).await;
    one.release(POOL, &running.attempt, End::Finished, None).await.unwrap();
    wait_granted(&mut ticket).await;
}

/// Waits until both routers listen again.
async fn subscribed_again(behind: &mut redis::aio::MultiplexedConnection) {
    let listening = async {
        loop {
            let channels: Vec<String> = cmd("PUBSUB").arg("CHANNELS").query_async(behind).await.unwrap();
            if channels.len() == 2 {
                return;
            }
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(Duration::from_secs(20), listening).await.expect("both routers listen again");
}

#[tokio::test]
async fn a_redis_out_of_reach_is_said_at_once_and_its_return_is_noticed() {
    let bench = Bench::memory();
    let server = RedisServer::start().await;
    let port = server.port();
    let ledger = Ledger::Redis(
        RedisLedger::connect(&server.url(), "gone", PATIENCE, options("r"), &Workers::here()).await.unwrap(),
    );
    ledger.put_backend(POOL, backend("b", 1)).await.unwrap();
    drop(server);
    let begun = Instant::now();
    let answer = ledger.admit("never heard of", bench.ask("r")).await;
    assert!(matches!(answer, Err(LedgerError::Unavailable(_))), "{answer:?}");
    assert!(begun.elapsed() < Duration::from_secs(1), "took {:?}", begun.elapsed());
    let _again = RedisServer::start_on(port).await.expect("the port is free again");
    let back = async {
        while ledger.put_backend("another", backend("b", 1)).await.is_err() {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(Duration::from_secs(20), back).await.expect("back within reach");
}

#[tokio::test]
async fn an_address_that_is_none_is_refused() {
    let refused = RedisLedger::connect("http://127.0.0.1", "p", PATIENCE, options("r"), &Workers::here())
        .await
        .map(drop);
    assert!(matches!(refused, Err(LedgerError::Address(_))), "{refused:?}");
    let nobody = RedisLedger::connect("redis://127.0.0.1:1", "p", PATIENCE, options("r"), &Workers::here())
        .await
        .map(drop);
    assert!(matches!(nobody, Err(LedgerError::Unavailable(_))), "{nobody:?}");
}
