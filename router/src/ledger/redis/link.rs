//! The router's connections to Redis, which come back by themselves: a multiplexed RESP3 connection (to each node, where Redis is a
//! cluster) for what the router says of itself and what is pushed to it, and one more for each worker, so that a request's
//! calls wake no other thread.
//!
//! Nothing rests on the order of calls over different connections. A call that was given up may arrive late, behind what has been said
//! since; what it takes is found and freed by the next two renewals, as with a connection that broke.

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use redis::{
    AsyncCommands, ErrorKind, PushInfo, PushKind, RedisError, RedisResult, ScriptInvocation, Value,
    from_redis_value,
};
use tidegate_admission::{Event, Reason, View, snapshot::Snapshot};
use tidegate_serve::workers::{PerWorker, Workers};
use tidegate_store::{Connection, IntoAddress};
use tidegate_telemetry::metrics::LedgerMetrics;
use tokio::time::{Instant, timeout};

use super::{
    LedgerError,
    keys::{self, Keys},
    reply::{self, Answer},
    scripts::{self, Scripts},
};
use crate::ledger::{holding::Holdings, sample};

/// Time that one call may take, in all, where nothing else is said: a Redis that is slower than this is away.
const PATIENCE: Duration = Duration::from_millis(50);
/// Time that the first connection may take.
const CONNECT_PATIENCE: Duration = Duration::from_secs(2);

/// One router's connections.
pub(in crate::ledger) struct Link {
    connections: PerWorker<Connection>,
    scripts: Scripts,
    keys: Keys,
    channel: String,
    terms: Terms,
    /// Set when the connection breaks: what was under way, and what Redis kept, may be gone.
    broken: Arc<AtomicBool>,
}

/// What a link goes by.
#[derive(Debug, Clone)]
pub(in crate::ledger) struct Terms {
    /// Whose clock counts.
    pub(in crate::ledger) now: Now,
    /// Time that one call may take in all, reconnecting included.
    pub(in crate::ledger) patience: Duration,
    /// Where calls are counted, and what they put right.
    pub(in crate::ledger) metrics: LedgerMetrics,
}

impl Default for Terms {
    fn default() -> Terms {
        Terms { now: Now::Redis, patience: PATIENCE, metrics: LedgerMetrics::default() }
    }
}

/// Whose clock counts.
#[derive(Debug, Clone)]
pub(in crate::ledger) enum Now {
    /// Redis's own: max(last seen, `TIME`).
    Redis,
    /// A test's.
    #[cfg(test)]
    Manual(Arc<std::sync::atomic::AtomicU64>),
}

impl Now {
    /// As the scripts take it.
    fn text(&self) -> String {
        match self {
            Now::Redis => String::new(),
            #[cfg(test)]
            Now::Manual(now) => now.load(std::sync::atomic::Ordering::SeqCst).to_string(),
        }
    }
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link").field("keys", &self.keys).finish_non_exhaustive()
    }
}

impl Link {
    /// Connects, each of `workers` for itself too, subscribes to what becomes of the router's tickets, and loads the scripts.
    pub(in crate::ledger) async fn open(
        address: impl IntoAddress,
        prefix: &str,
        router_id: &str,
        holdings: Arc<Holdings>,
        terms: Terms,
        workers: &Workers,
    ) -> Result<Link, LedgerError> {
        let address = address.into_address().map_err(|error| LedgerError::Address(error.to_string()))?;
        let (scripts, channel) = (Scripts::new(), keys::channel(prefix));
        let broken = Arc::new(AtomicBool::new(false));
        let pushes = Pushes { holdings, broken: Arc::clone(&broken) };
        let settings = tidegate_store::Terms {
            connect: CONNECT_PATIENCE,
            // Each call has its own patience, which is shorter.
            answer: CONNECT_PATIENCE,
            pushes: Some(Arc::new(move |push| pushes.take(push))),
        };
        let opened = async {
            let mut connection = Connection::open(address.clone(), &settings).await?;
            connection.subscribe(format!("{channel}{router_id}")).await?;
            for script in scripts.all() {
                script.load_async(&mut connection).await?;
            }
            let another = || {
                let (address, settings) = (address.clone(), settings.clone());
                async move { Connection::open(address, &settings).await }
            };
            PerWorker::made_there(workers, connection, another).await
        };
        let connections = within(CONNECT_PATIENCE, opened).await?;
        Ok(Link { connections, scripts, keys: Keys::new(prefix), channel, terms, broken })
    }

    /// That of this thread.
    fn connection(&self) -> Connection {
        self.connections.get().clone()
    }

    /// Whether the connection has broken since this was last asked.
    pub(in crate::ledger) fn take_broken(&self) -> bool {
        self.broken.swap(false, Ordering::Relaxed)
    }

    /// Whether the node that has a pool's account answers in time, over every connection: one that is still on its way back would fail
    /// the requests of its worker.
    pub(in crate::ledger) async fn answers(&self, pool: &str) -> bool {
        let (keys, patience) = (self.keys.of(pool), self.terms.patience);
        let ask = |mut connection: Connection| {
            let keys = Arc::clone(&keys);
            async move { within(patience, connection.exists::<_, ()>(keys.first())).await.is_ok() }
        };
        self.connections.on_each(ask).await.into_iter().all(|answered| answered)
    }

