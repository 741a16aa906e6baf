//! How a fake node makes itself known in Redis: as `tidegate_wire::registration` describes, and again whenever Redis was away.

use redis::aio::MultiplexedConnection;
use redis::{Client, RedisResult};
use std::time::Duration;
use tidegate_wire::registration::{LEASE_MS, RENEW_MS, Registration, index_key, key};
use tokio::time::timeout;

/// Time that one exchange with Redis may take: less than what is between two renewals.
const EXCHANGE_TIME: Duration = Duration::from_millis(900);

/// Renews a registration until the runtime ends.
pub(super) fn keep(registration: Registration, redis_url: &str, prefix: &str) {
    let client = Client::open(redis_url).unwrap();
    let prefix = prefix.to_owned();
    tokio::spawn(async move {
        let mut connection = None;
        loop {
            let renewed =
                timeout(EXCHANGE_TIME, renew(&client, &mut connection, &prefix, &registration)).await;
            if !matches!(renewed, Ok(Ok(()))) {
                connection = None;
            }
            tokio::time::sleep(Duration::from_millis(RENEW_MS)).await;
        }
    });
}

async fn renew(
    client: &Client,
    connection: &mut Option<MultiplexedConnection>,
    prefix: &str,
    registration: &Registration,
) -> RedisResult<()> {
    let connection = match connection {
        Some(connection) => connection,
        none => none.insert(client.get_multiplexed_async_connection().await?),
    };
    redis::pipe()
        .sadd(index_key(prefix), &registration.id)
        .pset_ex(key(prefix, &registration.id), serde_json::to_string(registration).unwrap(), LEASE_MS)
        .query_async(connection)
        .await
}
