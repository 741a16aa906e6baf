//! Connections to backends: pooled HTTP for those with an address, a direct call for the embedded one.

pub mod connector;

use crate::config::Security;
use axum::body::Body;
use connector::Connector;
use http::{Request, Response, header};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use std::time::Duration;
use tidegate_serve::from_files::FromFiles;
use tidegate_serve::token::Tokens;
use tower::ServiceExt;

/// The address under which the ledger knows the backend in this very process.
pub const EMBEDDED_URL: &str = "embedded://backend";

/// How long a connection may take to open before the backend counts as out of reach.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// How long an idle connection is kept: shorter than backends keep theirs, so that none is reused while it closes.
const IDLE_TIMEOUT: Duration = Duration::from_secs(15);

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
    client: Client<Connector, Body>,
    /// What backends are shown in place of what clients show.
    tokens: Option<FromFiles<Tokens>>,
    embedded: Option<axum::Router>,
}

impl Upstream {
    /// Connections to backends that have addresses, and to the one in this process if there is one.
    pub fn new(embedded: Option<axum::Router>, security: &Security) -> Self {
        let mut connector = HttpConnector::new();
        // Small writes of a stream must not wait for each other.
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
        let connector = Connector::new(connector, security.backend_tls.clone());
        let client = Client::builder(TokioExecutor::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_timer(TokioTimer::new())
            .build(connector);
        Self { client, tokens: security.backend_tokens.clone(), embedded }
    }

    /// Sends one request to the backend at `url` (the request's own target must lie under it). Where it redirects to is not
    /// followed: no backend can make a router call another host.
    pub async fn send(&self, url: &str, mut request: Request<Body>) -> Result<Response<Body>, UpstreamError> {
        if url != EMBEDDED_URL {
            if let Some(tokens) = &self.tokens {
                request.headers_mut().insert(header::AUTHORIZATION, tokens.get().header());
            }
            return Ok(self.client.request(request).await?.map(Body::new));
        }
        let Some(embedded) = &self.embedded else { return Err(UpstreamError::NotEmbedded) };
        match embedded.clone().oneshot(request).await {
            Ok(response) => Ok(response),
            Err(never) => match never {},
        }
    }
}
