//! A fleet of real processes: routers, nodes and one Redis, or routers each by itself in front of the same nodes.

use crate::member::{Member, Redis};
use serde_json::Value;
use std::path::PathBuf;
use tidegate_tests::client::Client;
use tidegate_tests::wait;

/// What a fleet is made of.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Routers.
    pub routers: usize,
    /// Their flags, beside ports, Redis and backends.
    pub router_flags: Vec<String>,
    /// Nodes.
    pub nodes: usize,
    /// Their flags, beside port, Redis and diary.
    pub node_flags: Vec<String>,
    /// Whether the routers share an account in Redis, where the nodes register; else each has its own, and the nodes listed.
    pub redis: bool,
    /// Folder for the nodes' diaries, `node-0`, `node-1` and so on.
    pub diaries: Option<PathBuf>,
}

/// A running fleet. It ends when it is dropped.
#[derive(Debug)]
pub struct Fleet {
    /// Where the account is kept.
    pub redis: Option<Redis>,
    /// The routers.
    pub routers: Vec<Member>,
    /// The nodes.
    pub nodes: Vec<Member>,
}

impl Fleet {
    /// Starts everything and waits until every router knows all nodes, and all routers one another.
    pub async fn start(plan: &Plan) -> Self {
        let redis = if plan.redis { Some(Redis::start().await) } else { None };
        let shared: Vec<String> =
            redis.iter().flat_map(|redis| ["--redis-url".to_owned(), redis.url()]).collect();
        let nodes: Vec<Member> = (0..plan.nodes)
            .map(|number| {
                let diary = plan.diaries.iter().flat_map(|folder| {
                    ["--diary".to_owned(), folder.join(format!("node-{number}")).display().to_string()]
                });
                Member::node(&plan.node_flags.iter().chain(&shared).cloned().chain(diary).collect::<Vec<_>>())
            })
            .collect();
        let backends = if plan.redis { Vec::new() } else { listed(&nodes) };
        let flags = [plan.router_flags.as_slice(), &shared, &backends].concat();
        let routers = (0..plan.routers).map(|_| Member::router(&flags)).collect();
        let mut fleet = Self { redis, routers, nodes };
        for member in fleet.nodes.iter_mut().chain(&mut fleet.routers) {
            member.start().await;
        }
        fleet.ready().await;
        fleet
    }

    /// Base URLs of all routers for clients.
    pub fn targets(&self) -> Vec<String> {
        self.routers.iter().map(|router| router.url.clone()).collect()
    }

    /// Waits until every router knows all nodes, and all routers one another. All must be up.
    pub async fn ready(&self) {
        let peers = if self.redis.is_some() { self.routers.len() } else { 1 };
        for admin in self.routers.iter().filter_map(|router| router.admin.as_deref()) {
            let client = Client::new(admin);
            wait::until("a router knows the fleet", || async {
                let fleet = client.get("/fleet").await.json();
                let backends = fleet["pools"][0]["backends"].as_array()?;
                let live = backends.iter().filter(|backend| backend["state"] == "live").count();
                (live == self.nodes.len() && fleet["routers"].as_array()?.len() == peers).then_some(())
            })
            .await;
        }
    }

    /// `/fleet` of each router, in order. All must be up.
    pub async fn views(&self) -> Vec<Value> {
        let admins = self.routers.iter().filter_map(|router| router.admin.as_deref());
        let views = admins.map(|admin| async move { Client::new(admin).get("/fleet").await.json() });
        futures_util::future::join_all(views).await
    }

    /// Waits until every router says that nothing runs, waits or is given up.
    pub async fn until_idle(&self) {
        wait::until("every count is zero", || async {
            let zero = |view: &Value| {
                ["running", "abandoned", "queued"].iter().all(|count| view["pools"][0][*count] == 0)
            };
            self.views().await.iter().all(zero).then_some(())
        })
        .await;
    }
}

fn listed(nodes: &[Member]) -> Vec<String> {
    nodes.iter().flat_map(|node| ["--backend".to_owned(), node.url.clone()]).collect()
}
