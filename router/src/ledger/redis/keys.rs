//! How the account is named in Redis: one pool is one hash slot.

use foldhash::fast::RandomState;
use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

/// The keys of the pools under one prefix. Each pool's are put together once: every call names them all.
#[derive(Debug)]
pub(super) struct Keys {
    prefix: String,
    pools: RwLock<HashMap<String, Arc<[String]>, RandomState>>,
}

impl Keys {
    pub(super) fn new(prefix: &str) -> Keys {
        Keys { prefix: prefix.to_owned(), pools: RwLock::default() }
    }

    /// Those of a pool; [`PARTS`] has their order.
    pub(super) fn of(&self, pool: &str) -> Arc<[String]> {
        if let Some(keys) = self.pools.read().unwrap_or_else(PoisonError::into_inner).get(pool) {
            return Arc::clone(keys);
        }
        let keys: Arc<[String]> = of_pool(&self.prefix, pool).into();
        let mut pools = self.pools.write().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(pools.entry(pool.to_owned()).or_insert(keys))
    }

    /// A pool that is no more.
    pub(super) fn forget(&self, pool: &str) {
        self.pools.write().unwrap_or_else(PoisonError::into_inner).remove(pool);
    }

    /// Key of the set of all pools' names.
    pub(super) fn pools(&self) -> String {
        format!("{}:pools", self.prefix)
    }
}

/// Parts of a pool's account, in the order in which the scripts take them as `KEYS`.
pub(super) const PARTS: [&str; 14] = [
    "pool",
    "queue",
    "deadlines",
    "attempts",
    "nodes",
    "free",
    "leases",
    "owned",
    "routers",
    "flags",
    "abandoned",
    "counts",
    "usage",
    "tenants",
];

/// Keys of one pool's account. They share a hash tag, so that one node of a Redis Cluster holds them all.
pub(super) fn of_pool(prefix: &str, pool: &str) -> Vec<String> {
    let tag = tag(pool);
    PARTS.iter().map(|part| format!("{prefix}:{{{tag}}}:{part}")).collect()
}

/// What a router's id is appended to for the channel on which it learns of its tickets.
pub(super) fn channel(prefix: &str) -> String {
    format!("{prefix}:router:")
}

/// The name's FNV-1a hash (64 bits; Fowler, Noll and Vo, RFC 9923): names of models may hold braces and spaces, a
/// hash tag may not.
fn tag(pool: &str) -> String {
    let hash = pool.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    format!("{hash:016x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_pool_is_one_hash_slot() {
        let keys = of_pool("tidegate", "a {model} of mine");
        let tags: Vec<_> = keys.iter().map(|key| key.split(['{', '}']).nth(1)).collect();
        assert!(tags.iter().all(|tag| tag.is_some() && *tag == tags[0]), "{keys:?}");
        assert!(keys.iter().all(|key| key.starts_with("tidegate:{") && key.matches('{').count() == 1));
    }

    #[test]
    fn keys_are_put_together_once() {
        let keys = Keys::new("tidegate");
        assert_eq!(*keys.of("m"), of_pool("tidegate", "m"));
        assert!(Arc::ptr_eq(&keys.of("m"), &keys.of("m")));
        keys.forget("m");
        assert_eq!(*keys.of("m"), of_pool("tidegate", "m"));
    }

    #[test]
    fn the_hash_is_fnv_1a() {
        assert_eq!(tag(""), "cbf29ce484222325");
        assert_eq!(tag("a"), "af63dc4c8601ec8c");
        assert_eq!(tag("foobar"), "85944171f73967e8");
    }
}
