//! Connections to backends: pooled HTTP for those with an address, a direct call for the embedded one.

pub mod connector;

use crate::config::{BackendPatience, Security};
use axum::body::Body;
use connector::Connector;
use http::{HeaderValue, Request, Response, header};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
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
    /// Connecting, sending or reading the head failed.
    #[error("{}", innermost(.0))]
    Http(#[from] hyper_util::client::legacy::Error),
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

/// All connections of this router to backends. Clones share them.
#[derive(Debug, Clone)]
pub struct Upstream {
    /// A pool of connections for each worker: one that is used again stands on the thread of the request.
    clients: PerWorker<Client<Connector, Body>>,
    /// What backends get as `Authorization`, where they have no key of their own.
    keys: Option<FromFiles<Tokens>>,
    embedded: Option<axum::Router>,
}

impl Upstream {
    /// Connections to backends that have addresses, and to the one in this process if there is one.
    /// Each of `workers` opens its own.
    pub fn new(
        embedded: Option<axum::Router>,
        patience: &BackendPatience,
        security: &Security,
        workers: &Workers,
    ) -> Self {
        let mut connector = HttpConnector::new();
        // Small writes of a stream must not wait for each other.
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(patience.connect));
        connector.set_keepalive(Some(PROBE_AFTER));
        connector.set_keepalive_interval(Some(PROBE_AFTER));
        connector.set_keepalive_retries(Some(PROBES));
        let connector = Connector::new(connector, security.backend_tls.clone());
        let client = || {
            Client::builder(TokioExecutor::new())
                .pool_idle_timeout(patience.keep_alive)
                .pool_timer(TokioTimer::new())
                .build(connector.clone())
        };
        Self { clients: PerWorker::new(workers, client), keys: security.backend_keys.clone(), embedded }
    }

    /// Sends one request to the backend at `url` (the request's own target must lie under it). Where it redirects to is not
    /// followed: no backend can make a router call another host.
    pub async fn send(&self, url: &str, mut request: Request<Body>) -> Result<Response<Body>, UpstreamError> {
        if url != EMBEDDED_URL {
            let own = request.extensions_mut().remove::<OwnKey>().map(|OwnKey(key)| key);
            if let Some(key) = own.or_else(|| self.keys.as_ref().map(|keys| keys.get().header())) {
                request.headers_mut().insert(header::AUTHORIZATION, key);
            }
            return Ok(self.clients.get().request(request).await?.map(Body::new));
        }
        let Some(embedded) = &self.embedded else { return Err(UpstreamError::NotEmbedded) };
        match embedded.clone().oneshot(request).await {
            Ok(response) => Ok(response),
            Err(never) => match never {},
        }
    }
}
