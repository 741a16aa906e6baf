//! Every answer is counted, from its first byte to its end.

use super::access::AccessLine;
use super::dispatch::is_event_stream;
use super::way::Way;
use crate::ledger::MOST_TOKENS;
use crate::tally::{PoolTally, events_in};
use axum::body::Body;
use bytes::Bytes;
use http::{Response, StatusCode, header};
use http_body::{Body as HttpBody, Frame, SizeHint};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tidegate_telemetry::metrics::{RouterMetrics, TraceLabel};
use tokio::time::Instant;

/// Counts an answer of `pool` as it passes; `line` is written at its end.
pub(super) fn counted(
    way: &Way,
    arrived: Instant,
    pool: String,
    line: AccessLine,
    response: Response<Body>,
) -> Response<Box<CountedBody>> {
    let status = response.status();
    let is_stream = response.headers().get(header::CONTENT_TYPE).is_some_and(is_event_stream);
    // What no pool answered, and what is no success, has no tokens.
    let tally = (status.is_success() && !pool.is_empty()).then(|| way.desk.tally.pool(&pool));
    response.map(|inner| {
        let (metrics, trace) = (way.desk.metrics.clone(), TraceLabel::of(line.notes.server()));
        let route = way.route;
        let (begun, answering) = (false, false);
        // Boxed, since an answer moves through many hands on its way out.
        Box::new(CountedBody {
            inner,
            metrics,
            trace,
            pool,
            route,
            status,
            arrived,
            begun,
            is_stream,
            tally,
            answering,
            line,
        })
    })
}

/// A body that notes when its first byte passes and when it is over.
#[derive(Debug)]
pub struct CountedBody {
    inner: Body,
    metrics: Arc<RouterMetrics>,
    trace: Option<TraceLabel>,
    pool: String,
    route: &'static str,
    status: StatusCode,
    arrived: Instant,
    begun: bool,
    is_stream: bool,
    /// Where a pool's answer is counted; none for a failure.
    tally: Option<Arc<PoolTally>>,
    /// Something of the answer itself has passed.
    answering: bool,
    /// The last field: what is below has noted all that it knows when it is dropped.
    line: AccessLine,
}

impl CountedBody {
    /// Counts what flows to the client, `first_after` so long where it is the first piece. The comments that keep a waiting stream open
    /// are no beginning of an answer.
    fn flowed(&mut self, piece: &[u8], first_after: Option<Duration>) {
        let Some(tally) = &self.tally else { return };
        let events = if self.is_stream { events_in(piece) } else { 0 };
        if events > 0 {
            tally.tokens(events);
        }
        if !self.answering && (events > 0 || !self.is_stream) {
            self.answering = true;
            tally.first_token(first_after.unwrap_or_else(|| self.arrived.elapsed()));
        }
    }

    /// Notes that the answer's first byte passes; gives how long it took.
    fn begins(&mut self) -> Duration {
        self.begun = true;
        let took = self.arrived.elapsed();
        self.metrics.first_token(&self.pool, took, self.trace.clone());
        took
    }

    /// Tokens of a whole answer, which it tells at its end.
    fn told_tokens(&self) -> Option<u64> {
        let usage = if self.is_stream { None } else { self.line.notes.facts().usage };
        // No backend's word makes a second's sum overflow.
        usage.map(|usage| usage.completion_tokens.min(MOST_TOKENS))
    }
}

impl Drop for CountedBody {
    fn drop(&mut self) {
        if let (Some(tally), Some(tokens)) = (&self.tally, self.told_tokens()) {
            tally.tokens(tokens);
        }
        let (status, took) = (self.status.as_u16(), self.arrived.elapsed());
        self.metrics.answered(&self.pool, self.route, status, took, self.trace.take());
    }
}

impl HttpBody for CountedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = std::task::ready!(Pin::new(&mut self.inner).poll_frame(cx));
        let begins = !self.begun && self.status.is_success() && matches!(frame, Some(Ok(_)));
        let first_after = begins.then(|| self.begins());
        if let Some(Ok(frame)) = &frame
            && let Some(piece) = frame.data_ref()
        {
            self.flowed(piece, first_after);
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
