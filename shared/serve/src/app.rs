//! What is served, as hyper asks it: each request is told of its connection, and each answer of the port's end.

use crate::bell::Bell;
use crate::listen::Peer;
use crate::tls::KnownClient;
use axum::BoxError;
use axum::body::Body;
use bytes::Bytes;
use http::header::CONNECTION;
use http::{HeaderValue, Request, Response, Version};
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;
use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, ready};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tower::Service;

/// What can be served: a service that never fails and is always ready, such as axum's routers. Clones are handles to the same one.
pub trait App:
    Service<Request<Body>, Response = Response<Self::Body>, Error = Infallible, Future: Send + 'static>
    + Clone
    + Send
    + Sync
    + 'static
{
    /// The body of its answers.
    type Body: HttpBody<Data = Bytes, Error: Into<BoxError>> + Send + 'static;
}

impl<S, B> App for S
where
    S: Service<Request<Body>, Response = Response<B>, Error = Infallible, Future: Send + 'static>
        + Clone
        + Send
        + Sync
        + 'static,
    B: HttpBody<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    type Body = B;
}

/// An app on one connection.
#[derive(Debug)]
pub(crate) struct OnConnection<A> {
    pub(crate) app: A,
    pub(crate) peer: Peer,
    pub(crate) known: Option<KnownClient>,
    /// Told of each request.
    pub(crate) begun: Arc<Notify>,
    /// The connection's.
    pub(crate) bell: Arc<Bell>,
    /// Cancelled once the port closes.
    pub(crate) leaving: Arc<CancellationToken>,
}

impl<A: App> hyper::service::Service<Request<Incoming>> for OnConnection<A> {
    type Response = Response<A::Body>;
    type Error = Infallible;
    type Future = Answer<A::Future>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let mut request = match request.version() {
            // Streams of one connection may wait for the room that this one's body gives back.
            Version::HTTP_2 => request.map(Body::new),
            _ => request.map(|inner| Body::new(Arriving { inner, bell: self.bell.clone() })),
        };
        request.extensions_mut().insert(self.peer.clone());
        if let Some(known) = self.known {
            request.extensions_mut().insert(known);
        }
        self.begun.notify_one();
        Answer { answer: self.app.clone().call(request), leaving: self.leaving.clone() }
    }
}

/// The body of a request over HTTP/1.1, which its connection's own task reads.
#[derive(Debug)]
struct Arriving {
    inner: Incoming,
    bell: Arc<Bell>,
}

impl HttpBody for Arriving {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let Self { inner, bell } = &mut *self;
        let (frame, has_room) = bell.mute(|| Pin::new(&mut *inner).poll_frame(cx));
        if has_room && !inner.is_end_stream() {
            bell.wake_by_ref();
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

pin_project_lite::pin_project! {
    /// An app's answer. From the port's end on it asks the client to close the connection. HTTP/2 has its own farewell (GOAWAY); hyper
    /// leaves the header out there.
    #[derive(Debug)]
    pub(crate) struct Answer<F> {
        #[pin]
        answer: F,
        leaving: Arc<CancellationToken>,
    }
}

impl<F, B> Future for Answer<F>
where
    F: Future<Output = Result<Response<B>, Infallible>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let mut answer = ready!(this.answer.poll(cx));
        if this.leaving.is_cancelled()
            && let Ok(answer) = &mut answer
        {
            answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        Poll::Ready(answer)
    }
}
