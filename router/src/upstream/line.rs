//! One HTTP/1.1 connection to a backend. It has no task of its own: whoever has borrowed it moves it on.
//!
//! A task for each connection would be woken for each piece in either direction, and would wake the request's in turn. Here the
//! request's own is woken by the socket, and does both.

use super::connector::Opened;
use super::innermost;
use axum::body::Body;
use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body as _, Frame};
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use hyper::client::conn::http1::{Builder, Connection, SendRequest};
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use tidegate_serve::bell::{Bell, Belled};

/// A connection.
#[derive(Debug)]
pub(super) struct Line {
    sender: SendRequest<Body>,
    /// None once it has ended.
    connection: Option<Box<Belled<Connection<Opened, Body>>>>,
    bell: Arc<Bell>,
}

impl Line {
    /// A connection on a stream that has been opened.
    ///
    /// # Errors
    /// None that is known: shaking hands says nothing in HTTP/1.1.
    pub(super) async fn new(builder: &Builder, opened: Opened) -> Result<Self, hyper::Error> {
        let (sender, connection) = builder.handshake(opened).await?;
        let bell = Arc::new(Bell::default());
        let connection = Some(Box::new(Belled::new(connection, bell.clone())));
        Ok(Self { sender, connection, bell })
    }

    /// Sends a request, and waits for the head of its answer.
    pub(super) async fn ask(
        &mut self,
        request: Request<Body>,
    ) -> Result<Response<Incoming>, TrySendError<Request<Body>>> {
        let (answer, _) = self.bell.mute(|| self.sender.try_send_request(request));
        let mut answer = pin!(answer);
        poll_fn(|cx| {
            self.advance(cx);
            // It comes from the connection, which has just been moved on.
            answer.as_mut().poll(&mut Context::from_waker(Waker::noop()))
        })
        .await
    }

    /// The next piece of an answer.
    pub(super) fn poll_frame(
        &mut self,
        body: &mut Incoming,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let mut at_hand = |bell: &Arc<Bell>| {
            // The room that becomes free is filled when the next piece is asked for.
            bell.mute(|| Pin::new(&mut *body).poll_frame(&mut Context::from_waker(Waker::noop()))).0
        };
        let piece = at_hand(&self.bell);
        if piece.is_ready() {
            return piece;
        }
        self.advance(cx);
        at_hand(&self.bell)
    }

    /// Whether it can carry another request at once.
    pub(super) fn is_ready(&self) -> bool {
        self.connection.is_some() && self.sender.is_ready()
    }

    /// The same, as far as can be seen without waiting.
    pub(super) fn is_ready_now(&mut self) -> bool {
        if !self.is_ready() {
            self.advance(&mut Context::from_waker(Waker::noop()));
        }
        self.is_ready()
    }

    /// Whether it will never carry anything again.
    pub(super) fn has_ended(&self) -> bool {
        self.connection.is_none()
    }

    /// Waits until it can carry another request; false where it never will.
    pub(super) async fn ready(&mut self) -> bool {
        poll_fn(|cx| {
            self.advance(cx);
            self.sender.poll_ready(cx).map(|ready| ready.is_ok())
        })
        .await
    }

    /// Looks at one that nobody uses: false where the other side has closed it.
    pub(super) fn is_alive(&mut self) -> bool {
        self.advance(&mut Context::from_waker(Waker::noop()));
        self.rest();
        self.is_ready()
    }

    /// Nobody is to be woken by it.
    pub(super) fn rest(&self) {
        self.bell.rest();
    }

    /// Moves on what is to be sent and what has come; the task of `cx` is woken once there is more to do.
    fn advance(&mut self, cx: &mut Context<'_>) {
        let Some(connection) = &mut self.connection else { return };
        if let Poll::Ready(ended) = Pin::new(&mut **connection).poll(cx) {
            self.connection = None;
            if let Err(error) = ended {
                tracing::debug!(error = innermost(&error), "an HTTP/1.1 connection to a backend broke");
            }
        }
    }
}