    /// One transition.
    pub(in crate::ledger) async fn apply(&self, pool: &str, event: &Event) -> Result<Answer, LedgerError> {
        let keys = self.keys.of(pool);
        let call = self.scripts.call(event, &keys, &self.terms.now.text(), &self.channel);
        let answer = reply::answer(self.call(scripts::operation(event), &call).await?)?;
        self.terms.metrics.mended(pool, sample(answer.mended));
        Ok(answer)
    }

    /// Counts and estimates of a pool; tells what this router has refused by itself since the last time.
    pub(in crate::ledger) async fn view(
        &self,
        pool: &str,
        refused: Vec<(Reason, u32)>,
    ) -> Result<Option<View>, LedgerError> {
        let keys = self.keys.of(pool);
        let event = Event::Refused(refused);
        let call = self.scripts.call(&event, &keys, &self.terms.now.text(), &self.channel);
        let (view, mended) = reply::view(self.call(scripts::operation(&event), &call).await?)?;
        self.terms.metrics.mended(pool, sample(mended));
        Ok(view)
    }

    /// The whole account of a pool.
    pub(in crate::ledger) async fn snapshot(&self, pool: &str) -> Result<Option<Snapshot>, LedgerError> {
        let (snapshot, mended) = reply::snapshot(self.look(pool).await?)?;
        self.terms.metrics.mended(pool, sample(mended));
        Ok(snapshot)
    }

    /// Puts a pool's name where [`Link::pools`] finds it. A name is put before its pool, and again at each renewal.
    pub(in crate::ledger) async fn name_pool(&self, pool: &str) -> Result<(), LedgerError> {
        let mut connection = self.connection();
        within(self.terms.patience, connection.sadd(self.keys.pools(), pool)).await
    }

    /// Takes away the name of a pool that has been forgotten.
    pub(in crate::ledger) async fn forget_pool(&self, pool: &str) -> Result<(), LedgerError> {
        self.keys.forget(pool);
        let mut connection = self.connection();
        within(self.terms.patience, connection.srem(self.keys.pools(), pool)).await
    }

    /// Names of all pools, in order.
    pub(in crate::ledger) async fn pools(&self) -> Result<Vec<String>, LedgerError> {
        let mut connection = self.connection();
        let mut names: Vec<String> =
            within(self.terms.patience, connection.smembers(self.keys.pools())).await?;
        names.sort_unstable();
        Ok(names)
    }

    async fn look(&self, pool: &str) -> Result<Value, LedgerError> {
        let keys = self.keys.of(pool);
        self.call("look", &self.scripts.look(&keys, &self.terms.now.text(), &self.channel)).await
    }

    /// Calls a script by its hash; one that Redis no longer has is loaded again.
    async fn call(&self, operation: &'static str, call: &ScriptInvocation<'_>) -> Result<Value, LedgerError> {
        let mut connection = self.connection();
        let begun = Instant::now();
        let answer = within(self.terms.patience, call.invoke_async(&mut connection)).await;
        let failure = answer.as_ref().err().map(LedgerError::kind);
        self.terms.metrics.called(operation, begun.elapsed(), failure);
        answer
    }
}

/// Where pushes go.
struct Pushes {
    holdings: Arc<Holdings>,
    broken: Arc<AtomicBool>,
}

impl Pushes {
    /// A message on the router's channel says what became of one of its tickets.
    fn take(&self, push: PushInfo) {
        match push.kind {
            PushKind::Message => self.deliver(push),
            PushKind::Disconnection => self.broken.store(true, Ordering::Relaxed),
            _ => {}
        }
    }

    fn deliver(&self, push: PushInfo) {
        let payload = push.data.into_iter().nth(1).map(from_redis_value::<Vec<u8>>);
        let Some(Ok(payload)) = payload else { return };
        match reply::pushed(&payload) {
            Ok(action) => self.holdings.pushed(action),
            Err(error) => tracing::warn!(%error, "a push that makes no sense"),
        }
    }
}

/// Waits no longer than `patience`, reconnecting included.
async fn within<T>(patience: Duration, call: impl Future<Output = RedisResult<T>>) -> Result<T, LedgerError> {
    match timeout(patience, call).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(failure(&error)),
        Err(_) => Err(LedgerError::Unavailable(format!("no answer within {} ms", patience.as_millis()))),
    }
}

/// What kind of trouble it is: the address, the script, or (whatever else it be) Redis itself for now.
fn failure(error: &RedisError) -> LedgerError {
    use redis::ServerErrorKind::{CrossSlot, NoPerm, ResponseError};
    let text = error.to_string();
    match error.kind() {
        ErrorKind::InvalidClientConfig | ErrorKind::AuthenticationFailed | ErrorKind::RESP3NotSupported => {
            LedgerError::Address(text)
        }
        ErrorKind::Parse | ErrorKind::UnexpectedReturnType => LedgerError::Protocol(text),
        ErrorKind::Server(ResponseError | CrossSlot | NoPerm) => LedgerError::Protocol(text),
        _ => LedgerError::Unavailable(text),
    }
}
