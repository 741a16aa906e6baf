//! The connection to Redis, as both binaries make it: one multiplexed connection to a server, or one to each node of a cluster.
//! Which of the two it is, the server says. [`Address`] is where it is, and how both sides know each other.

mod address;

pub use address::{Address, AddressFiles, IntoAddress, address};

use std::{future::Future, sync::Arc, time::Duration};

use redis::{
    Client, Cmd, ConnectionInfo, ErrorKind, Pipeline, ProtocolVersion, PushInfo, RedisError, RedisFuture,
    RedisResult, TlsCertificates, ToRedisArgs, Value,
    aio::{ConnectionLike, ConnectionManager, ConnectionManagerConfig, SendError},
    cluster::ClusterClient,
    cluster_async::ClusterConnection,
};

/// Bounds of the time between two attempts to connect again.
const RECONNECT: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(500));
/// Commands that may stand in line for a connection.
const LINE: usize = 1024;

/// What is done with messages that the server sends by itself.
pub type OnPush = Arc<dyn Fn(PushInfo) + Send + Sync>;

/// A connection that comes back by itself. Clones share it.
#[derive(Clone)]
pub enum Connection {
    /// To one server.
    Single(ConnectionManager),
    /// To the nodes of a cluster.
    Cluster(ClusterConnection),
}

/// How a connection is made.
#[derive(Clone)]
pub struct Terms {
    /// Time that connecting may take.
    pub connect: Duration,
    /// Time that one answer may take.
    pub answer: Duration,
    /// Where pushes go; with it the connection speaks RESP3 and can subscribe.
    pub pushes: Option<OnPush>,
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Connection::Single(_) => "Single",
            Connection::Cluster(_) => "Cluster",
        })
    }
}

impl Connection {
    /// Connects to a server, or to the cluster that it belongs to.
    ///
    /// # Errors
    /// The server does not answer in time, or wants other credentials.
    pub async fn open(address: Address, terms: &Terms) -> RedisResult<Connection> {
        let (address, certificates) = address.parts();
        // The client takes the process's cryptography; one that is there already is the same.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let protocol = if terms.pushes.is_some() { ProtocolVersion::RESP3 } else { ProtocolVersion::RESP2 };
        let settings = address.redis_settings().clone().set_protocol(protocol);
        let address = address.set_redis_settings(settings);
        let connecting = async {
            let single = single(address.clone(), certificates.clone(), terms).await?;
            if is_cluster(single.clone()).await? {
                cluster(address, certificates, protocol, terms).await
            } else {
                Ok(single)
            }
        };
        within(terms.connect, connecting).await
    }

    /// Subscribes to a channel; again by itself whenever the connection has been lost.
    ///
    /// # Errors
    /// The server does not answer.
    pub async fn subscribe(&mut self, channel: impl ToRedisArgs) -> RedisResult<()> {
        match self {
            Connection::Single(connection) => connection.subscribe(channel).await,
            Connection::Cluster(connection) => connection.subscribe(channel).await,
        }
    }
}

async fn single(
    address: ConnectionInfo,
    certificates: Option<TlsCertificates>,
    terms: &Terms,
) -> RedisResult<Connection> {
    let mut config = ConnectionManagerConfig::new()
        .set_min_delay(RECONNECT.0)
        .set_max_delay(RECONNECT.1)
        .set_number_of_retries(usize::MAX)
        .set_connection_timeout(Some(terms.connect))
        .set_response_timeout(Some(terms.answer))
        .set_pipeline_buffer_size(LINE);
    if let Some(pushes) = terms.pushes.clone() {
        config =
            config.set_automatic_resubscription().set_push_sender(move |push: PushInfo| sent(&pushes, push));
    }
    let client = match certificates {
        Some(certificates) => Client::build_with_tls(address, certificates)?,
        None => Client::open(address)?,
    };
    Ok(Connection::Single(client.get_connection_manager_with_config(config).await?))
}

async fn is_cluster(mut connection: Connection) -> RedisResult<bool> {
    let info: String = redis::cmd("INFO").arg("cluster").query_async(&mut connection).await?;
    Ok(info.contains("cluster_enabled:1"))
}

async fn cluster(
    address: ConnectionInfo,
    certificates: Option<TlsCertificates>,
    protocol: ProtocolVersion,
    terms: &Terms,
) -> RedisResult<Connection> {
    let mut builder = ClusterClient::builder([address])
        .use_protocol(protocol)
        .connection_timeout(terms.connect)
        .response_timeout(terms.answer)
        .retries(1);
    if let Some(certificates) = certificates {
        builder = builder.certs(certificates);
    }
    if let Some(pushes) = terms.pushes.clone() {
        builder = builder.push_sender(move |push: PushInfo| sent(&pushes, push));
    }
    Ok(Connection::Cluster(builder.build()?.get_async_connection().await?))
}

fn sent(pushes: &OnPush, push: PushInfo) -> Result<(), SendError> {
    pushes(push);
    Ok(())
}

async fn within<T>(patience: Duration, call: impl Future<Output = RedisResult<T>>) -> RedisResult<T> {
    let late = || RedisError::from((ErrorKind::Io, "Redis does not answer in time"));
    tokio::time::timeout(patience, call).await.map_err(|_| late())?
}

impl ConnectionLike for Connection {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, Value> {
        match self {
            Connection::Single(connection) => connection.req_packed_command(cmd),
            Connection::Cluster(connection) => connection.req_packed_command(cmd),
        }
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        match self {
            Connection::Single(connection) => connection.req_packed_commands(pipeline, offset, count),
            Connection::Cluster(connection) => connection.req_packed_commands(pipeline, offset, count),
        }
    }

    fn get_db(&self) -> i64 {
        match self {
            Connection::Single(connection) => connection.get_db(),
            Connection::Cluster(connection) => connection.get_db(),
        }
    }
}
