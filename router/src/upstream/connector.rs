//! Opens connections to backends, in the clear or with TLS as their URLs say, with the certificates of the moment.

use http::Uri;
use hyper_rustls::{HttpsConnector, MaybeHttpsStream};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioIo;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tidegate_serve::tls::{ClientTls, offering_http2};
use tokio::net::TcpStream;
use tower::Service;

/// How long it may take, connecting included, until both sides know each other.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(4);

pub(super) type Opened = MaybeHttpsStream<TokioIo<TcpStream>>;
type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Opens connections. Each gets the certificates as they are then; those that are open go on.
#[derive(Debug, Clone)]
pub struct Connector {
    tcp: HttpConnector,
    tls: Option<ClientTls>,
    /// Whether the other side may choose HTTP/2.
    http2: bool,
}

impl Connector {
    /// Opens connections as `tcp` does, and knows the authorities of `tls`; without, it opens connections in the clear only.
    pub fn new(mut tcp: HttpConnector, tls: Option<ClientTls>) -> Self {
        tcp.enforce_http(false);
        Self { tcp, tls, http2: false }
    }

    /// The same, which lets a server with TLS choose between HTTP/2 and HTTP/1.1.
    #[must_use]
    pub fn offering_http2(self) -> Self {
        Self { http2: true, ..self }
    }
}

impl Service<Uri> for Connector {
    type Response = Opened;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Opened, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.tcp.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let Some(tls) = &self.tls else {
            let opening = self.tcp.call(uri);
            return Box::pin(async move { Ok(MaybeHttpsStream::Http(opening.await?)) });
        };
        let config = if self.http2 { offering_http2(&tls.get()) } else { tls.get() };
        let opening = HttpsConnector::from((self.tcp.clone(), config)).call(uri);
        Box::pin(async move {
            let late =
                |_| std::io::Error::new(std::io::ErrorKind::TimedOut, "the TLS handshake took too long");
            tokio::time::timeout(HANDSHAKE_TIMEOUT, opening).await.map_err(late)?
        })
    }
}
