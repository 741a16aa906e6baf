//! Opens a stream that waits long.
//!
//! A queued stream keeps its headers back until its grant, so that a refusal is a real status. After one keep-alive
//! interval it opens with 200 and comments flow; what goes wrong from then on is the last event of the stream.

use super::access::Notes;
use crate::error::Error;
use axum::body::Body;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{HeaderValue, Response, header};
use http_body::{Body as HttpBody, Frame};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tidegate_wire::{header as names, sse};
use tokio::time::{Instant, Sleep, sleep_until};

type Answer = BoxFuture<'static, Result<Response<Body>, Error>>;

/// Waits for the answer to a stream, at most for `keep_alive`: then the stream is opened without it.
pub(super) async fn bridge(
    mut answer: Answer,
    keep_alive: Duration,
    notes: &Notes,
) -> Result<Response<Body>, Error> {
    match tokio::time::timeout(keep_alive, &mut answer).await {
        Ok(answered) => answered,
        Err(_) => Ok(open(LateStream::new(answer, keep_alive, notes.clone()))),
    }
}

fn open(body: LateStream) -> Response<Body> {
    let mut response = Response::new(Body::new(body));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(sse::CONTENT_TYPE));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(names::ACCEL_BUFFERING, HeaderValue::from_static("no"));
    response
}

/// The body of a stream that was opened before its answer was there.
struct LateStream {
    state: State,
    keep_alive: Duration,
    silence: Pin<Box<Sleep>>,
    notes: Notes,
}

enum State {
    Waiting(Answer),
    Flowing(Body),
    Ended,
}

impl LateStream {
    fn new(answer: Answer, keep_alive: Duration, notes: Notes) -> Self {
        // The first comment goes out at once: the interval has just passed.
        let silence = Box::pin(sleep_until(Instant::now()));
        Self { state: State::Waiting(answer), keep_alive, silence, notes }
    }

    fn answered(&mut self, answer: Result<Response<Body>, Error>) -> Option<Frame<Bytes>> {
        match answer {
            Ok(response) if response.status().is_success() => {
                self.state = State::Flowing(response.into_body());
                None
            }
            // A backend's own refusal, such as a 400: its body is the error, which must become an event.
            Ok(response) => {
                self.state = State::Waiting(Box::pin(refusal(response)));
                None
            }
            Err(error) => {
                self.notes.failed(error.kind);
                self.state = State::Ended;
                Some(Frame::data(error.event()))
            }
        }
    }
}

/// Reads a backend's error answer and turns it into the stream's last event.
async fn refusal(response: Response<Body>) -> Result<Response<Body>, Error> {
    let body = axum::body::to_bytes(response.into_body(), 64 * 1024).await.unwrap_or_default();
    let line: String = String::from_utf8_lossy(&body).split(['\r', '\n']).collect();
    Ok(Response::new(Body::from(sse::data(&line))))
}

impl HttpBody for LateStream {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = &mut *self;
        loop {
            match &mut this.state {
                State::Flowing(body) => return Pin::new(body).poll_frame(cx),
                State::Ended => return Poll::Ready(None),
                State::Waiting(answer) => match answer.as_mut().poll(cx) {
                    Poll::Ready(answer) => {
                        if let Some(last) = this.answered(answer) {
                            return Poll::Ready(Some(Ok(last)));
                        }
                    }
                    Poll::Pending => {
                        std::task::ready!(this.silence.as_mut().poll(cx));
                        this.silence.as_mut().reset(Instant::now() + this.keep_alive);
                        return Poll::Ready(Some(Ok(Frame::data(sse::KEEP_ALIVE))));
                    }
                },
            }
        }
    }
}
