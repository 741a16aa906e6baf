//! An answer over HTTP/2 that says so when it was cut.

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

/// The body of an answer, and its place on the connection. A backend may reset a stream "without an error" (`NO_ERROR`): hyper takes that
/// for the body's end, and half an answer would pass for a whole one.
#[derive(Debug)]
pub(super) struct WholeBody {
    inner: Incoming,
    _stream: Arc<()>,
}

/// The answer did not come to its end.
#[derive(Debug, thiserror::Error)]
pub(super) enum Cut {
    /// The connection or the stream broke.
    #[error(transparent)]
    Broken(#[from] hyper::Error),
    /// The backend let go of the stream before its end.
    #[error("the stream ended before the answer")]
    Early,
}

impl WholeBody {
    /// Counts as one of `streams` until it is dropped.
    pub(super) fn new(inner: Incoming, streams: Arc<()>) -> Self {
        Self { inner, _stream: streams }
    }
}

impl Body for WholeBody {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        Poll::Ready(match ready!(Pin::new(&mut self.inner).poll_frame(cx)) {
            Some(frame) => Some(frame.map_err(Cut::from)),
            None if self.inner.is_end_stream() => None,
            None => Some(Err(Cut::Early)),
        })
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
