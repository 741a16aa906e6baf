//! Binding an address, taking connections, and letting them finish.

use axum::Router;
use axum::response::Response;
use http::HeaderValue;
use http::header::CONNECTION;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

/// How long a client may take to send a request's head, and leave a kept-alive connection idle: slower ones hold it for
/// nothing.
const HEAD_TIMEOUT: Duration = Duration::from_secs(60);
/// The pause after an `accept` that failed because the process has no file descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// How long kept-alive connections are still served after the last one was taken. A load balancer may have sent a request on one of
/// them before it could know; each answer tells it to close the connection.
const FAREWELL: Duration = Duration::from_secs(1);

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
    for stream in last_connections(listener) {
        spawn_connection(stream, app.clone(), shutdown.clone(), connections.watcher());
    }
    let drain = async {
        if connections.count() > 0 {
            tokio::time::sleep(FAREWELL).await;
        }
        connections.shutdown().await;
    };
    tokio::time::timeout(drain_timeout, drain).await.is_ok()
}

/// Closes the listener, and returns what has connected by then: closing it would reset those, with what they have sent.
fn last_connections(listener: TcpListener) -> Vec<TcpStream> {
    // The bare socket says at once whether anybody waits; the runtime's knows only what its last poll has seen.
    let Ok(listener) = listener.into_std() else { return Vec::new() };
    let taken = std::iter::from_fn(|| listener.accept().ok());
    taken
        .filter_map(|(stream, _)| {
            stream.set_nonblocking(true).and_then(|()| TcpStream::from_std(stream)).ok()
        })
        .collect()
}

fn spawn_connection(stream: TcpStream, app: Router, shutdown: CancellationToken, watcher: Watcher) {
    // Small writes of a stream must not wait for each other; a socket that refuses is still a good socket.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY could not be set");
    }
    let app = app.into_service::<hyper::body::Incoming>().map_response(move |mut response: Response| {
        if shutdown.is_cancelled() {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    });
    // Without half-close hyper notices at once that a waiting client has gone, and drops its request.
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .half_close(false)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(app));
    tokio::spawn(async move {
        if let Err(error) = watcher.watch(connection).await {
            tracing::debug!(%error, "a connection ended early");
        }
    });
}
