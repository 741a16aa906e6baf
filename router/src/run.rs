//! Puts a router together and runs it until it is asked to end.

use crate::admin::admin_paths;
use crate::catalogue::Catalogue;
use crate::config::{Config, Fleet};
use crate::confirm::Confirmer;
use crate::demo_load::DemoLoad;
use crate::discovery::heard::Heard;
use crate::discovery::{Discovery, RegistrationWatch, look_listed, watch_listed};
use crate::fleet_watch::FleetWatch;
use crate::ledger::{Ledger, LedgerOptions, MemoryLedger, RedisLedger};
use crate::live;
use crate::request::permit::Desk;
use crate::scrape;
use crate::server::client_paths;
use crate::shared::{Shared, unix_seconds};
use crate::upstream::{EMBEDDED_URL, Upstream};
use anyhow::Context;
use futures_util::future::{BoxFuture, FutureExt, join_all};
use std::sync::Arc;
use std::time::Duration;
use tidegate_serve::{listen, supervisor};
use tidegate_store::{Connection, Terms};
use tidegate_telemetry::metrics::{LedgerMetrics, RouterMetrics};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// How long the start waits for a first look at the listed backends: those that answer later join later.
const FIRST_LOOK: Duration = Duration::from_secs(2);
/// How long operators' connections get to end after all else has ended.
const ADMIN_CLOSE: Duration = Duration::from_secs(1);

/// A backend in this process.
pub struct Local {
    /// Its paths, to be called without a socket.
    pub service: axum::Router,
    /// What may be asked of it to show a newcomer some load.
    pub demo: DemoLoad,
    /// Ends only when it has broken for good; the process should then end too, for its supervisor to restart it.
    pub broken: BoxFuture<'static, anyhow::Error>,
}

/// The two sockets of a router.
#[derive(Debug)]
pub struct Listeners {
    /// For clients.
    pub client: TcpListener,
    /// For operators.
    pub admin: TcpListener,
}

/// Runs a router until `shutdown`, then drains. `local` is the embedded backend, where there is one.
///
/// # Errors
/// If Redis does not answer at the start, the embedded backend breaks, or requests had to be cut at the end of the drain.
pub async fn run(
    config: Config,
    local: Option<Local>,
    listeners: Listeners,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let config = Arc::new(config);
    let embedded = local.is_some();
    let (service, demo, broken) = match local {
        Some(Local { service, demo, broken }) => (Some(service), Some(demo), broken),
        None => (None, None, std::future::pending().boxed()),
    };
    let shared = Shared {
        demo_load: demo.map(Arc::new),
        ..assemble(config.clone(), service, shutdown.clone()).await?
    };
    let discovery = Discovery::new(&shared);
    let mut watchers = watch(&config, embedded, &discovery).await?;
    watchers.spawn(shared.fleet.clone().compare_flags());
    watchers.spawn(live::keep_history(shared.clone()));
    watchers.spawn(live::take_snapshots(shared.clone()));

    let pushing = scrape::push(shared.clone())?;
    let ended = serve(shared, listeners, shutdown, broken).await;
    if let Some(pushing) = pushing {
        pushing.finish().await;
    }
    watchers.shutdown().await;
    ended
}

/// Serves both ports until the drain is over or the embedded backend breaks.
async fn serve(
    shared: Shared,
    listeners: Listeners,
    shutdown: CancellationToken,
    broken: BoxFuture<'static, anyhow::Error>,
) -> anyhow::Result<()> {
    let limit = shared.config.drain_timeout;
    supervisor::ready("serving");
    // Operators see the drain to its end: the admin port closes last.
    let admin_end = CancellationToken::new();
    let admin = listen::serve(listeners.admin, admin_paths(shared.clone()), admin_end.clone(), ADMIN_CLOSE);
    let admin = tokio::spawn(admin);
    let drained = tokio::select! {
        drained = listen::serve(listeners.client, client_paths(shared.clone()), shutdown, limit) => drained,
        error = broken => return Err(error),
    };
    shared.live.end();
    admin_end.cancel();
    admin.await.context("the admin port's task broke")?;
    anyhow::ensure!(drained, "requests were still running after {} s of drain", limit.as_secs_f64());
    tracing::info!("drained");
    Ok(())
}

async fn assemble(
    config: Arc<Config>,
    local: Option<axum::Router>,
    draining: CancellationToken,
) -> anyhow::Result<Shared> {
    let router_id = format!("r{}", &uuid::Uuid::new_v4().simple().to_string()[..12]);
    let metrics = Arc::new(RouterMetrics::new());
    let ledger = open_ledger(&config, router_id.clone(), metrics.ledger().clone()).await?;
    let upstream = Upstream::new(local);
    let confirmer = Confirmer { upstream: upstream.clone(), grace: config.abandon_grace };
    Ok(Shared {
        desk: Arc::new(Desk::new(ledger.clone(), confirmer, metrics.clone(), router_id)),
        catalogue: Catalogue::new(&config.pools, Duration::from_micros(config.limits.pool_memory)),
        upstream,
        fleet: FleetWatch::new(ledger),
        metrics,
        heard: Heard::default(),
        live: Arc::default(),
        demo_load: None,
        draining,
        started: unix_seconds(),
        config,
    })
}

async fn open_ledger(config: &Config, router_id: String, metrics: LedgerMetrics) -> anyhow::Result<Ledger> {
    let options = LedgerOptions {
        router_id,
        limits: config.limits,
        reset_interval: config.reset_interval,
        on_loss: config.on_redis_loss,
        pools: config.pools.clone(),
        metrics,
    };
    match &config.fleet {
        Fleet::Redis { url, prefix } => {
            let opened = RedisLedger::connect(url, prefix, config.redis_timeout, options).await;
            Ok(Ledger::Redis(opened.context("the ledger in Redis could not be opened")?))
        }
        Fleet::Embedded | Fleet::Static => Ok(Ledger::Memory(MemoryLedger::new(options))),
    }
}

/// Starts the watchers of all backends. Each has looked once when this returns.
async fn watch(config: &Config, embedded: bool, discovery: &Discovery) -> anyhow::Result<JoinSet<()>> {
    let mut watchers = JoinSet::new();
    let mut listed = config.backends.clone();
    if embedded {
        listed.push(EMBEDDED_URL.to_owned());
    }
    let looks = listed.iter().map(|url| look_listed(discovery, url, config.backend_slots));
    // A backend that does not answer now is looked at again every second, so a timeout here loses nothing.
    let _in_time = tokio::time::timeout(FIRST_LOOK, join_all(looks)).await;
    for url in listed {
        watchers.spawn(watch_listed(discovery.clone(), url, config.backend_slots));
    }
    if let Fleet::Redis { url, prefix } = &config.fleet {
        let terms = Terms { connect: FIRST_LOOK, answer: FIRST_LOOK, pushes: None };
        let redis = Connection::open(tidegate_store::address(url)?, &terms).await?;
        let mut watch = RegistrationWatch::new(discovery.clone(), redis, prefix.clone());
        // A router that serves before it knows its backends would refuse what it can serve.
        watch.look().await;
        watchers.spawn(watch.run());
    }
    Ok(watchers)
}
