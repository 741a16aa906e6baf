//! Backends that registered themselves in Redis, as `tidegate_wire::registration` describes.

use super::Discovery;
use crate::ledger::Backend;
use redis::AsyncCommands;
use redis::aio::ConnectionManager;
use std::collections::BTreeSet;
use std::time::Duration;
use tidegate_wire::registration::{Registration, index_key, key};
use tokio::time::MissedTickBehavior;

/// Between two looks at the registrations.
const INTERVAL: Duration = Duration::from_millis(500);

/// The watch over the registrations under one prefix.
pub struct RegistrationWatch {
    discovery: Discovery,
    redis: ConnectionManager,
    prefix: String,
    /// Ids that the last look found.
    present: BTreeSet<String>,
    /// True while the registrations cannot be read, so that this is said once.
    away: bool,
}

impl RegistrationWatch {
    /// A watch that has not looked yet.
    pub fn new(discovery: Discovery, redis: ConnectionManager, prefix: String) -> Self {
        Self { discovery, redis, prefix, present: BTreeSet::new(), away: false }
    }

    /// One look: enters what is new, takes out what has gone. Where Redis is away, those known are kept.
    pub async fn look(&mut self) {
        match read(&self.redis, &self.prefix).await {
            Ok(registrations) => {
                self.away = false;
                enter(&self.discovery, &mut self.present, registrations).await;
            }
            Err(error) if !self.away => {
                self.away = true;
                tracing::warn!(%error, "the registrations of backends cannot be read; those known are kept");
            }
            Err(_) => {}
        }
    }

    /// Looks again and again until the task is dropped.
    pub async fn run(mut self) {
        let mut ticks = tokio::time::interval(INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.look().await;
        }
    }
}

/// All live registrations; ids whose record has expired are taken out of the set.
async fn read(redis: &ConnectionManager, prefix: &str) -> redis::RedisResult<Vec<Registration>> {
    let mut redis = redis.clone();
    let ids: Vec<String> = redis.smembers(index_key(prefix)).await?;
    let mut registrations = Vec::with_capacity(ids.len());
    for id in ids {
        let record: Option<String> = redis.get(key(prefix, &id)).await?;
        match record.as_deref().map(serde_json::from_str::<Registration>) {
            Some(Ok(registration)) => registrations.push(registration),
            Some(Err(error)) => tracing::error!(%error, backend = %id, "a registration cannot be read"),
            None => {
                let () = redis.srem(index_key(prefix), &id).await?;
            }
        }
    }
    Ok(registrations)
}

async fn enter(discovery: &Discovery, present: &mut BTreeSet<String>, registrations: Vec<Registration>) {
    let now: BTreeSet<String> = registrations.iter().map(|registration| registration.id.clone()).collect();
    for gone in present.difference(&now) {
        discovery.remove(gone).await;
    }
    for Registration { id, epoch, url, models, slots, draining } in registrations {
        discovery.put(&models, Backend { id, epoch, url, slots, draining }).await;
    }
    *present = now;
}
