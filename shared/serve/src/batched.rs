//! Writes of all tasks that are ready follow one another.
//!
//! A write wakes the process on the other side, which costs the one who writes more than the write itself if that one sleeps. A task that
//! reads, thinks and writes before the next one does leaves the other side time to fall asleep in between, again and again. Where each
//! lets those that are ready go first once, all of them read and think, and then all of them write: the other side is woken once.

use hyper::rt::{Read, ReadBufCursor, Write};
use std::io::{IoSlice, Result};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// A stream that is written to once the tasks that are ready have had their turn. A task that is alone writes at once.
#[derive(Debug)]
pub struct Batched<S> {
    stream: S,
    /// The others have had their turn.
    waited: bool,
}

impl<S> Batched<S> {
    /// `stream`, whose task runs on a runtime that serves tasks in the order in which they were woken.
    pub fn new(stream: S) -> Self {
        Self { stream, waited: false }
    }

    /// Lets the others go first, once before each write.
    fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if std::mem::replace(&mut self.waited, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl<S: Read + Unpin> Read for Batched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<S: Write + Unpin> Write for Batched<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<Result<usize>> {
        ready!(self.poll_turn(cx));
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, data));
        self.waited = false;
        Poll::Ready(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        ready!(self.poll_turn(cx));
        let written = ready!(Pin::new(&mut self.stream).poll_write_vectored(cx, data));
        self.waited = false;
        Poll::Ready(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;
    use std::sync::{Arc, Mutex};

    /// A stream that writes down who wrote what.
    struct Diary(&'static str, Arc<Mutex<Vec<String>>>);

    impl Write for Diary {
        fn poll_write(self: Pin<&mut Self>, _cx: &mut Context<'_>, data: &[u8]) -> Poll<Result<usize>> {
            self.1.lock().unwrap().push(format!("{} writes {}", self.0, String::from_utf8_lossy(data)));
            Poll::Ready(Ok(data.len()))
        }

        fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[tokio::test]
    async fn all_that_are_ready_come_before_the_first_writes() {
        let diary = Arc::new(Mutex::new(Vec::new()));
        let tasks = ["one", "two"].map(|name| {
            let diary = diary.clone();
            tokio::spawn(async move {
                let mut stream = Batched::new(Diary(name, diary.clone()));
                for word in ["a", "b"] {
                    diary.lock().unwrap().push(format!("{name} thinks"));
                    let written = poll_fn(|cx| Pin::new(&mut stream).poll_write(cx, word.as_bytes())).await;
                    assert_eq!(written.unwrap(), 1);
                }
            })
        });
        for task in tasks {
            task.await.unwrap();
        }
        let found = diary.lock().unwrap().join(", ");
        let first = "one thinks, two thinks, one writes a, one thinks, two writes a, two thinks";
        assert_eq!(found, format!("{first}, one writes b, two writes b"));
    }
}
