//! Binding an address, taking connections, and letting them finish.

use crate::farewell;
use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

/// How long a client may take to send a request's head, and leave a kept-alive connection idle: slower ones hold it for
/// nothing.
const HEAD_TIMEOUT: Duration = Duration::from_secs(60);
/// The pause after an `accept` that failed because the process has no file descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// An address that could not be listened on.
#[derive(Debug)]
pub struct BindError {
    address: SocketAddr,
    flag: &'static str,
    source: std::io::Error,
}

impl std::fmt::Display for BindError {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "cannot listen on {}: {}; choose another with --{}", self.address, self.source, self.flag)
    }
}

impl std::error::Error for BindError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

/// Listens on `host` and `port`; `flag` is the flag that set the port, for the error's sake.
///
/// # Errors
/// If the address is taken or not this machine's.
pub async fn bind(host: IpAddr, port: u16, flag: &'static str) -> Result<TcpListener, BindError> {
    let address = SocketAddr::new(host, port);
    TcpListener::bind(address).await.map_err(|source| BindError { address, flag, source })
}

/// Serves `app` on `listener` until `shutdown`, then takes no new connection and waits up to `drain_timeout` for the
/// requests under way, among them those that come on kept-alive connections within the next second. Returns false where some had to
/// be cut.
pub async fn serve(
    listener: TcpListener,
    app: Router,
    shutdown: CancellationToken,
    drain_timeout: Duration,
) -> bool {
    let connections = GracefulShutdown::new();
    loop {
        tokio::select! {
            () = shutdown.cancelled() => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => spawn_connection(stream, app.clone(), shutdown.clone(), connections.watcher()),
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be taken");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    for stream in farewell::last_connections(listener) {
        spawn_connection(stream, app.clone(), shutdown.clone(), connections.watcher());
    }
    tokio::time::timeout(drain_timeout, farewell::part(connections)).await.is_ok()
}

fn spawn_connection(stream: TcpStream, app: Router, shutdown: CancellationToken, watcher: Watcher) {
    // Small writes of a stream must not wait for each other; a socket that refuses is still a good socket.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY could not be set");
    }
    // Without half-close hyper notices at once that a waiting client has gone, and drops its request.
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .half_close(false)
        .serve_connection(
            TokioIo::new(stream),
            TowerToHyperService::new(farewell::last_answers(app, shutdown)),
        );
    tokio::spawn(async move {
        if let Err(error) = watcher.watch(connection).await {
            tracing::debug!(%error, "a connection ended early");
        }
    });
}
