//! Writes of all connections of a thread follow one another.
//!
//! A write wakes the process on the other side, which costs the one who writes more than the write itself if that one sleeps. A task that
//! reads, thinks and writes before the next one does leaves the other side time to fall asleep in between, again and again. So what a
//! connection writes is held back at first, and a task of the thread's own ([`write_for_all`]) sends it once those that are ready have had
//! their turn: all of them read and think, then all is written, and the other side is woken once.

use bytes::{Buf, BufMut};
use socket2::SockRef;
use std::cell::RefCell;
use std::future::poll_fn;
use std::io::{Error, ErrorKind, IoSlice, Result};
use std::net::Shutdown;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

/// Bytes that are held back for one connection at most: what is larger wakes the other side seldom enough.
const MOST: usize = 16 * 1024;

thread_local! {
    /// Who holds something back on this thread.
    static WAITING: RefCell<Waiting> = const { RefCell::new(Waiting { outlets: Vec::new(), writer: None }) };
}

struct Waiting {
    outlets: Vec<Arc<Outlet>>,
    /// Who writes for them; none where nobody does.
    writer: Option<Waker>,
}

/// A connection that writes after the tasks that are ready have had their turn, on threads where somebody [writes](write_for_all) for
/// it; at once on others.
#[derive(Debug)]
pub struct Batched {
    reads: OwnedReadHalf,
    outlet: Arc<Outlet>,
}

/// The side of a connection that is written to.
#[derive(Debug)]
struct Outlet {
    stream: OwnedWriteHalf,
    held: Mutex<Held>,
}

/// What is held back.
#[derive(Debug, Default)]
struct Held {
    bytes: Vec<u8>,
    /// Somebody will write it, without being asked again.
    is_listed: bool,
    /// How that failed: told once, to whoever asks next.
    error: Option<Error>,
    /// Who is to hear of that.
    owner: Option<Waker>,
}

/// Somebody writes for this thread until this is dropped.
struct Writing;

impl Drop for Writing {
    fn drop(&mut self) {
        // A thread that ends has nobody left to tell.
        let _ended = WAITING.try_with(|waiting| waiting.borrow_mut().writer = None);
    }
}

/// Writes for all connections of this thread: to be spawned on a runtime that serves tasks in the order in which they were woken.
pub(crate) async fn write_for_all() {
    let (_writing, mut turn) = (Writing, Vec::new());
    poll_fn(|cx| {
        WAITING.with_borrow_mut(|waiting| {
            waiting.writer = Some(cx.waker().clone());
            std::mem::swap(&mut waiting.outlets, &mut turn);
        });
        turn.drain(..).for_each(|outlet: Arc<Outlet>| outlet.write());
        Poll::<()>::Pending
    })
    .await;
}

impl Batched {
    /// The connection on `stream`.
    #[must_use]
    pub fn new(stream: TcpStream) -> Self {
        let (reads, stream) = stream.into_split();
        Self { reads, outlet: Arc::new(Outlet { stream, held: Mutex::default() }) }
    }

    fn poll_put(&self, cx: &mut Context<'_>, data: &[IoSlice<'_>]) -> Poll<Result<usize>> {
        let outlet = &self.outlet;
        let mut held = outlet.held();
        if let Some(error) = held.error.take() {
            return Poll::Ready(Err(error));
        }
        let length = data.iter().map(|piece| piece.len()).sum::<usize>();
        if length + held.bytes.len() <= MOST && (held.is_listed || outlet.list()) {
            held.is_listed = true;
            held.bytes.reserve_exact(length);
            data.iter().for_each(|piece| held.bytes.put_slice(piece));
            held.owner.get_or_insert_with(|| cx.waker().clone()).clone_from(cx.waker());
            return Poll::Ready(Ok(length));
        }
        ready!(outlet.poll_drain(&mut held, cx))?;
        outlet.poll_write(cx, data)
    }
}

impl Outlet {
    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks for its turn; false where nobody writes for it.
    fn list(self: &Arc<Self>) -> bool {
        WAITING.with_borrow_mut(|waiting| {
            let Some(writer) = &waiting.writer else { return false };
            if waiting.outlets.is_empty() {
                writer.wake_by_ref();
            }
            waiting.outlets.push(self.clone());
            true
        })
    }

