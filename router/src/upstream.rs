//! Connections to backends: pooled HTTP/1.1 or HTTP/2 for those with an address, a direct call for the embedded one.

mod address;
mod by_url;
pub mod connector;
mod http1;
mod http2;
mod lent;
mod line;
mod whole;

use crate::config::{Proxy, Security};
use axum::body::Body;
use connector::Connector;
use http::{HeaderValue, Request, Response, header};
use http1::Http1;
use http2::{Http2, Sent};
use hyper_util::client::legacy::connect::HttpConnector;
use std::sync::Arc;
use std::time::Duration;
use tidegate_serve::from_files::FromFiles;
use tidegate_serve::token::Tokens;
use tidegate_serve::workers::{PerWorker, Workers};
use tower::ServiceExt;

/// The address under which the ledger knows the backend in this very process.
pub const EMBEDDED_URL: &str = "embedded://backend";

/// Silence on a connection after which the system asks whether the other side is still there, and between two such questions: a
/// machine that has vanished sends no end.
const PROBE_AFTER: Duration = Duration::from_secs(15);
/// Questions without an answer after which the connection is broken.
const PROBES: u32 = 3;

/// The key of one backend, among the extensions of a request to it: it is sent in place of the key of all backends.
#[derive(Debug, Clone)]
pub struct OwnKey(pub HeaderValue);

/// A backend that could not be reached, or that broke the connection before it answered.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    /// No connection could be opened.
    #[error("{0}")]
    Connect(Arc<str>),
    /// The connection or the stream broke before the head.
    #[error("{}", innermost(.0))]
    Http(hyper::Error),
    /// The ledger names the embedded backend, but this process has none.
    #[error("this router embeds no backend")]
    NotEmbedded,
}

/// The cause that says most, such as `Connection refused`.
pub(crate) fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

/// The connections of one worker.
#[derive(Debug)]
struct Clients {
    http1: Http1,
    http2: Http2,
}

/// All connections of this router to backends. Clones share them.
#[derive(Debug, Clone)]
pub struct Upstream {
    /// Pools of connections for each worker: one that is used again stands on the thread of the request.
    clients: PerWorker<Clients>,
    /// `--backend-http2`: what is spoken to backends of which nothing else is known.
    http2: bool,
    /// What backends get as `Authorization`, where they have no key of their own.
    keys: Option<FromFiles<Tokens>>,
    embedded: Option<axum::Router>,
}

impl Upstream {
    /// Connections to backends that have addresses, and to the one in this process if there is one.
    /// Each of `workers` opens its own.
    pub fn new(
        embedded: Option<axum::Router>,
        proxy: &Proxy,
        security: &Security,
        workers: &Workers,
    ) -> Self {
        let patience = &proxy.backends;
        let mut connector = HttpConnector::new();
        // Small writes of a stream must not wait for each other.
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(patience.connect));
        connector.set_keepalive(Some(PROBE_AFTER));
        connector.set_keepalive_interval(Some(PROBE_AFTER));
        connector.set_keepalive_retries(Some(PROBES));
        let connector = Connector::new(connector, security.backend_tls.clone());
        let clients = || {
            let http1 = Http1::new(connector.clone(), patience.keep_alive);
            let http2 = Http2::new(connector.clone().offering_http2(), patience.keep_alive);
            Clients { http1, http2 }
        };
        Self {
            clients: PerWorker::new(workers, clients),
            http2: proxy.backend_http2,
            keys: security.backend_keys.clone(),
            embedded,
        }
    }

    /// Whether HTTP/2 is spoken to backends of which nothing else is known.
    pub fn http2(&self) -> bool {
        self.http2
    }

    /// Sends one request to the backend at `url`, for what its target names below that, over HTTP/2 where that is wanted of it. Where it redirects to is not followed: no backend can make a router call another host.
    pub async fn send(
        &self,
        url: &str,
        http2: bool,
        mut request: Box<Request<Body>>,
    ) -> Result<Response<Body>, UpstreamError> {
        if url != EMBEDDED_URL {
            let own = request.extensions_mut().remove::<OwnKey>().map(|OwnKey(key)| key);
            if let Some(key) = own.or_else(|| self.keys.as_ref().map(|keys| keys.get().header())) {
                request.headers_mut().insert(header::AUTHORIZATION, key);
            }
            let clients = self.clients.get();
            if http2 {
                return Box::pin(clients.over_http2(url, request)).await;
            }
            return clients.http1.send(url, request).await;
        }
        let Some(embedded) = &self.embedded else { return Err(UpstreamError::NotEmbedded) };
        match embedded.clone().oneshot(*request).await {
            Ok(response) => Ok(response),
            Err(never) => match never {},
        }
    }
}

impl Clients {
    /// Speaks HTTP/2, unless a backend with TLS has chosen HTTP/1.1.
    async fn over_http2(
        &self,
        url: &str,
        request: Box<Request<Body>>,
    ) -> Result<Response<Body>, UpstreamError> {
        match self.http2.send(url, request).await? {
            Sent::Answered(response) => Ok(response),
            Sent::SpeaksHttp1(request) => self.http1.send(url, request).await,
        }
    }
}
