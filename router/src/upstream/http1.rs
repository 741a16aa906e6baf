//! HTTP/1.1 to backends: a connection carries one request after the other, and the one that was used last is used again.
//!
//! The pooled client of hyper-util is not used for this: for each request it hashes the name of the host and starts a task that waits
//! for the connection, which is a tenth of the work that a request makes here.

use super::by_url::{ByUrl, Kept};
use super::connector::{Connector, Opened};
use super::lent::LentBody;
use super::{UpstreamError, innermost};
use axum::body::Body;
use http::uri::PathAndQuery;
use http::{HeaderValue, Request, Response, Uri, header};
use hyper::client::conn::http1::{Builder, Connection, SendRequest};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;
use tokio::task::AbortHandle;
use tokio::time::Instant;
use tower::ServiceExt;

/// How long a connection may take until it is ready again after an answer's end: a backend may answer before it has read all that it
/// was asked.
const LINGER: Duration = Duration::from_secs(1);
/// The shortest time between two looks at whether connections are still used.
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
#[derive(Debug, Default)]
struct Backend(Mutex<Idle>);

#[derive(Debug, Default)]
struct Idle {
    /// Since when each carries nothing. The one that was used last is the last.
    connections: Vec<(Line, Instant)>,
    /// Whether a task closes those that nobody uses.
    is_swept: bool,
}

/// One connection.
#[derive(Debug)]
struct Line {
    sender: SendRequest<Body>,
    /// The task that drives it.
    driver: AbortHandle,
}

/// A connection that carries a request.
#[derive(Debug)]
pub(super) struct Lent {
    line: Line,
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
        mut request: Request<Body>,
    ) -> Result<Response<Body>, UpstreamError> {
        address(&mut request);
        let backend = self.backends.get(url);
        loop {
            let idle = backend.take(self.keep_alive);
            let is_new = idle.is_none();
            let mut line = match idle {
                Some(line) => line,
                None => Box::pin(self.open(url)).await?,
            };
            match line.sender.try_send_request(request).await {
                Ok(response) => {
                    let lent = Lent { line, backend, keep_alive: self.keep_alive };
                    return Ok(response.map(|body| Body::new(LentBody::new(body, lent))));
                }
                Err(mut error) => match error.take_message() {
                    Some(unsent) if !is_new => request = unsent,
                    _ => return Err(UpstreamError::Http(error.into_error())),
                },
            }
        }
    }

    async fn open(&self, url: &str) -> Result<Line, UpstreamError> {
        let opened = match url.parse::<Uri>() {
            Ok(url) => self.connector.clone().oneshot(url).await,
            Err(error) => Err(error.into()),
        };
        let opened = opened.map_err(|error| UpstreamError::Connect(innermost(&*error).into()))?;
        let (sender, connection) = self.builder.handshake(opened).await.map_err(UpstreamError::Http)?;
        Ok(Line { sender, driver: tokio::spawn(keep(connection)).abort_handle() })
    }
}

/// Names the backend and the resource as HTTP/1.1 does: the host in a header, without a password, and the path alone as the target.
fn address(request: &mut Request<Body>) {
    let uri = std::mem::take(request.uri_mut());
    let host = uri.authority().map(|authority| {
        let authority = authority.as_str();
        authority.rsplit_once('@').map_or(authority, |(_, host)| host)
    });
    if let Some(host) = host.and_then(|host| HeaderValue::from_str(host).ok()) {
        request.headers_mut().insert(header::HOST, host);
    }
    let path = uri.into_parts().path_and_query;
    *request.uri_mut() = Uri::from(path.unwrap_or_else(|| PathAndQuery::from_static("/")));
}

/// Drives a connection to its end.
async fn keep(connection: Connection<Opened, Body>) {
    if let Err(error) = connection.await {
        tracing::debug!(error = innermost(&error), "an HTTP/1.1 connection to a backend broke");
    }
}

impl Backend {
    /// A connection that carries nothing and was used not longer ago than `keep_alive`.
    fn take(&self, keep_alive: Duration) -> Option<Line> {
        let mut idle = self.idle();
        while let Some((line, since)) = idle.connections.pop() {
            if since.elapsed() > keep_alive {
                // All others have waited for longer.
                idle.connections.clear();
            } else if line.sender.is_ready() {
                return Some(line);
            }
        }
        None
    }

    /// Keeps a connection for the next request.
    fn put(self: &Arc<Self>, line: Line, keep_alive: Duration) {
        let mut idle = self.idle();
        idle.connections.push((line, Instant::now()));
        if !std::mem::replace(&mut idle.is_swept, true) {
            tokio::spawn(sweep(Arc::downgrade(self), keep_alive));
        }
    }

    fn idle(&self) -> MutexGuard<'_, Idle> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept for Backend {
    fn is_empty(&self) -> bool {
        self.idle().connections.is_empty()
    }
}

impl Lent {
    /// The answer has ended: the next request may have the connection.
    pub(super) fn give_back(mut self) {
        if self.line.sender.is_ready() {
            self.backend.put(self.line, self.keep_alive);
        } else if !self.line.sender.is_closed() {
            tokio::spawn(async move {
                match tokio::time::timeout(LINGER, self.line.sender.ready()).await {
                    Ok(Ok(())) => self.backend.put(self.line, self.keep_alive),
                    _ => self.cut(),
                }
            });
        }
    }

    /// Closes the connection at once, whatever it carries.
    pub(super) fn cut(self) {
        self.line.driver.abort();
    }
}

/// Closes connections that nobody uses, until there is none.
async fn sweep(backend: Weak<Backend>, keep_alive: Duration) {
    loop {
        tokio::time::sleep(keep_alive.max(MIN_LOOK)).await;
        let Some(backend) = backend.upgrade() else { return };
        let mut idle = backend.idle();
        idle.connections.retain(|(line, since)| line.sender.is_ready() && since.elapsed() < keep_alive);
        if idle.connections.is_empty() {
            idle.is_swept = false;
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backend_is_named_by_its_host_without_a_password() {
        let named = |url: &str| {
            let mut request = Request::get(url).body(Body::empty()).unwrap();
            address(&mut request);
            (request.headers()[header::HOST].to_str().unwrap().to_owned(), request.uri().to_string())
        };
        assert_eq!(named("http://h:1/base/v1/models?x=1"), ("h:1".into(), "/base/v1/models?x=1".into()));
        assert_eq!(named("http://[::1]:8000"), ("[::1]:8000".into(), "/".into()));
        assert_eq!(named("https://user:p%40ss@h:1/v1"), ("h:1".into(), "/v1".into()));
    }
}
