//! HTTP/2 to backends: each connection carries many requests at once.
//!
//! The pooled client of hyper-util is not used for this: it has one connection for each backend, so that a request waits where that has
//! no stream left, and it fails all that wait for a connection when the client leaves for whose request it was being opened.

use super::address::Address;
use super::by_url::{ByUrl, Kept};
use super::connector::{Connector, Opened};
use super::whole::WholeBody;
use super::{PROBE_AFTER, PROBES, UpstreamError, innermost};
use axum::body::Body;
use http::{Request, Response, header};
use hyper::client::conn::http2::{Builder, Connection, SendRequest};
use hyper_util::client::legacy::connect::Connection as _;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;
use tokio::time::Instant;
use tower::ServiceExt;

/// Requests that one connection carries at once: every server should let a client have so many (RFC 9113, section 6.5.2).
const STREAMS: usize = 100;
/// What a backend may send of an answer that nobody reads. A stream that stalls holds up no other: all together fit the window of
/// their connection.
const STREAM_WINDOW: u32 = 64 << 10;
const CONNECTION_WINDOW: u32 = 16 << 20;
/// Streams that are remembered for a second after their client has left: pieces of theirs that are still on the way are no
/// error of the backend.
const REMEMBERED: usize = 16_384;
/// Pieces of streams that were forgotten by then, after which the connection ends.
const STRAY: usize = 65_536;
/// How often a request that was not sent, because its connection ended in that moment, is given another one.
const ATTEMPTS: u32 = 3;
/// How long a backend is taken for one that speaks only HTTP/1.1, once it has chosen that.
const HTTP_1_FOR: Duration = Duration::from_secs(60);
/// The shortest time between two looks at whether a connection is still used.
const MIN_LOOK: Duration = Duration::from_millis(100);

type Spoken = Connection<Opened, Body, TokioExecutor>;

/// The HTTP/2 connections of one worker.
#[derive(Debug)]
pub(super) struct Http2 {
    connector: Connector,
    builder: Builder<TokioExecutor>,
    /// How long a connection that carries nothing is kept.
    keep_alive: Duration,
    backends: ByUrl<Backend>,
}

/// What came of a request.
pub(super) enum Sent {
    /// It was answered.
    Answered(Response<Body>),
    /// The backend chose HTTP/1.1: nothing was sent.
    SpeaksHttp1(Box<Request<Body>>),
}

/// The connections to one backend.
#[derive(Debug)]
struct Backend {
    address: Address,
    lines: Mutex<Lines>,
    /// Held by whoever opens a connection, while others wait for it. When the last attempt failed, and why: it failed for all who waited.
    door: tokio::sync::Mutex<Option<(Instant, Arc<str>)>>,
}

#[derive(Debug, Default)]
struct Lines {
    open: Vec<Line>,
    /// It chose HTTP/1.1 then.
    http_1: Option<Instant>,
}

/// One connection.
#[derive(Debug, Clone)]
struct Line {
    sender: SendRequest<Body>,
    /// One for the pool and one for each stream.
    streams: Arc<()>,
    /// When a request last took it.
    used: Instant,
}

/// How a request goes to a backend.
enum Way {
    Http2(Line),
    Http1,
}

impl Http2 {
    pub(super) fn new(connector: Connector, keep_alive: Duration) -> Self {
        let mut builder = Builder::new(TokioExecutor::new());
        builder
            .timer(TokioTimer::new())
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_concurrent_reset_streams(REMEMBERED)
            .max_local_error_reset_streams(STRAY)
            // A machine that has vanished sends no end. As patient as TCP's own questions: a backend may think for some seconds.
            .keep_alive_interval(PROBE_AFTER)
            .keep_alive_timeout(PROBE_AFTER * PROBES);
        Self { connector, builder, keep_alive, backends: ByUrl::default() }
    }

    /// Sends one request to the backend at `url`.
    pub(super) async fn send(
        &self,
        url: &str,
        mut request: Box<Request<Body>>,
    ) -> Result<Sent, UpstreamError> {
        let backend = self.backends.get(url)?;
        let asked = request.uri().clone();
        // It names headers of one connection, and HTTP/2 has none: `te: trailers` stands for itself.
        let of_connection = request.headers_mut().remove(header::CONNECTION);
        let mut attempts = 0;
        loop {
            let Way::Http2(Line { mut sender, streams, .. }) = self.way(&backend).await? else {
                *request.uri_mut() = asked;
                request.headers_mut().extend(of_connection.map(|names| (header::CONNECTION, names)));
                return Ok(Sent::SpeaksHttp1(request));
            };
            *request.uri_mut() = backend.address.target(&asked)?;
            attempts += 1;
            match sender.try_send_request(*request).await {
                Ok(response) => {
                    return Ok(Sent::Answered(response.map(|body| Body::new(WholeBody::new(body, streams)))));
                }
                Err(mut error) => match error.take_message() {
                    Some(unsent) if attempts < ATTEMPTS => *request = unsent,
                    _ => return Err(UpstreamError::Http(error.into_error())),
                },
            }
        }
    }