    /// Its turn has come.
    fn write(self: Arc<Self>) {
        let mut held = self.held();
        held.write(&self.stream);
        held.is_listed = !held.bytes.is_empty();
        if held.is_listed {
            drop(held);
            tokio::spawn(self.write_slowly());
        }
    }

    /// Goes on with what the system does not take at once.
    async fn write_slowly(self: Arc<Self>) {
        let mut writable = self.stream.writable().await;
        loop {
            {
                let mut held = self.held();
                if let Err(error) = writable {
                    held.fail(error);
                }
                held.write(&self.stream);
                held.is_listed = !held.bytes.is_empty();
                if !held.is_listed {
                    return;
                }
            }
            writable = self.stream.writable().await;
        }
    }

    /// Waits until nothing is held back.
    fn poll_drain(&self, held: &mut Held, cx: &mut Context<'_>) -> Poll<Result<()>> {
        loop {
            held.write(&self.stream);
            if let Some(error) = held.error.take() {
                return Poll::Ready(Err(error));
            }
            if held.bytes.is_empty() {
                return Poll::Ready(Ok(()));
            }
            ready!(self.stream.as_ref().poll_write_ready(cx))?;
        }
    }

    /// Writes past what is held back, which must be nothing.
    fn poll_write(&self, cx: &mut Context<'_>, data: &[IoSlice<'_>]) -> Poll<Result<usize>> {
        loop {
            match self.stream.try_write_vectored(data) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                done => return Poll::Ready(done),
            }
            ready!(self.stream.as_ref().poll_write_ready(cx))?;
        }
    }
}

impl Held {
    /// Writes as much as the system takes.
    fn write(&mut self, stream: &OwnedWriteHalf) {
        let mut left = &*self.bytes;
        let failed = loop {
            if left.is_empty() {
                break None;
            }
            match stream.try_write(left) {
                Ok(written) => left.advance(written),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break None,
                Err(error) => break Some(error),
            }
        };
        let written = self.bytes.len() - left.len();
        self.bytes.drain(..written);
        if let Some(error) = failed {
            self.fail(error);
        }
        if self.bytes.is_empty() {
            // Thousands of connections keep nothing.
            self.bytes = Vec::new();
        }
    }

    fn fail(&mut self, error: Error) {
        self.bytes.clear();
        self.error = Some(error);
        // It may wait for something else than this connection.
        if let Some(owner) = self.owner.take() {
            owner.wake();
        }
    }
}

impl Drop for Batched {
    /// What the system takes at once is sent; what the other side does not take is not waited for.
    fn drop(&mut self) {
        let mut held = self.outlet.held();
        held.owner = None;
        let (mut left, socket) =
            (std::mem::take(&mut held.bytes), SockRef::from(self.outlet.stream.as_ref()));
        // Asked itself: where it had no room, it tells tokio only once it has much.
        while !left.is_empty()
            && let Ok(sent @ 1..) = socket.send(&left)
        {
            left.drain(..sent);
        }
        if !left.is_empty() {
            // Wakes whoever writes slowly.
            let _closed_already = socket.shutdown(Shutdown::Both);
        }
    }
}

impl AsyncRead for Batched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.reads).poll_read(cx, buffer))?;
        let has_ended = buffer.filled().len() == before && buffer.remaining() > 0;
        // A connection that broke while it was written to looks ended from then on, as if all had been said.
        let broken = if has_ended { self.outlet.held().error.take() } else { None };
        Poll::Ready(broken.map_or(Ok(()), Err))
    }
}

impl AsyncWrite for Batched {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<Result<usize>> {
        self.poll_put(cx, &[IoSlice::new(data)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        self.poll_put(cx, data)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// Nobody has to ask for what is held back: it is sent without that.
    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<Result<()>> {
        Poll::Ready(self.outlet.held().error.take().map_or(Ok(()), Err))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        ready!(self.outlet.poll_drain(&mut self.outlet.held(), cx))?;
        Poll::Ready(match SockRef::from(self.outlet.stream.as_ref()).shutdown(Shutdown::Write) {
            // The other side has ended it already.
            Err(error) if error.kind() == ErrorKind::NotConnected => Ok(()),
            done => done,
        })
    }
}

#[cfg(test)]
mod tests;
