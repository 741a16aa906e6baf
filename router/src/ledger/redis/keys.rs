//! How the account is named in Redis: one pool is one hash slot.

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

/// Key of the set of all pools' names.
pub(super) fn pools(prefix: &str) -> String {
    format!("{prefix}:pools")
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
    fn the_hash_is_fnv_1a() {
        assert_eq!(tag(""), "cbf29ce484222325");
        assert_eq!(tag("a"), "af63dc4c8601ec8c");
        assert_eq!(tag("foobar"), "85944171f73967e8");
    }
}
