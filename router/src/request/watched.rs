//! An answer ends at its deadline whatever its client does.
//!
//! A body is asked for its next piece only while its client takes what was sent: one that reads nothing, or just enough, would
//! hold its slot for ever, because nobody asks the body, and so nobody looks at the deadline. A task of its own does. Answers that
//! come in one piece, which is most of those that are not streamed, have none.

use super::body::GuardedBody;
use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep_until};

/// Time that the body's own look at the deadline has before it is cut from outside.
const GRACE: Duration = Duration::from_millis(50);

type Next = Option<Result<Frame<Bytes>, axum::Error>>;

/// A guarded body with a task that ends it at its deadline.
#[derive(Debug)]
pub struct WatchedBody {
    watched: Arc<Mutex<Watched>>,
    deadline: Instant,
    task: Option<AbortHandle>,
}

#[derive(Debug)]
struct Watched {
    body: GuardedBody,
    /// What the client gets as the last piece after it was cut.
    last: Next,
}

impl WatchedBody {
    /// Watches `body`, which ends at `deadline`.
    pub fn new(body: GuardedBody, deadline: Instant) -> Self {
        Self { watched: Arc::new(Mutex::new(Watched { body, last: None })), deadline, task: None }
    }

    /// There is more to come, so that somebody must watch.
    fn watch(&mut self) {
        // The answer's own end must not wait for this task's.
        let (watched, cut_at) = (Arc::downgrade(&self.watched), self.deadline + GRACE);
        let task = tokio::spawn(async move {
            sleep_until(cut_at).await;
            if let Some(watched) = watched.upgrade() {
                let mut watched = lock(&watched);
                watched.last = watched.body.cut();
            }
        });
        self.task = Some(task.abort_handle());
    }
}

fn lock(watched: &Mutex<Watched>) -> MutexGuard<'_, Watched> {
    watched.lock().unwrap_or_else(PoisonError::into_inner)
}

impl HttpBody for WatchedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Next> {
        let mut watched = lock(&self.watched);
        if let Some(last) = watched.last.take() {
            return Poll::Ready(Some(last));
        }
        let next = std::task::ready!(Pin::new(&mut watched.body).poll_frame(cx));
        let more = matches!(next, Some(Ok(_))) && !watched.body.is_end_stream();
        drop(watched);
        if more && self.task.is_none() {
            self.watch();
        }
        Poll::Ready(next)
    }

    fn is_end_stream(&self) -> bool {
        let watched = lock(&self.watched);
        watched.last.is_none() && watched.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        lock(&self.watched).body.size_hint()
    }
}

impl Drop for WatchedBody {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}
