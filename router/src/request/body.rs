//! The answer's body: holds the slot until its last byte has been handed over or the body is dropped.
//!
//! A guard inside the body and not a middleware, because a middleware lets go when the headers arrive, while a stream's
//! work has only begun then.

use super::admission::timed_out;
use super::call::Call;
use super::permit::Permit;
use crate::error::{Error, ErrorKind};
use crate::ledger::End;
use axum::body::Body;
use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tidegate_telemetry::metrics::BackendError;
use tidegate_wire::sse;
use tokio::time::{Instant, Sleep, sleep_until};

/// What stands between a backend's body and the client. It is `Unpin`: everything that is not is boxed.
#[derive(Debug)]
pub struct GuardedBody {
    /// `None` once it has ended.
    inner: Option<Body>,
    permit: Permit,
    /// Reads along.
    call: Call,
    deadline: Instant,
    /// Wakes at the deadline. None as long as nothing was waited for.
    alarm: Option<Pin<Box<Sleep>>>,
    /// Present for streams: comments in silence, errors as events.
    stream: Option<StreamState>,
    /// True for answers that are not a success: their time says nothing about service time.
    failed: bool,
}

#[derive(Debug)]
struct StreamState {
    keep_alive: Duration,
    silence: Pin<Box<Sleep>>,
    /// Between two events a comment may stand.
    position: sse::Position,
}

impl GuardedBody {
    /// Guards `inner` with `permit` until it ends or `deadline` passes.
    pub fn new(inner: Body, permit: Permit, call: Call, deadline: Instant) -> Self {
        Self { inner: Some(inner), permit, call, deadline, alarm: None, stream: None, failed: false }
    }

    /// Marks an answer that is not a success.
    pub fn fails(&mut self) {
        self.failed = true;
    }

    /// Treats the body as server-sent events: a comment after `keep_alive` of silence, errors as a last event.
    pub fn streams(&mut self, keep_alive: Duration) {
        let silence = Box::pin(sleep_until(Instant::now() + keep_alive));
        self.stream = Some(StreamState { keep_alive, silence, position: sse::Position::default() });
    }

    /// Ends it at once where the backend has sent a head alone: hyper asks for nothing behind such a one.
    pub fn end_if_empty(&mut self) {
        if self.inner.as_ref().is_some_and(HttpBody::is_end_stream) {
            self.finish();
        }
    }

    fn finish(&mut self) {
        self.inner = None;
        self.call.finished();
        if let Some(meter) = self.permit.metered()
            && let Some(usage) = self.call.usage()
        {
            meter.told(usage);
        }
        self.permit.release(if self.failed { End::Failed } else { End::Finished });
    }

    /// Ends the body with an error: an event in a stream, a broken connection elsewhere.
    fn fail(&mut self, error: Error, end: End) -> Option<Result<Frame<Bytes>, axum::Error>> {
        self.inner = None;
        let late = end == End::TimedOut;
        self.permit.backend_error(if late { BackendError::Timeout } else { BackendError::BrokenOff });
        self.call.broken(error.kind);
        self.permit.abandon(end);
        match &self.stream {
            // A backend may tell the same just before, such as the deadline: two last events are one too many.
            Some(_) if self.call.told_its_end() => None,
            Some(stream) if stream.position.is_between_events() => Some(Ok(Frame::data(error.event()))),
            // In the middle of an event: the error's own must not be taken for the rest of it.
            Some(_) => Some(Ok(Frame::data([&b"\n\n"[..], &error.event()].concat().into()))),
            None => Some(Err(axum::Error::new(error))),
        }
    }

    /// Ends the body at its deadline, although nobody asks for its next piece. Gives what the client gets as the last one; nothing
    /// where the body had ended.
    pub(super) fn cut(&mut self) -> Option<Result<Frame<Bytes>, axum::Error>> {
        if self.inner.is_some() { self.fail(timed_out(), End::TimedOut) } else { None }
    }

    /// Passes a piece on; nothing where it is for this router only.
    fn forward(&mut self, frame: Frame<Bytes>) -> Option<Frame<Bytes>> {
        if let Some(data) = frame.data_ref() {
            self.call.passed(data);
            if let Some(meter) = self.permit.metered() {
                meter.passed(data);
            }
            if let Some(stream) = &mut self.stream {
                stream.passed(data);
            }
        }
        if let Some(trailers) = frame.trailers_ref() {
            self.call.trailers(trailers);
        }
        // hyper does not ask again after the last byte of a body whose length it knows.
        if self.inner.as_ref().is_some_and(HttpBody::is_end_stream) {
            self.finish();
        }
        frame.is_data().then_some(frame)
    }
}

impl StreamState {
    fn passed(&mut self, data: &Bytes) {
        self.position.passed(data);
        self.silence.as_mut().reset(Instant::now() + self.keep_alive);
    }

    fn poll_comment(&mut self, cx: &mut Context<'_>) -> Poll<Bytes> {
        std::task::ready!(self.silence.as_mut().poll(cx));
        self.silence.as_mut().reset(Instant::now() + self.keep_alive);
        if self.position.is_between_events() {
            return Poll::Ready(sse::KEEP_ALIVE);
        }
        // In the middle of an event: polled again so that the timer is registered.
        let _ = self.silence.as_mut().poll(cx);
        Poll::Pending
    }
}

impl HttpBody for GuardedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = &mut *self;
        while let Some(inner) = &mut this.inner {
            match Pin::new(inner).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => {
                    if let Some(frame) = this.forward(frame) {
                        return Poll::Ready(Some(Ok(frame)));
                    }
                }
                Poll::Ready(Some(Err(error))) => {
                    let why = format!("the backend broke off its answer: {error}");
                    return Poll::Ready(this.fail(Error::new(ErrorKind::Backend, why), End::Failed));
                }
                Poll::Ready(None) => this.finish(),
                Poll::Pending => return this.poll_silent(cx),
            }
        }
        Poll::Ready(None)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        match (&self.inner, &self.stream) {
            (Some(inner), None) => inner.size_hint(),
            (Some(_), Some(_)) => SizeHint::default(),
            (None, _) => SizeHint::with_exact(0),
        }
    }
}

impl GuardedBody {
    /// Nothing comes at the moment: looks at the deadline, and keeps a stream alive.
    fn poll_silent(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let deadline = self.deadline;
        let alarm = self.alarm.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if alarm.as_mut().poll(cx).is_ready() {
            return Poll::Ready(self.fail(timed_out(), End::TimedOut));
        }
        match &mut self.stream {
            Some(stream) => stream.poll_comment(cx).map(|comment| Some(Ok(Frame::data(comment)))),
            None => Poll::Pending,
        }
    }
}
