//! HTTP/1.1 to backends: a connection carries one request after the other, and the one that was used last is used again.
//!
//! The pooled client of hyper-util is not used for this: for each request it hashes the name of the host and starts a task that waits
//! for the connection, which is a tenth of the work that a request makes here.

use super::address::Address;
use super::by_url::{ByUrl, Kept};
use super::connector::Connector;
use super::lent::LentBody;
use super::line::Line;
use super::{UpstreamError, innermost};
use axum::body::Body;
use http::{Request, Response};
use hyper::client::conn::http1::Builder;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;
use tokio::task::unconstrained;
use tokio::time::Instant;
use tower::ServiceExt;

/// How long a connection may take until it is ready again after an answer's end: a backend may answer before it has read all that it
/// was asked.
const LINGER: Duration = Duration::from_secs(1);
/// Between two looks at whether connections that nobody uses have been closed by the other side.
const LOOK: Duration = Duration::from_secs(1);
/// The shortest time between two such looks.
const MIN_LOOK: Duration = Duration::from_millis(100);

/// The HTTP/1.1 connections of one worker.
#[derive(Debug)]
pub(super) struct Http1 {
    connector: Connector,
    builder: Builder,
    /// How long a connection that carries nothing is kept.
    keep_alive: Duration,
    backends: ByUrl<Backend>,
}

/// The connections to one backend that carry nothing.
#[derive(Debug)]
struct Backend {
    address: Address,
    idle: Mutex<Idle>,
}

#[derive(Debug, Default)]
struct Idle {
    /// Since when each carries nothing. The one that was used last is the last.
    lines: Vec<(Line, Instant)>,
    /// Whether a task closes those that nobody uses.
    is_swept: bool,
}

/// A connection that carries a request. It closes when this is dropped.
#[derive(Debug)]
pub(super) struct Lent {
    pub(super) line: Line,
    backend: Arc<Backend>,
    keep_alive: Duration,
}

impl Http1 {
    pub(super) fn new(connector: Connector, keep_alive: Duration) -> Self {
        Self { connector, builder: Builder::new(), keep_alive, backends: ByUrl::default() }
    }

    /// Sends one request to the backend at `url`. A connection that ended before any of it was sent gives it back, and the next one
    /// takes it.
    pub(super) async fn send(
        &self,
        url: &str,
        mut request: Box<Request<Body>>,
    ) -> Result<Response<Body>, UpstreamError> {
        let backend = self.backends.get(url)?;
        backend.address.write_http1(&mut request)?;
        loop {
            let idle = backend.take(self.keep_alive);
            let is_new = idle.is_none();
            let mut line = match idle {
                Some(line) => line,
                None => Box::pin(self.open(&backend.address)).await?,
            };
            match line.ask(*request).await {
                Ok(response) => {
                    let lent = Lent { line, backend, keep_alive: self.keep_alive };
                    return Ok(response.map(|body| Body::new(LentBody::new(body, lent))));
                }
                Err(mut error) => match error.take_message() {
                    Some(unsent) if !is_new => *request = unsent,
                    _ => return Err(UpstreamError::Http(error.into_error())),
                },
            }
        }
    }

    async fn open(&self, address: &Address) -> Result<Line, UpstreamError> {
        let opened = self.connector.clone().oneshot(address.url().clone()).await;
        let opened = opened.map_err(|error| UpstreamError::Connect(innermost(&*error).into()))?;
        Line::new(&self.builder, opened).await.map_err(UpstreamError::Http)
    }
}

impl Backend {
    /// A connection that carries nothing and was used not longer ago than `keep_alive`.
    fn take(&self, keep_alive: Duration) -> Option<Line> {
        let mut idle = self.idle();
        while let Some((line, since)) = idle.lines.pop() {
            if since.elapsed() > keep_alive {
                // All others have waited for longer.
                idle.lines.clear();
            } else if line.is_ready() {
                return Some(line);
            }
        }
        None
    }

    /// Keeps a connection for the next request.
    fn put(self: &Arc<Self>, line: Line, keep_alive: Duration) {
        line.rest();
        let mut idle = self.idle();
        idle.lines.push((line, Instant::now()));
        if !std::mem::replace(&mut idle.is_swept, true) {
            // However many there are, each is looked at.
            tokio::spawn(unconstrained(sweep(Arc::downgrade(self), keep_alive)));
        }
    }

    fn idle(&self) -> MutexGuard<'_, Idle> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept for Backend {
    fn at(address: Address) -> Self {
        Self { address, idle: Mutex::default() }
    }

    fn is_empty(&self) -> bool {
        self.idle().lines.is_empty()
    }
}

impl Lent {
    /// The answer has ended: the next request may have the connection.
    pub(super) fn give_back(mut self) {
        if self.line.is_ready_now() {
            self.backend.put(self.line, self.keep_alive);
        } else if !self.line.has_ended() {
            tokio::spawn(async move {
                if let Ok(true) = tokio::time::timeout(LINGER, self.line.ready()).await {
                    self.backend.put(self.line, self.keep_alive);
                }
            });
        }
    }
}

/// Closes connections that nobody uses, and those that the other side has closed, until there is none.
async fn sweep(backend: Weak<Backend>, keep_alive: Duration) {
    loop {
        tokio::time::sleep(keep_alive.clamp(MIN_LOOK, LOOK)).await;
        let Some(backend) = backend.upgrade() else { return };
        let mut idle = backend.idle();
        idle.lines.retain_mut(|(line, since)| since.elapsed() < keep_alive && line.is_alive());
        if idle.lines.is_empty() {
            idle.is_swept = false;
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper_util::client::legacy::connect::HttpConnector;
    use tokio::net::TcpListener;

    /// More connections than a task may read from before others have their turn.
    const MANY: usize = 300;

    #[tokio::test(start_paused = true)]
    async fn all_connections_that_the_backend_has_closed_go_at_the_next_look() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let keep_alive = LOOK * 60;
        let http1 = Http1::new(Connector::new(HttpConnector::new(), None), keep_alive);
        let backend = http1.backends.get(&url).unwrap();
        let mut accepted = Vec::new();
        for _ in 0..MANY {
            let address = Address::parse(&url).unwrap();
            let (line, peer) = tokio::join!(http1.open(&address), listener.accept());
            accepted.push(peer.unwrap());
            backend.put(line.unwrap(), keep_alive);
        }
        tokio::time::sleep(LOOK * 2).await;
        assert_eq!(backend.idle().lines.len(), MANY);
        drop(accepted);
        tokio::time::sleep(LOOK * 2).await;
        assert_eq!(backend.idle().lines.len(), 0);
    }
}
