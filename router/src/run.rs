//! Puts a router together and runs it until it is asked to end.

use crate::admin::admin_paths;
use crate::balance::Balance;
use crate::catalogue::Catalogue;
use crate::config::{Config, Fleet, Security};
use crate::confirm::Confirmer;
use crate::demo_load::DemoLoad;
use crate::discovery::heard::Heard;
use crate::discovery::{Discovery, Listing, RegistrationWatch, Sources, Target, VerdictExchange};
use crate::drained::Drained;
use crate::fleet_watch::FleetWatch;
use crate::keys::KeyStore;
use crate::ledger::{Ledger, LedgerOptions, MemoryLedger, RedisLedger};
use crate::live;
use crate::request::permit::Desk;
use crate::scrape;
use crate::server::client_paths;
use crate::shared::{Shared, unix_seconds};
use crate::upstream::{EMBEDDED_URL, Upstream};
use anyhow::Context;
use futures_util::future::{BoxFuture, FutureExt};
use std::sync::Arc;
use std::time::Duration;
use tidegate_serve::body::BodyRoom;
use tidegate_serve::crowd::ConnectionLimits;
use tidegate_serve::listen::{self, Entrance, Patience};
use tidegate_serve::supervisor;
use tidegate_serve::workers::Workers;
use tidegate_store::{Address, Connection, Terms};
use tidegate_telemetry::metrics::{LedgerMetrics, RouterMetrics};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// How long the start waits for a first look at the listed backends: those that answer later join later.
const FIRST_LOOK: Duration = Duration::from_secs(2);
/// How long requests that were cut at the end get to give back what they held.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// How long operators' connections get to end after all else has ended.
const ADMIN_CLOSE: Duration = Duration::from_secs(1);
/// Connections of operators: browsers, scrapers, probes.
const MAX_OPERATORS: usize = 1024;

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
    let workers = Workers::start(config.worker_threads)
        .context("the threads that serve requests could not be started")?;
    let upstream = Upstream::new(service, &config.proxy, &config.security, &workers);
    let shared = assemble(config.clone(), upstream, demo, shutdown, &workers).await?;
    let discovery = Discovery::new(&shared);
    let mut watchers = watch(&config, embedded, &discovery).await?;
    if let Some(keys) = shared.keys.clone() {
        watchers.spawn(keys.watch());
    }
    watchers.spawn(shared.drained.clone().follow());
    watchers.spawn(shared.fleet.clone().compare_flags());
    watchers.spawn(live::keep_history(shared.clone()));
    watchers.spawn(live::take_snapshots(shared.clone()));

    let pushing = scrape::push(shared.clone())?;
    let closing = CancellationToken::new();
    watchers.spawn(begin_drain(shared.clone(), closing.clone()));
    let desk = shared.desk.clone();
    let ended = serve(shared, listeners, workers.clone(), closing, broken).await;
    // What was cut gives its place back, on the workers' threads: the account must not wait for leases to expire.
    desk.settle(LAST_WORDS).await;
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
    workers: Workers,
    closing: CancellationToken,
    broken: BoxFuture<'static, anyhow::Error>,
) -> anyhow::Result<()> {
    let patience = shared.config.proxy.clients;
    let limit = shared.config.drain_timeout;
    supervisor::ready("serving");
    // Operators see the drain to its end: the admin port closes last.
    let admin_end = CancellationToken::new();
    let security = &shared.config.security;
    security.follow();
    let (client, operators) = entrances(listeners, workers, security);
    let admin = admin_paths(shared.clone());
    let in_haste = Patience { farewell: Duration::ZERO, ..patience };
    let admin = listen::serve(operators, admin, in_haste, admin_end.clone(), ADMIN_CLOSE);
    let admin = tokio::spawn(admin);
    let drained = tokio::select! {
        drained = listen::serve(client, client_paths(shared.clone()), patience, closing, limit) => drained,
        error = broken => return Err(error),
    };
    shared.live.end();
    admin_end.cancel();
    admin.await.context("the admin port's task broke")?;
    anyhow::ensure!(drained, "requests were still running after {} s of drain", limit.as_secs_f64());
    tracing::info!("drained");
    Ok(())
}

/// Both sockets with those who may come in.
fn entrances(listeners: Listeners, workers: Workers, security: &Security) -> (Entrance, Entrance) {
    let client = Entrance {
        listener: listeners.client,
        tls: security.tls.clone(),
        limits: security.connections,
        workers,
    };
    let limits = ConnectionLimits { total: MAX_OPERATORS, per_address: MAX_OPERATORS };
    (client, Entrance { tls: security.admin_tls(), limits, ..Entrance::from(listeners.admin) })
}

