//! An answer over HTTP/1.1, which keeps its connection until its end.

use super::http1::Lent;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// The body of an answer. The connection goes back when the last byte was read; it is closed where that is never read.
#[derive(Debug)]
pub(super) struct LentBody {
    inner: Incoming,
    connection: Option<Lent>,
}

impl LentBody {
    pub(super) fn new(inner: Incoming, connection: Lent) -> Self {
        let mut body = Self { inner, connection: Some(connection) };
        body.give_back_at_end();
        body
    }

    fn give_back(&mut self) {
        if let Some(connection) = self.connection.take() {
            connection.give_back();
        }
    }

    /// Nobody may ask for more once the last byte was read.
    fn give_back_at_end(&mut self) {
        if self.inner.is_end_stream() {
            self.give_back();
        }
    }
}

impl Body for LentBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let Self { inner, connection } = &mut *self;
        let frame = ready!(match connection {
            Some(connection) => connection.line.poll_frame(inner, cx),
            // What is left of it is here already.
            None => Pin::new(inner).poll_frame(cx),
        });
        match &frame {
            Some(Ok(_)) => self.give_back_at_end(),
            // What broke closes when this is dropped.
            Some(Err(_)) => {}
            None => self.give_back(),
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
