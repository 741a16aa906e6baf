//! A backend as a process of its own: load, register, serve, drain.

use crate::{
    config::{Config, Security},
    metrics,
    node::Backend,
    register::Registrar,
    server::loading,
};
use anyhow::Context;
use axum::Router;
use std::{net::SocketAddr, time::Duration};
use tidegate_serve::listen::{Entrance, Patience, serve};
use tidegate_serve::supervisor;
use tokio::{net::TcpListener, sync::watch, time::timeout};
use tokio_util::sync::CancellationToken;

/// Time that clients have to take their answers once all of them are complete; connections that only wait close at once.
const CLOSE_TIME: Duration = Duration::from_secs(10);

/// Time that a model being loaded has to notice that nobody waits for it. The driver of a GPU does not bear a process that ends while one of
/// its threads is in a call; on a CPU nothing is to be waited for.
const LOADING_ENDS: Duration = Duration::from_secs(if cfg!(feature = "cuda") { 20 } else { 0 });

/// Runs a backend on `listener` until `shutdown` completes and what runs has ended.
///
/// # Errors
/// A model that cannot be loaded, an engine that stalled, work that did not end within the drain timeout.
pub async fn run(
    config: Config,
    listener: TcpListener,
    shutdown: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    let address = listener.local_addr().context("the listening socket has no address")?;
    tracing::info!(%address, redis = config.redis.is_some(), "starting with {config}");
    let (service, current) = watch::channel(loading::service(config.max_concurrent_requests));
    let stop = CancellationToken::new();
    let Security { tls, gate, connections } = config.security.clone();
    config.security.follow();
    let paths = gate.guard(loading::following(current));
    let entrance = Entrance { tls, limits: connections, ..Entrance::from(listener) };
    let server = tokio::spawn(serve(entrance, paths, Patience::default(), stop.clone(), CLOSE_TIME));
    let ended = live(&config, address, &service, shutdown).await;
    stop.cancel();
    if !server.await.context("the server panicked")? {
        tracing::warn!("connections were cut that had not taken their answers");
    }
    ended
}

/// From loading to the end of the drain.
async fn live(
    config: &Config,
    address: SocketAddr,
    service: &watch::Sender<Router>,
    shutdown: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    let mut shutdown = std::pin::pin!(shutdown);
    let loading = config.clone();
    let stop = CancellationToken::new();
    let stopped = stop.clone();
    let mut loading = tokio::task::spawn_blocking(move || Backend::load(&loading, stopped));
    let backend = tokio::select! {
        loaded = &mut loading => loaded.context("loading the model panicked")??,
        () = &mut shutdown => {
            stop.cancel();
            // Whether it has ended or not, the process may.
            let _ = timeout(LOADING_ENDS, loading).await;
            return Ok(());
        }
    };
    drop(service.send_replace(backend.service()));
    let registrar = Registrar::start(config, address, &backend).await?;
    log_ready(&backend, address);
    supervisor::ready(&format!("serving {}", backend.model_name()));
    let pushing = metrics::push(&backend)?;
    let ended = until_ended(config, &backend, shutdown).await;
    if let Some(pushing) = pushing {
        pushing.finish().await;
    }
    registrar.leave().await;
    ended
}

/// Waits for the end: a shutdown and the drain after it, or a stalled engine at any time.
async fn until_ended(
    config: &Config,
    backend: &Backend,
    shutdown: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    let drain = async {
        shutdown.await;
        backend.begin_drain();
        tracing::info!(
            running = backend.slots().counts().running,
            "draining: no new work, what runs goes on"
        );
        timeout(config.drain_timeout, backend.drained()).await
    };
    tokio::select! {
        drained = drain => {
            let running = backend.slots().counts();
            drained.with_context(|| format!("the drain timeout has passed; still held: {running:?}"))?;
            tracing::info!("drained");
            Ok(())
        }
        stalled = backend.supervise() => {
            tracing::error!(%stalled, "unready");
            Err(stalled.into())
        }
    }
}

fn log_ready(backend: &Backend, address: SocketAddr) {
    let info = backend.model_info();
    tracing::info!(
        %address,
        model = backend.model_name(),
        architecture = %info.architecture,
        parameters = info.parameters,
        precision = %info.precision(),
        device = %info.device,
        context = backend.engine().context_length(),
        "ready"
    );
}