    /// A connection with room for one more stream; a new one where there is none.
    async fn way(&self, backend: &Arc<Backend>) -> Result<Way, UpstreamError> {
        if let Some(way) = backend.known(self.keep_alive) {
            return Ok(way);
        }
        let asked = Instant::now();
        let mut failed = backend.door.lock().await;
        if let Some(way) = backend.known(self.keep_alive) {
            return Ok(way);
        }
        if let Some((at, why)) = &*failed
            && *at >= asked
        {
            return Err(UpstreamError::Connect(why.clone()));
        }
        match self.open(&backend.address).await {
            Ok(Some((sender, connection))) => {
                let line = Line { sender, streams: Arc::default(), used: Instant::now() };
                backend.lines().open.push(line.clone());
                tokio::spawn(keep(connection, Arc::downgrade(backend), self.keep_alive));
                Ok(Way::Http2(line))
            }
            Ok(None) => {
                backend.lines().http_1 = Some(Instant::now());
                Ok(Way::Http1)
            }
            Err(error) => {
                let why: Arc<str> = innermost(&*error).into();
                *failed = Some((Instant::now(), why.clone()));
                Err(UpstreamError::Connect(why))
            }
        }
    }

    /// Opens a connection; none where the backend chose HTTP/1.1.
    async fn open(
        &self,
        address: &Address,
    ) -> Result<Option<(SendRequest<Body>, Spoken)>, Box<dyn std::error::Error + Send + Sync>> {
        let url = address.url();
        let prior_knowledge = url.scheme() != Some(&http::uri::Scheme::HTTPS);
        let opened = self.connector.clone().oneshot(url.clone()).await?;
        if !prior_knowledge && !opened.connected().is_negotiated_h2() {
            return Ok(None);
        }
        Ok(Some(self.builder.handshake(opened).await?))
    }
}

impl Backend {
    /// How a request can go without a new connection.
    fn known(&self, keep_alive: Duration) -> Option<Way> {
        let now = Instant::now();
        let mut lines = self.lines();
        if lines.http_1.is_some_and(|since| now.duration_since(since) < HTTP_1_FOR) {
            return Some(Way::Http1);
        }
        lines.drop_unused(keep_alive, now);
        // The first one with room, so that those behind it fall out of use.
        let line = lines.open.iter_mut().find(|line| line.streams() < STREAMS)?;
        line.used = now;
        Some(Way::Http2(line.clone()))
    }

    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept for Backend {
    fn at(address: Address) -> Self {
        Self { address, lines: Mutex::default(), door: tokio::sync::Mutex::default() }
    }

    fn is_empty(&self) -> bool {
        self.lines().open.is_empty()
    }
}

impl Lines {
    /// Lets connections go that have ended, or were not used for so long: they close by themselves.
    fn drop_unused(&mut self, keep_alive: Duration, now: Instant) {
        self.open.retain(|line| {
            let in_use = line.streams() > 0 || now.duration_since(line.used) <= keep_alive;
            in_use && !line.sender.is_closed()
        });
    }
}

impl Line {
    /// Requests that it carries.
    fn streams(&self) -> usize {
        Arc::strong_count(&self.streams) - 1
    }
}

/// Drives a connection to its end, which comes soon after it has fallen out of use.
async fn keep(connection: Spoken, backend: Weak<Backend>, keep_alive: Duration) {
    let mut connection = std::pin::pin!(connection);
    let ended = loop {
        match tokio::time::timeout(keep_alive.max(MIN_LOOK), &mut connection).await {
            Ok(ended) => break ended,
            Err(_) => {
                if let Some(backend) = backend.upgrade() {
                    backend.lines().drop_unused(keep_alive, Instant::now());
                }
            }
        }
    };
    if let Err(error) = ended {
        tracing::debug!(error = innermost(&error), "an HTTP/2 connection to a backend broke");
    }
}
