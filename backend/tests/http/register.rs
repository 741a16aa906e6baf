//! Registration in a real Redis: there while the backend lives, marked when it drains, gone when it has ended, and no
//! request harmed where Redis is away.

use crate::node::{MODEL, Node};
use redis::AsyncCommands;
use serde_json::json;
use std::{
    process::{Child, Command, Stdio},
    time::Duration,
};
use tempfile::TempDir;
use tidegate_wire::registration::{self, Registration};
use tokio::time::{Instant, sleep};

/// A Redis of this test alone.
struct Redis {
    process: Child,
    port: u16,
    _folder: TempDir,
}

impl Redis {
    async fn start() -> Self {
        let port = free_port().await;
        Self::start_on(port).await
    }

    async fn start_on(port: u16) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let process = Command::new("redis-server")
            .args(["--port", &port.to_string(), "--save", "", "--appendonly", "no", "--dir"])
            .arg(folder.path())
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server is needed: apt-get install redis-server");
        let redis = Self { process, port, _folder: folder };
        let deadline = Instant::now() + Duration::from_secs(10);
        while redis.connect().await.is_none() {
            assert!(Instant::now() < deadline, "Redis does not answer");
            sleep(Duration::from_millis(10)).await;
        }
        redis
    }

    fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    async fn connect(&self) -> Option<redis::aio::MultiplexedConnection> {
        redis::Client::open(self.url()).ok()?.get_multiplexed_async_connection().await.ok()
    }

    /// The records that routers see.
    async fn records(&self) -> Vec<Registration> {
        let mut connection = self.connect().await.expect("Redis answers");
        let ids: Vec<String> = connection.smembers(registration::index_key("tidegate")).await.expect("a set");
        let mut records = Vec::new();
        for id in ids {
            let text: Option<String> =
                connection.get(registration::key("tidegate", &id)).await.expect("a record");
            records.extend(text.map(|text| serde_json::from_str(&text).expect("JSON")));
        }
        records
    }

    async fn until(&self, what: &str, holds: impl Fn(&[Registration]) -> bool) -> Vec<Registration> {
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            let records = self.records().await;
            if holds(&records) {
                return records;
            }
            assert!(Instant::now() < deadline, "{what}: {records:?}");
            sleep(Duration::from_millis(10)).await;
        }
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        // A test that failed half-way must not leave a server behind; there is nobody to tell where this fails.
        let _killed = self.process.kill();
        let _waited = self.process.wait();
    }
}

async fn free_port() -> u16 {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
    listener.local_addr().expect("an address").port()
}

#[tokio::test]
async fn a_backend_is_known_while_it_lives_and_marked_when_it_drains() {
    let redis = Redis::start().await;
    let node = Node::endless(&["--redis-url", &redis.url(), "--max-concurrent-requests", "4"]).await;
    let records = redis.until("it registers", |records| records.len() == 1).await;
    let report = node.report().await;
    let record = &records[0];
    assert_eq!(record.url, format!("http://{}", node.client.address));
    assert_eq!((&record.id, &record.epoch), (&record.url, &report.epoch));
    assert_eq!((record.slots, record.draining), (4, false));
    assert_eq!(record.models, [MODEL]);
    let mut connection = redis.connect().await.expect("Redis answers");
    let lifetime: i64 = connection.pttl(registration::key("tidegate", &record.id)).await.expect("a lifetime");
    assert!(lifetime > 3_000 && lifetime <= 5_000, "{lifetime}");

    let body = json!({"model": MODEL, "prompt": "ab", "stream": true, "temperature": 0, "max_tokens": 600});
    let stream = node.client.open("/v1/completions", &body).await;
    node.stop();
    redis.until("it says that it drains", |records| records.iter().any(|record| record.draining)).await;
    drop(stream);
    node.ended().await.expect("a clean end");
    assert_eq!(redis.records().await, []);
    let ids: Vec<String> = connection.smembers(registration::index_key("tidegate")).await.expect("a set");
    assert!(ids.is_empty(), "{ids:?}");
}

#[tokio::test]
async fn a_redis_that_is_away_costs_no_request_and_is_found_again() {
    let port = free_port().await;
    let url = format!("redis://127.0.0.1:{port}");
    let node = Node::start(&["--redis-url", &url, "--advertise-url", "http://backend.example:8100/"]).await;
    let body = json!({"model": MODEL, "prompt": "ab", "max_tokens": 2});
    assert_eq!(node.client.post("/v1/completions", &body).await.status, 200);
    let redis = Redis::start_on(port).await;
    let records = redis.until("it registers late", |records| records.len() == 1).await;
    assert_eq!(records[0].url, "http://backend.example:8100");
    drop(redis);
    assert_eq!(node.client.post("/v1/completions", &body).await.status, 200);
    node.stop();
    node.ended().await.expect("a clean end without Redis");
}
