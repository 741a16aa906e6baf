//! The way of events to the client: bounded, cut at the deadline, kept open by comments, and aware of who has left.

use crate::{api::answer::timeout, error::ApiError};
use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame};
use std::{
    convert::Infallible,
    pin::Pin,
    sync::{Arc, OnceLock},
    task::{Context, Poll},
    time::Duration,
};
use tidegate_wire::sse;
use tokio::{
    sync::mpsc::{self, Receiver, Sender},
    time::{Instant, sleep_until, timeout_at},
};

/// Events that wait for a slow reader before its sequences' own queues fill.
const BUFFERED_EVENTS: usize = 64;

/// Why a stream ended early.
#[derive(Debug)]
pub(super) enum Cut {
    /// Nobody reads any more.
    Left,
    /// Something went wrong.
    Failed(ApiError),
}

/// The sender's end.
#[derive(Debug)]
pub(super) struct Events {
    sender: Sender<Bytes>,
    /// What stands behind the last event.
    trailer: Arc<OnceLock<HeaderMap>>,
    deadline: Instant,
    keep_alive: Duration,
}

/// The client's end: the body of the answer. Dropped when the client has gone.
#[derive(Debug)]
pub(super) struct EventBody {
    receiver: Receiver<Bytes>,
    /// None once it has been sent.
    trailer: Option<Arc<OnceLock<HeaderMap>>>,
}

pub(super) fn channel(deadline: Instant, keep_alive: Duration) -> (Events, EventBody) {
    let (sender, receiver) = mpsc::channel(BUFFERED_EVENTS);
    let trailer = Arc::new(OnceLock::new());
    let body = EventBody { receiver, trailer: Some(Arc::clone(&trailer)) };
    (Events { sender, trailer, deadline, keep_alive }, body)
}

impl Events {
    /// Sends one event, as soon as the client has taken enough of those before.
    pub(super) async fn send(&self, event: Bytes) -> Result<(), Cut> {
        match timeout_at(self.deadline, self.sender.send(event)).await {
            Ok(sent) => sent.map_err(|_| Cut::Left),
            Err(_) => Err(Cut::Failed(timeout())),
        }
    }

    /// Says what stands behind the last event. To be called before this is dropped, once.
    pub(super) fn trailer(&self, trailer: HeaderMap) {
        self.trailer.set(trailer).unwrap_or_default();
    }

    /// Sends what ends the stream if there is room; a client that does not read misses it.
    pub(super) fn last_word(&self, event: Bytes) {
        self.sender.try_send(event).unwrap_or_default();
    }

    /// Waits for `work`, with comments in between, unless the client leaves or the deadline comes first.
    pub(super) async fn unless_cut<T>(&self, work: impl Future<Output = T>) -> Result<T, Cut> {
        let mut work = std::pin::pin!(work);
        let mut comment_at = Instant::now() + self.keep_alive;
        loop {
            tokio::select! {
                biased;
                done = &mut work => return Ok(done),
                () = self.sender.closed() => return Err(Cut::Left),
                () = sleep_until(self.deadline) => return Err(Cut::Failed(timeout())),
                () = sleep_until(comment_at) => {
                    self.send(sse::KEEP_ALIVE).await?;
                    comment_at += self.keep_alive;
                }
            }
        }
    }
}

impl Body for EventBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.receiver.poll_recv(context).map(|event| match event {
            Some(event) => Some(Ok(Frame::data(event))),
            None => self.trailer.take()?.get().cloned().map(|trailer| Ok(Frame::trailers(trailer))),
        })
    }
}
