//! Pools without a backend, and backends that a request would rather have.

use super::super::bench::{Bench, POOL, generous, granted, put, queued, rejected, renew, wait_granted};
use super::SECOND;
use crate::ledger::{Ask, Limits, Reason};

pub(in crate::ledger::suite) async fn a_cold_pool_holds_its_requests(bench: &Bench) {
    let router = bench.router("r").await;
    put(&router, "b", 1).await;
    router.remove_backend(POOL, "b").await.unwrap();
    let mut ticket = queued(&router, bench.ask("r")).await;
    put(&router, "b", 1).await;
    assert_eq!(wait_granted(&mut ticket).await.attempt, ticket.attempt);
}

pub(in crate::ledger::suite) async fn a_preferred_backend_is_chosen(bench: &Bench) {
    let router = bench.router("r").await;
    put(&router, "a", 1).await;
    put(&router, "b", 1).await;
    for expected in ["b", "a"] {
        let ask = Ask { prefer: Some("b".to_owned()), ..bench.ask("r") };
        assert_eq!(granted(&router, ask).await.backend, expected);
    }
}

pub(in crate::ledger::suite) async fn unknown_and_forgotten_pools_refuse(bench: &Bench) {
    let router = bench.router_with("r", Limits { pool_memory: 0, ..generous() }).await;
    assert_eq!(rejected(&router, bench.ask("r")).await.reason, Reason::UnknownPool);
    assert_eq!(router.view(POOL).await.unwrap(), None);
    put(&router, "b", 1).await;
    router.remove_backend(POOL, "b").await.unwrap();
    assert_eq!(rejected(&router, bench.ask("r")).await.reason, Reason::NoBackend);
    assert!(router.view(POOL).await.unwrap().is_some());
    bench.pass(60 * SECOND);
    renew(&router).await;
    renew(&router).await;
    assert!(router.fleet().await.unwrap().pools.is_empty(), "forgotten after a minute");
}
