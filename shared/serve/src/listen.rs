//! Binding an address, taking connections, and letting them finish.

use crate::crowd::{ConnectionLimits, Crowd, Room};
use crate::door::MAX_HEADER_BYTES;
use crate::tls::{Handshake, KnownClient, ServerTls};
use axum::Router;
use axum::body::Body;
use http::Request;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

/// How long a client may take to send a request's head, and leave a kept-alive connection idle: slower ones hold it for
/// nothing.
const HEAD_TIMEOUT: Duration = Duration::from_secs(60);
/// How long a client may take to shake hands.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Requests that one HTTP/2 connection may have open.
const MAX_STREAMS: u32 = 256;
/// Streams that a client may reset before they were looked at, and that this side may reset for a client's mistakes, before the
/// connection is closed: more is an attack ("rapid reset", CVE-2023-44487 and CVE-2025-8671).
const MAX_RESETS: usize = 64;
/// Silence on an HTTP/2 connection after which its client is asked whether it lives, and the time it has to say so.
const PING: Duration = Duration::from_secs(20);
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

/// A socket that is listened on, and who may come in through it.
#[derive(Debug)]
pub struct Entrance {
    /// The socket.
    pub listener: TcpListener,
    /// TLS, where it is spoken.
    pub tls: Option<ServerTls>,
    /// How many may come in.
    pub limits: ConnectionLimits,
}

impl From<TcpListener> for Entrance {
    fn from(listener: TcpListener) -> Self {
        Self { listener, tls: None, limits: ConnectionLimits::default() }
    }
}

/// Serves `app` at `entrance` until `shutdown`, then takes no new connection and waits up to `drain_timeout` for the
/// requests under way. Returns false where some had to be cut.
pub async fn serve(
    entrance: impl Into<Entrance>,
    app: Router,
    shutdown: CancellationToken,
    drain_timeout: Duration,
) -> bool {
    let Entrance { listener, tls, limits } = entrance.into();
    let connections = GracefulShutdown::new();
    let crowd = Crowd::new(limits);
    loop {
        tokio::select! {
            () = shutdown.cancelled() => break,
            accepted = listener.accept() => match accepted {
                // Without room the connection closes at once: that is the cheapest answer there is.
                Ok((stream, from)) => if let Some(room) = crowd.enter(from.ip()) {
                    tokio::spawn(converse(stream, tls.clone(), app.clone(), connections.watcher(), room));
                },
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be taken");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    drop(listener);
    tokio::time::timeout(drain_timeout, connections.shutdown()).await.is_ok()
}

/// One connection from its first byte to its end; `_room` is held as long.
async fn converse(stream: TcpStream, tls: Option<ServerTls>, app: Router, watcher: Watcher, _room: Room) {
    // Small writes of a stream must not wait for each other; a socket that refuses is still a good socket.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY could not be set");
    }
    let Some(tls) = tls else { return speak(stream, protocols().http1_only(), None, app, watcher).await };
    match tokio::time::timeout(HANDSHAKE_TIMEOUT, tls.accept(stream)).await {
        Ok(Ok(stream)) => {
            let Handshake { http_2, known } = Handshake::of(&stream);
            let protocols = if http_2 { protocols().http2_only() } else { protocols().http1_only() };
            speak(stream, protocols, known, app, watcher).await;
        }
        Ok(Err(error)) => tracing::debug!(%error, "a TLS handshake failed"),
        Err(_) => tracing::debug!("a TLS handshake took too long"),
    }
}

/// HTTP on a connection that is open.
async fn speak(
    stream: impl AsyncRead + AsyncWrite + Unpin + 'static,
    protocols: auto::Builder<TokioExecutor>,
    known: Option<KnownClient>,
    app: Router,
    watcher: Watcher,
) {
    let app = app.map_request(move |request: Request<Incoming>| {
        let mut request = request.map(Body::new);
        if let Some(known) = known {
            request.extensions_mut().insert(known);
        }
        request
    });
    let connection = protocols.serve_connection(TokioIo::new(stream), TowerToHyperService::new(app)).into_owned();
    if let Err(error) = watcher.watch(connection).await {
        tracing::debug!(%error, "a connection ended early");
    }
}

/// What HTTP allows a client here.
fn protocols() -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        // Without half-close hyper notices at once that a waiting client has gone, and drops its request.
        .half_close(false);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(MAX_HEADER_BYTES as u32)
        .max_pending_accept_reset_streams(MAX_RESETS)
        .max_local_error_reset_streams(MAX_RESETS)
        .keep_alive_interval(PING)
        .keep_alive_timeout(PING);
    builder
}
