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
use hyper_util::rt::TokioIo;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use tidegate_serve::batched::Batched;
use tidegate_serve::bell::{Bell, Belled};
use tokio::task::unconstrained;
use tokio_util::either::Either;

/// One in the clear writes together with the others of its thread.
type Stream = TokioIo<Either<Batched, TokioIo<Opened>>>;
type Spoken = Connection<Stream, Body>;

/// A connection.
#[derive(Debug)]
pub(super) struct Line {
    sender: SendRequest<Body>,
    /// None once it has ended.
    connection: Option<Box<Belled<Spoken>>>,
    bell: Arc<Bell>,
}

impl Line {
    /// A connection on a stream that has been opened.
    ///
    /// # Errors
    /// As hyper's handshake, which has no cause to fail before HTTP/1.1 has said anything.
    pub(super) async fn new(builder: &Builder, opened: Opened) -> Result<Self, hyper::Error> {
        let (sender, connection) = builder.handshake(stream(opened)).await?;
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
        // Where the task may do no more before others have had their turn, it would not be handed over, and nobody would wake for it.
        let mut answer = pin!(unconstrained(answer));
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

fn stream(opened: Opened) -> Stream {
    TokioIo::new(match opened {
        Opened::Http(stream) => Either::Left(Batched::new(stream.into_inner())),
        with_tls @ Opened::Https(_) => Either::Right(TokioIo::new(with_tls)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::num::NonZero;
    use std::time::Duration;
    use tidegate_serve::workers::{PerWorker, Workers};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};
    use tokio::task::consume_budget;

    /// What tokio lets a task do before others have their turn.
    const BUDGET: usize = 128;

    async fn connected() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let to = listener.local_addr().unwrap();
        let (stream, accepted) = tokio::join!(TcpStream::connect(to), listener.accept());
        (stream.unwrap(), accepted.unwrap().0)
    }

    async fn line(stream: TcpStream) -> Line {
        Line::new(&Builder::new(), Opened::Http(TokioIo::new(stream))).await.unwrap()
    }

    /// Asks in a task that has done so much before it comes to this, each time. Nobody but the connection wakes it.
    async fn asked(mut line: Line, done: usize) -> Result<Response<Incoming>, TrySendError<Request<Body>>> {
        let request = Request::post("/v1/x").header("host", "x").body(Body::from("{}")).unwrap();
        let task = tokio::spawn(async move {
            let mut answer = Box::pin(line.ask(request));
            poll_fn(|cx| {
                for _ in 0..done {
                    assert!(pin!(consume_budget()).poll(cx).is_ready());
                }
                answer.as_mut().poll(cx)
            })
            .await
        });
        let ended = tokio::time::timeout(Duration::from_secs(10), task).await;
        ended.unwrap_or_else(|_| panic!("nobody woke the request, after {done} steps")).unwrap()
    }

    /// Where each connection writes for itself, and on a worker, where they write together.
    async fn in_both_ways<F>(test: impl Fn() -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let workers = Workers::start(NonZero::<usize>::MIN).unwrap();
        let passed = PerWorker::new(&workers, || ()).on_each(|()| test()).await;
        assert_eq!(passed.len(), 2);
    }

    #[tokio::test]
    async fn a_closed_connection_gives_its_request_back_whatever_its_task_did_before() {
        in_both_ways(given_back).await;
    }

    async fn given_back() {
        for done in 0..BUDGET {
            let (stream, peer) = connected().await;
            drop(peer);
            stream.readable().await.unwrap();
            let mut error = asked(line(stream).await, done).await.unwrap_err();
            assert!(error.take_message().is_some(), "{done}");
        }
    }

    #[tokio::test]
    async fn an_answer_is_handed_over_whatever_its_task_did_before() {
        in_both_ways(handed_over).await;
    }

    async fn handed_over() {
        for done in 0..BUDGET {
            let (stream, mut peer) = connected().await;
            let answered = tokio::spawn(async move {
                assert!(peer.read(&mut [0; 256]).await.unwrap() > 0);
                peer.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nab").await.unwrap();
                peer
            });
            assert_eq!(asked(line(stream).await, done).await.unwrap().status(), 200, "{done}");
            drop(answered.await.unwrap());
        }
    }
}
