//! Makes the backend known in Redis, so that routers find it without being told.
//!
//! A record is written each second with a lifetime of five, at once when draining begins, and taken away at the end.
//! Redis may be away at any time: that costs no request anything, is logged once, and is tried again.

mod address;

use crate::{config::Config, node::Backend};
use std::{net::SocketAddr, time::Duration};
use tidegate_store::{Address, Connection, Terms};
use tidegate_wire::registration::{self, LEASE_MS, RENEW_MS, Registration};
use tokio::{
    sync::oneshot,
    task::JoinHandle,
    time::{MissedTickBehavior, interval, timeout},
};

/// Time that one exchange with Redis may take: less than what is between two renewals.
const EXCHANGE_TIME: Duration = Duration::from_millis(900);

/// Keeps the registration alive; does nothing where there is no Redis.
#[derive(Debug)]
pub(crate) struct Registrar {
    task: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
}

impl Registrar {
    /// Starts registering `backend`, which listens on `address`.
    ///
    /// # Errors
    /// A Redis URL that cannot be read, or an address that routers could not use and no `--advertise-url` in its place.
    pub(crate) async fn start(
        config: &Config,
        address: SocketAddr,
        backend: &Backend,
    ) -> anyhow::Result<Self> {
        let Some(redis) = config.redis.clone() else { return Ok(Self { task: None }) };
        let scheme = if config.security.tls.is_some() { "https" } else { "http" };
        let url = match &config.advertise_url {
            Some(url) => url.clone(),
            None => format!("{scheme}://{}", address::facing(&redis, address).await?),
        };
        tracing::info!(%url, "registering in Redis");
        let record = Record {
            prefix: config.redis_prefix.clone(),
            url,
            backend: backend.clone(),
            redis,
            connection: None,
        };
        let (leave, left) = oneshot::channel();
        Ok(Self { task: Some((leave, tokio::spawn(record.keep(left)))) })
    }

    /// Takes the registration away, as far as Redis can be reached.
    pub(crate) async fn leave(self) {
        let Some((leave, task)) = self.task else { return };
        drop(leave);
        if let Err(error) = task.await {
            tracing::warn!(%error, "the registration task failed");
        }
    }
}

/// One backend's record in Redis.
struct Record {
    prefix: String,
    url: String,
    backend: Backend,
    redis: Address,
    /// None until Redis has answered for the first time.
    connection: Option<Connection>,
}

impl Record {
    /// Renews until `leave` is dropped or used, then takes the record away.
    async fn keep(mut self, mut leave: oneshot::Receiver<()>) {
        let mut renewal = interval(Duration::from_millis(RENEW_MS));
        renewal.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut draining = self.backend.draining();
        let (mut published, mut reachable, mut beat) = (None, true, 0);
        loop {
            let registration = self.registration();
            let changed = published.as_ref() != Some(&registration);
            beat += 1;
            let written = self.write(&Registration { beat, ..registration.clone() }, changed).await;
            if written.is_ok() && changed {
                published = Some(registration);
            }
            log_change(&mut reachable, &written);
            tokio::select! {
                _ = renewal.tick() => {}
                _ = draining.changed() => {}
                _ = &mut leave => break,
            }
        }
        log_change(&mut reachable, &self.remove().await);
    }

    fn registration(&self) -> Registration {
        let report = self.backend.report();
        Registration {
            id: self.url.clone(),
            epoch: report.epoch,
            url: self.url.clone(),
            models: report.models,
            slots: report.slots,
            draining: report.draining,
            beat: 0,
        }
    }

    async fn write(&mut self, registration: &Registration, changed: bool) -> anyhow::Result<()> {
        let mut commands = redis::pipe();
        commands
            .cmd("SET")
            .arg(registration::key(&self.prefix, &registration.id))
            .arg(serde_json::to_string(registration)?)
            .arg("PX")
            .arg(LEASE_MS)
            .ignore()
            .cmd("SADD")
            .arg(registration::index_key(&self.prefix))
            .arg(&registration.id)
            .ignore();
        if changed {
            commands.cmd("PUBLISH").arg(registration::channel(&self.prefix)).arg(&registration.id).ignore();
        }
        self.exchange(&commands).await
    }

    async fn remove(&mut self) -> anyhow::Result<()> {
        let mut commands = redis::pipe();
        commands
            .cmd("DEL")
            .arg(registration::key(&self.prefix, &self.url))
            .ignore()
            .cmd("SREM")
            .arg(registration::index_key(&self.prefix))
            .arg(&self.url)
            .ignore()
            .cmd("PUBLISH")
            .arg(registration::channel(&self.prefix))
            .arg(&self.url)
            .ignore();
        self.exchange(&commands).await
    }

    async fn exchange(&mut self, commands: &redis::Pipeline) -> anyhow::Result<()> {
        let exchange = async {
            let connection = match &mut self.connection {
                Some(connection) => connection,
                none => none.insert(connect(self.redis.clone()).await?),
            };
            commands.query_async::<()>(connection).await
        };
        Ok(timeout(EXCHANGE_TIME, exchange).await??)
    }
}

async fn connect(redis: Address) -> redis::RedisResult<Connection> {
    let terms = Terms { connect: EXCHANGE_TIME, answer: EXCHANGE_TIME, pushes: None };
    Connection::open(redis, &terms).await
}

/// Logs only when Redis goes away or comes back, not at every try.
fn log_change(reachable: &mut bool, written: &anyhow::Result<()>) {
    match (written, *reachable) {
        (Ok(()), false) => tracing::info!("registered in Redis again"),
        (Err(error), true) => tracing::warn!(%error, "cannot register in Redis; trying on"),
        _ => {}
    }
    *reachable = written.is_ok();
}
