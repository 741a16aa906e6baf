//! Backends that registered themselves in Redis, as `tidegate_wire::registration` describes.

use super::Discovery;
use crate::ledger::Backend;
use redis::AsyncCommands;
use std::collections::BTreeMap;
use std::time::Duration;
use tidegate_store::Connection;
use tidegate_wire::registration::{Registration, index_key, key};
use tokio::time::MissedTickBehavior;

/// Between two looks at the registrations.
const INTERVAL: Duration = Duration::from_millis(500);
/// Looks in a row that must miss a backend before it counts as gone: after a restart of Redis all are missing until they have
/// registered again, which each does within a second.
const MISSED: u32 = 4;
/// Looks in a row that must succeed before a router that has just started knows of every backend: each renews its registration
/// every second, and needs nearly two where Redis has just come back.
const LEARNING: u32 = 6;

/// The watch over the registrations under one prefix.
pub struct RegistrationWatch {
    discovery: Discovery,
    redis: Connection,
    prefix: String,
    /// Ids that a look found, and at how many looks since they were missing.
    present: BTreeMap<String, u32>,
    /// True while the registrations cannot be read, so that this is said once.
    away: bool,
    /// Looks that are still to succeed before every backend is known.
    learning: u32,
}

impl RegistrationWatch {
    /// A watch that has not looked yet.
    pub fn new(discovery: Discovery, redis: Connection, prefix: String) -> Self {
        discovery.catalogue.begin_learning();
        Self { discovery, redis, prefix, present: BTreeMap::new(), away: false, learning: LEARNING }
    }

    /// One look: enters what is new, takes out what has gone. Where Redis is away, those known are kept.
    pub async fn look(&mut self) {
        match read(&self.redis, &self.prefix).await {
            Ok(registrations) => {
                self.away = false;
                enter(&self.discovery, &mut self.present, registrations).await;
                self.learned();
            }
            Err(error) => {
                if !self.away {
                    tracing::warn!(%error, "the registrations of backends cannot be read; those known are kept");
                }
                self.away = true;
                self.discovery.heard.deaf();
                if self.learning > 0 {
                    // It may come back empty.
                    self.learning = LEARNING;
                }
            }
        }
    }

    fn learned(&mut self) {
        if self.learning == 1 {
            self.discovery.catalogue.end_learning();
        }
        self.learning = self.learning.saturating_sub(1);
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
async fn read(redis: &Connection, prefix: &str) -> redis::RedisResult<Vec<Registration>> {
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

async fn enter(discovery: &Discovery, present: &mut BTreeMap<String, u32>, registrations: Vec<Registration>) {
    present.values_mut().for_each(|missed| *missed += 1);
    for Registration { id, epoch, url, models, slots, draining, beat } in registrations {
        present.insert(id.clone(), 0);
        discovery.heard.registered(&id, (epoch.clone(), beat));
        discovery.put(&models, Backend { id, epoch, url, slots, draining }).await;
    }
    let gone: Vec<String> =
        present.iter().filter(|(_, missed)| **missed >= MISSED).map(|(id, _)| id.clone()).collect();
    for id in gone {
        present.remove(&id);
        discovery.remove(&id).await;
    }
}
