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

/// Watches the registrations under `prefix` until the task is dropped.
pub async fn watch_registered(discovery: Discovery, redis: ConnectionManager, prefix: String) {
    let mut ticks = tokio::time::interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut present = BTreeSet::new();
    let mut away = false;
    loop {
        ticks.tick().await;
        match look(&redis, &prefix).await {
            Ok(registrations) => {
                away = false;
                enter(&discovery, &mut present, registrations).await;
            }
            Err(error) if !away => {
                away = true;
                tracing::warn!(%error, "the registrations of backends cannot be read; those known are kept");
            }
            Err(_) => {}
        }
    }
}

/// All live registrations; ids whose record has expired are taken out of the set.
async fn look(redis: &ConnectionManager, prefix: &str) -> redis::RedisResult<Vec<Registration>> {
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