async fn assemble(
    config: Arc<Config>,
    upstream: Upstream,
    demo: Option<DemoLoad>,
    leaving: CancellationToken,
    workers: &Workers,
) -> anyhow::Result<Shared> {
    let keys = config.api_keys_file.as_deref().map(KeyStore::open).transpose()?;
    let router_id = format!("r{}", &uuid::Uuid::new_v4().simple().to_string()[..12]);
    let metrics = Arc::new(RouterMetrics::new());
    let ledger = open_ledger(&config, router_id.clone(), metrics.ledger().clone(), workers).await?;
    let drained = open_drained(&config).await?;
    let confirmer = Confirmer::new(upstream.clone(), config.abandon_grace);
    let balance = Balance::new(config.balance, config.session_header.clone());
    Ok(Shared {
        bodies: BodyRoom::new(config.max_body_memory),
        desk: Arc::new(Desk::new(ledger.clone(), confirmer, metrics.clone(), router_id, balance)),
        catalogue: Catalogue::new(&config.pools, Duration::from_micros(config.limits.pool_memory)),
        keys,
        upstream,
        fleet: FleetWatch::new(ledger),
        metrics,
        heard: Heard::default(),
        live: Arc::default(),
        demo_load: demo.map(Arc::new),
        draining: CancellationToken::new(),
        leaving,
        drained,
        started: unix_seconds(),
        config,
    })
}

/// Begins the drain once this router was asked to end and load balancers have had their time to notice: `closing` closes the port, and
/// what still comes on kept connections is served until they have been told.
async fn begin_drain(shared: Shared, closing: CancellationToken) {
    shared.leaving.cancelled().await;
    let delay = shared.config.proxy.drain_delay;
    if !delay.is_zero() {
        tracing::info!(seconds = delay.as_secs_f64(), "serving on until load balancers have noticed");
        tokio::time::sleep(delay).await;
    }
    closing.cancel();
    tokio::time::sleep(shared.config.proxy.clients.farewell).await;
    shared.draining.cancel();
}

async fn open_drained(config: &Config) -> anyhow::Result<Drained> {
    let Fleet::Redis { address, prefix } = &config.fleet else { return Ok(Drained::default()) };
    let drained = Drained::shared(open_store(address).await?, prefix);
    drained.look().await;
    Ok(drained)
}

async fn open_store(address: &Address) -> anyhow::Result<Connection> {
    let terms = Terms { connect: FIRST_LOOK, answer: FIRST_LOOK, pushes: None };
    Ok(Connection::open(address.clone(), &terms).await?)
}

async fn open_ledger(
    config: &Config,
    router_id: String,
    metrics: LedgerMetrics,
    workers: &Workers,
) -> anyhow::Result<Ledger> {
    let options = LedgerOptions {
        router_id,
        limits: config.limits,
        reset_interval: config.reset_interval,
        on_loss: config.on_redis_loss,
        pools: config.pools.clone(),
        metrics,
    };
    match &config.fleet {
        Fleet::Redis { address, prefix } => {
            let (address, patience) = (address.as_ref(), config.redis_timeout);
            let opened = RedisLedger::connect(address, prefix, patience, options, workers).await;
            Ok(Ledger::Redis(opened.context("the ledger in Redis could not be opened")?))
        }
        Fleet::Embedded | Fleet::Static => Ok(Ledger::Memory(MemoryLedger::new(options))),
    }
}

/// Where the backends that this router was told of stand.
fn sources(config: &Config, embedded: bool) -> Sources {
    let http2 = config.proxy.backend_http2;
    let urls = config.backends.iter().cloned().chain(embedded.then(|| EMBEDDED_URL.to_owned()));
    Sources {
        fixed: urls.map(|url| Target::new(url, config.backend_slots, http2)).collect(),
        file: config.backends_file.clone(),
        names: config.backend_dns.clone(),
        slots: config.backend_slots,
        http2,
    }
}

/// Starts the watchers of all backends. Each has looked once when this returns.
async fn watch(config: &Config, embedded: bool, discovery: &Discovery) -> anyhow::Result<JoinSet<()>> {
    let mut watchers = JoinSet::new();
    watchers.spawn(discovery.clone().tell_changes());
    let listing = Listing::new(discovery.clone(), sources(config, embedded));
    listing.first_look(FIRST_LOOK).await;
    watchers.spawn(listing.run());
    if let Fleet::Redis { address, prefix } = &config.fleet {
        let redis = open_store(address).await?;
        watchers.spawn(VerdictExchange::new(discovery.roster.clone(), redis.clone(), prefix).run());
        let mut watch = RegistrationWatch::new(discovery.clone(), redis, prefix.clone());
        // A router that serves before it knows its backends would refuse what it can serve.
        watch.look().await;
        watchers.spawn(watch.run());
    }
    Ok(watchers)
}
