//! A real Redis Cluster of three nodes: pools lie on different nodes, and one node's loss is that of its pools only.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use redis::{aio::MultiplexedConnection, cmd};
use tidegate_serve::workers::Workers;
use tokio::time::{sleep, timeout};

use super::{
    bench::{backend, options},
    server::RedisServer,
};
use crate::ledger::{
    Admission, Ask, AttemptId, End, Ledger, LedgerMode, Priority, RedisLedger, Ticket, Waited,
    holding::Holdings,
    redis::link::{Link, Terms},
};

/// Slots of a Redis Cluster.
const SLOTS: u32 = 16_384;

struct Cluster {
    nodes: Vec<RedisServer>,
}

impl Cluster {
    /// Three nodes with a third of the slots each.
    async fn start() -> Cluster {
        let mut nodes = Vec::new();
        for _ in 0..3 {
            nodes.push(RedisServer::start_node().await);
        }
        let cluster = Cluster { nodes };
        for (index, node) in (0..).zip(&cluster.nodes) {
            let mut connection = node.connection().await;
            let (first, last) = (SLOTS * index / 3, SLOTS * (index + 1) / 3 - 1);
            let () = tell(&mut connection, &["ADDSLOTSRANGE", &first.to_string(), &last.to_string()]).await;
            let (port, bus) = (cluster.nodes[0].port().to_string(), cluster.nodes[0].bus_port().to_string());
            if index > 0 {
                let () = tell(&mut connection, &["MEET", "127.0.0.1", &port, &bus]).await;
            }
        }
        timeout(Duration::from_secs(30), cluster.agrees()).await.expect("the nodes agree");
        cluster
    }

    /// Waits until every node knows who has which slots.
    async fn agrees(&self) {
        for node in &self.nodes {
            let mut connection = node.connection().await;
            loop {
                let info: String = tell(&mut connection, &["INFO"]).await;
                if info.contains("cluster_state:ok") && info.contains("cluster_known_nodes:3") {
                    break;
                }
                sleep(Duration::from_millis(20)).await;
            }
        }
    }

    /// The node that has a pool's account.
    async fn node_of(&self, pool: &str) -> usize {
        for (index, node) in self.nodes.iter().enumerate() {
            let keys: Vec<String> =
                cmd("KEYS").arg("*:pool").query_async(&mut node.connection().await).await.unwrap();
            if keys.iter().any(|key| *key == crate::ledger::redis::pool_key("cluster", pool)) {
                return index;
            }
        }
        panic!("no node has {pool}")
    }
}

async fn tell<T: redis::FromRedisValue>(connection: &mut MultiplexedConnection, words: &[&str]) -> T {
    cmd("CLUSTER").arg(words).query_async(connection).await.unwrap()
}

async fn router(cluster: &Cluster, id: &str) -> Ledger {
    let holdings = Arc::new(Holdings::default());
    let terms = Terms { patience: Duration::from_secs(20), ..Terms::default() };
    let url = cluster.nodes[0].url();
    let link = Link::open(&url, "cluster", id, Arc::clone(&holdings), terms, &Workers::here()).await.unwrap();
    Ledger::Redis(RedisLedger::at(link, holdings, options(id)))
}

fn ask(attempt: &str) -> Ask {
    let (attempt, remaining) = (AttemptId::from(attempt), Duration::from_secs(60));
    Ask {
        attempt,
        priority: Priority::Normal,
        remaining,
        length: None,
        draw: 0.999,
        jitter: 0.5,
        prefer: None,
        caller: None,
    }
}

async fn waits(ledger: &Ledger, pool: &str, attempt: &str) -> Ticket {
    match ledger.admit(pool, ask(attempt)).await.unwrap() {
        Admission::Queued(ticket) => ticket,
        other => panic!("{attempt} should wait: {other:?}"),
    }
}

#[tokio::test]
async fn pools_on_different_nodes_are_kept_side_by_side() {
    let cluster = Cluster::start().await;
    let (one, two) = (router(&cluster, "one").await, router(&cluster, "two").await);
    let pools: Vec<String> = (0..8).map(|index| format!("model {index}")).collect();
    let mut nodes = BTreeSet::new();
    for pool in &pools {
        one.put_backend(pool, backend("b", 1)).await.unwrap();
        nodes.insert(cluster.node_of(pool).await);
    }
    assert!(nodes.len() > 1, "eight pools lie on more than one node");
    for pool in &pools {
        let first = format!("{pool}-1");
        assert!(matches!(one.admit(pool, ask(&first)).await.unwrap(), Admission::Granted(_)));
        let ticket = waits(&two, pool, &format!("{pool}-2")).await;
        one.release(pool, &AttemptId::from(first), End::Finished, None).await.unwrap();
        let pushed = timeout(Duration::from_secs(20), ticket.grant).await.expect("a push").unwrap();
        assert!(matches!(pushed, Waited::Granted(_)), "{pushed:?}");
    }
    let fleet = two.fleet().await.unwrap();
    assert_eq!(fleet.pools.iter().map(|pool| pool.running).sum::<u32>(), 8);
}

#[tokio::test]
async fn the_loss_of_a_node_is_that_of_its_pools_only() {
    let mut cluster = Cluster::start().await;
    let (url, patience) = (cluster.nodes[0].url(), Duration::from_secs(1));
    let workers = Workers::here();
    let connected = RedisLedger::connect(&url, "cluster", patience, options("one"), &workers);
    let ledger = Ledger::Redis(connected.await.unwrap());
    let pools: Vec<String> = (0..8).map(|index| format!("model {index}")).collect();
    let mut nodes = Vec::new();
    for pool in &pools {
        ledger.put_backend(pool, backend("b", 2)).await.unwrap();
        nodes.push(cluster.node_of(pool).await);
    }
    // One renewal, and the router knows that it is alone.
    sleep(Duration::from_millis(1500)).await;
    let lost = nodes.iter().position(|node| *node != 0).expect("a pool on another node than the first");
    let kept = nodes.iter().position(|node| *node != nodes[lost]).expect("a pool on another node");
    drop(cluster.nodes.remove(nodes[lost]));
    for pool in [&pools[lost], &pools[kept]] {
        let admitted = timeout(Duration::from_secs(20), ledger.admit(pool, ask(&format!("{pool}-1")))).await;
        assert!(matches!(admitted.unwrap().unwrap(), Admission::Granted(_)), "{pool}");
    }
    assert_eq!(ledger.mode(), LedgerMode::Degraded);
}
