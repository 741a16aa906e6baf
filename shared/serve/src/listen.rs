//! Binding an address, taking connections, and letting them finish.
//!
//! A connection speaks HTTP/1.1 or, where it begins with that protocol's preface or was agreed on in a TLS handshake, HTTP/2 (RFC 9113,
//! sections 3.2 and 3.3).

use crate::app::{App, OnConnection};
use crate::batched::Batched;
use crate::bell::{Bell, Belled};
use crate::crowd::{ConnectionLimits, Crowd, Room};
use crate::farewell::{self, FAREWELL};
use crate::protocol::Protocol;
use crate::tls::{Handshake, KnownClient, ServerTls};
use crate::workers::{Place, Workers};
use axum::BoxError;
use http::HeaderValue;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use socket2::SockRef;
use std::net::{IpAddr, SocketAddr, TcpStream as BareStream};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

/// The pause after an `accept` that failed because the process has no file descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Requests that one HTTP/2 connection may have under way.
const MAX_STREAMS: u32 = 256;
/// Streams that a client may reset before they were looked at, and that this side may reset for a client's mistakes, before the
/// connection is closed: more is an attack ("rapid reset", CVE-2023-44487, and its kin).
const MAX_RESETS: usize = 64;
/// Between two questions to a silent HTTP/2 client whether it is still there, and time for its answer.
const PING: Duration = Duration::from_secs(20);

/// How long a client may take to shake hands.
const HANDSHAKE: Duration = Duration::from_secs(10);

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

/// How long a server waits for its clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// For a request's head, and for the next request on a connection.
    pub head: Duration,
    /// For a client that takes nothing of what is sent to it. Linux only.
    pub write: Duration,
    /// At the end, for requests on connections that clients keep: see [`farewell`].
    pub farewell: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { head: Duration::from_secs(75), write: Duration::from_secs(60), farewell: FAREWELL }
    }
}

/// Where a request came from: stands among its extensions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// The other end of the connection, as headers name it: an IPv4 address that came in as one of IPv6 is one of IPv4.
    pub address: HeaderValue,
    /// `http` or `https`.
    pub proto: HeaderValue,
}

impl Peer {
    /// Who is at `address`, over `http` or `https`. Made once for a connection, since each of its requests tells it.
    #[must_use]
    pub fn new(address: SocketAddr, proto: &'static str) -> Self {
        let text = address.ip().to_canonical().to_string();
        let address = HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("unknown"));
        Self { address, proto: HeaderValue::from_static(proto) }
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
    /// Who serves them.
    pub workers: Workers,
}

impl From<TcpListener> for Entrance {
    fn from(listener: TcpListener) -> Self {
        Self { listener, tls: None, limits: ConnectionLimits::default(), workers: Workers::here() }
    }
}

