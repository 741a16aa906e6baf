//! Backends that an operator takes out of service: they get no new work and finish what they run, until they are let in again.
//!
//! Routers with the same Redis share the set: it lies there under `PREFIX:drained`, and each router reads it twice a second. A
//! backend stays in it over its own restarts and those of routers.

use redis::AsyncCommands;
use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use tidegate_store::Connection;
use tokio::time::MissedTickBehavior;

/// Between two looks at the set in Redis.
const INTERVAL: Duration = Duration::from_millis(500);

/// The ids of drained backends. Clones share one set.
#[derive(Debug, Clone, Default)]
pub struct Drained {
    ids: Arc<RwLock<BTreeSet<String>>>,
    store: Option<Store>,
}

/// Where the set lies.
#[derive(Clone)]
struct Store {
    redis: Connection,
    key: String,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(&self.key)
    }
}

impl Drained {
    /// The set that all routers with this Redis and `prefix` share.
    pub fn shared(redis: Connection, prefix: &str) -> Self {
        Self { ids: Arc::default(), store: Some(Store { redis, key: format!("{prefix}:drained") }) }
    }

    /// True for a backend that is to get no new work.
    pub fn holds(&self, id: &str) -> bool {
        self.ids.read().unwrap_or_else(PoisonError::into_inner).contains(id)
    }

    /// Takes a backend out (`drained`), or lets it in again.
    ///
    /// # Errors
    /// If Redis cannot be told: then nothing has changed.
    pub async fn set(&self, id: &str, drained: bool) -> redis::RedisResult<()> {
        if let Some(Store { redis, key }) = &self.store {
            let mut redis = redis.clone();
            let _changed: u32 =
                if drained { redis.sadd(key, id).await? } else { redis.srem(key, id).await? };
        }
        let mut ids = self.ids.write().unwrap_or_else(PoisonError::into_inner);
        if drained {
            ids.insert(id.to_owned())
        } else {
            ids.remove(id)
        };
        Ok(())
    }

    /// One look at the set in Redis. Where Redis is away, the set stays as it was known.
    pub async fn look(&self) {
        let Some(Store { redis, key }) = &self.store else { return };
        match redis.clone().smembers::<_, BTreeSet<String>>(key).await {
            Ok(ids) => *self.ids.write().unwrap_or_else(PoisonError::into_inner) = ids,
            Err(error) => tracing::debug!(%error, "the set of drained backends cannot be read"),
        }
    }

    /// Looks again and again until the task is dropped.
    pub async fn follow(self) {
        let mut ticks = tokio::time::interval(INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while self.store.is_some() {
            ticks.tick().await;
            self.look().await;
        }
    }
}