/// Serves `app` at `entrance` until `shutdown`, then takes no new connection and waits up to `drain_timeout` for the
/// requests under way and those that come on kept connections within `patience.farewell`. What runs then is cut, and has been
/// dropped when this returns. Returns false where some had to be cut.
pub async fn serve(
    entrance: impl Into<Entrance>,
    app: impl App,
    patience: Patience,
    shutdown: CancellationToken,
    drain_timeout: Duration,
) -> bool {
    let Entrance { listener, tls, limits, workers } = entrance.into();
    let host = Host { app, tls, patience, leaving: Arc::new(shutdown.clone()) };
    let (crowd, graceful, connections) = (Crowd::new(limits), GracefulShutdown::new(), JoinSet::new());
    let mut hall = Hall { host, crowd, workers, graceful, connections };
    loop {
        tokio::select! {
            () = shutdown.cancelled() => break,
            // Ended ones are taken out, or the set would grow.
            Some(_ended) = hall.connections.join_next() => {}
            accepted = accept(&listener) => match accepted {
                Ok((stream, peer)) => hall.enter(stream, peer),
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be taken");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    for (stream, peer) in farewell::last_connections(listener) {
        hall.enter(stream, peer);
    }
    let Hall { graceful, mut connections, .. } = hall;
    let drained =
        tokio::time::timeout(drain_timeout, farewell::part(graceful, patience.farewell)).await.is_ok();
    connections.shutdown().await;
    drained
}

/// The next connection, bound to no runtime.
async fn accept(listener: &TcpListener) -> std::io::Result<(BareStream, SocketAddr)> {
    let (stream, peer) = listener.accept().await?;
    Ok((stream.into_std()?, peer))
}

/// The connections that are there.
struct Hall<A> {
    host: Host<A>,
    crowd: Crowd,
    workers: Workers,
    graceful: GracefulShutdown,
    connections: JoinSet<()>,
}

impl<A: App> Hall<A> {
    /// Lets a connection in. Without room it closes at once: that is the cheapest answer there is.
    fn enter(&mut self, stream: BareStream, peer: SocketAddr) {
        let Some(room) = self.crowd.enter(peer.ip()) else { return };
        let (worker, place) = self.workers.engage();
        let attended = self.host.clone().attend(stream, peer, (room, place), self.graceful.watcher());
        self.connections.spawn_on(attended, worker);
    }
}

/// What is said on one connection, to its end. On the heap, so that whoever waits for it has room for no more than a pointer.
type Conversation = Pin<Box<dyn Future<Output = Result<(), BoxError>> + Send>>;

/// Who attends to connections, and how. Clones share it.
#[derive(Clone)]
struct Host<A> {
    app: A,
    tls: Option<ServerTls>,
    patience: Patience,
    /// Cancelled once the port closes.
    leaving: Arc<CancellationToken>,
}

impl<A: App> Host<A> {
    /// Serves one connection to its end, on the thread that does it; `_held` is held as long.
    async fn attend(self, stream: BareStream, address: SocketAddr, _held: (Room, Place), watcher: Watcher) {
        let stream = match TcpStream::from_std(stream) {
            Ok(stream) => stream,
            Err(error) => return tracing::warn!(%error, "a connection could not be taken"),
        };
        prepare(&stream, self.patience);
        let begun = Arc::new(Notify::new());
        let until = Instant::now() + self.patience.head;
        let Some(tls) = &self.tls else {
            let Some(protocol) = self.protocol(&stream, until).await else { return };
            let (peer, stream) = (Peer::new(address, "http"), Batched::new(stream));
            let conversation = self.converse(stream, protocol, peer, None, watcher, begun.clone());
            return follow(conversation, &begun, until).await;
        };
        let handshake = Box::pin(tls.accept(Batched::new(stream)));
        let stream = match tokio::time::timeout(self.patience.head.min(HANDSHAKE), handshake).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return tracing::debug!(%error, "a TLS handshake failed"),
            Err(_) => return tracing::debug!("a TLS handshake took too long"),
        };
        let Handshake { http_2, known } = Handshake::of(&stream);
        let protocol = if http_2 { Protocol::Http2 } else { Protocol::Http1 };
        let peer = Peer::new(address, "https");
        let conversation = self.converse(stream, protocol, peer, known, watcher, begun.clone());
        follow(conversation, &begun, Instant::now() + self.patience.head).await;
    }

    /// What a connection in the clear begins with; none where it does not begin in time.
    async fn protocol(&self, stream: &TcpStream, until: Instant) -> Option<Protocol> {
        tokio::select! {
            protocol = timeout_at(until, Protocol::of(stream)) => protocol.ok(),
            // The last clients of a port that closes are waited for as one conversation.
            () = self.leaving.cancelled() => Some(Protocol::Unknown),
        }
    }

    /// HTTP on a connection that is open; `begun` is told of requests.
    fn converse(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        protocol: Protocol,
        peer: Peer,
        known: Option<KnownClient>,
        watcher: Watcher,
        begun: Arc<Notify>,
    ) -> Conversation {
        let (app, leaving) = (self.app.clone(), self.leaving.clone());
        let bell = Arc::new(Bell::default());
        let app = OnConnection { app, peer, known, begun, bell: bell.clone(), leaving };
        let builder = protocol.only(builder(self.patience));
        let connection = builder.serve_connection(TokioIo::new(stream), app);
        Box::pin(Belled::new(Box::pin(watcher.watch(connection.into_owned())), bell))
    }
}

/// Follows a conversation to its end, if its first request has come by `until`.
async fn follow(mut conversation: Conversation, begun: &Notify, until: Instant) {
    // A builder that does not know the protocol waits for its first bytes without a limit, and so does HTTP/2 for the first
    // request.
    let ended = tokio::select! {
        ended = &mut conversation => Some(ended),
        begun = timeout_at(until, begun.notified()) => match begun {
            Ok(()) => None,
            Err(_) => return,
        },
    };
    let ended = match ended {
        Some(ended) => ended,
        None => conversation.await,
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}

/// Sets what tokio and hyper leave as it is. A socket that refuses is still a good socket.
fn prepare(stream: &TcpStream, patience: Patience) {
    // Small writes of a stream must not wait for each other.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY could not be set");
    }
    // TCP itself would wait a quarter of an hour for a client that has vanished, and for ever for one that reads nothing.
    #[cfg(target_os = "linux")]
    if let Err(error) = SockRef::from(stream).set_tcp_user_timeout(Some(patience.write)) {
        tracing::debug!(%error, "TCP_USER_TIMEOUT could not be set");
    }
    #[cfg(not(target_os = "linux"))]
    let _ = patience;
}

fn builder(patience: Patience) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(patience.head)
        // Without half-close hyper notices at once that a waiting client has gone, and drops its request.
        .half_close(false);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(2 * crate::door::MAX_HEADER_BYTES as u32)
        .max_pending_accept_reset_streams(MAX_RESETS)
        .max_local_error_reset_streams(MAX_RESETS)
        .keep_alive_interval(PING)
        .keep_alive_timeout(PING);
    builder
}
