//! The outermost layer of the way: any error becomes an answer in OpenAI's shape, and every answer is counted.

use super::access::{AccessLine, Notes};
use super::admission::Pool;
use super::dispatch::is_event_stream;
use crate::error::Error;
use crate::tally::{PoolTally, Tally, tokens_in};
use axum::body::Body;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{Request, Response, StatusCode, header};
use http_body::{Body as HttpBody, Frame, SizeHint};
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tidegate_telemetry::metrics::{RouterMetrics, TraceLabel};
use tokio::time::Instant;
use tower::{Layer, Service};
use tracing::Span;

/// Turns errors into answers and counts both.
#[derive(Debug, Clone)]
pub struct AnswerLayer {
    /// The path that this way serves, as the path table has it.
    pub route: &'static str,
    /// `--overload-status`: the status of rejections.
    pub overload_status: StatusCode,
    /// Where answers are counted.
    pub metrics: Arc<RouterMetrics>,
    /// Where what flows to clients is counted by the second.
    pub tally: Arc<Tally>,
}

impl<S> Layer<S> for AnswerLayer {
    type Service = Answer<S>;
    fn layer(&self, inner: S) -> Answer<S> {
        Answer { settings: self.clone(), inner }
    }
}

/// The service that [`AnswerLayer`] makes. It never fails.
#[derive(Debug, Clone)]
pub struct Answer<S> {
    settings: AnswerLayer,
    inner: S,
}

impl<S> Service<Request<Body>> for Answer<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Error>,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    /// Always ready: whether there is room is the ledger's to say, with an answer and not by waiting here.
    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let settings = self.settings.clone();
        let arrived = Instant::now();
        let notes = Notes::begin();
        request.extensions_mut().insert(notes.clone());
        // Written when this future or the answer's body is dropped, whichever comes last.
        let mut line = AccessLine::begin(settings.route, notes);
        let answer = self.inner.call(request);
        Box::pin(async move {
            let (pool, response) = match answer.await {
                Ok(response) => (response.extensions().get::<Pool>().map(|pool| pool.0.clone()), response),
                Err(mut error) => {
                    line.notes.failed(error.kind);
                    if error.pool.is_none() && error.kind.is_refusal() {
                        // Admission counts what it refuses itself; this one did not come so far.
                        settings.metrics.rejected("", "", error.kind.code());
                    }
                    if error.kind.is_fault() {
                        tracing::warn!(code = error.kind.code(), %error, "a request failed");
                    }
                    (error.pool.take(), error.into_response(settings.overload_status))
                }
            };
            line.status = Some(response.status().as_u16());
            Ok(settings.counted(arrived, pool.unwrap_or_default(), line, response))
        })
    }
}

impl AnswerLayer {
    fn counted(
        self,
        arrived: Instant,
        pool: String,
        line: AccessLine,
        response: Response<Body>,
    ) -> Response<Body> {
        let status = response.status();
        let is_stream = response.headers().get(header::CONTENT_TYPE).is_some_and(is_event_stream);
        // What no pool answered, and what is no success, has no tokens.
        let tally = (status.is_success() && !pool.is_empty()).then(|| self.tally.pool(&pool));
        response.map(|inner| {
            Body::new(CountedBody {
                inner,
                metrics: self.metrics,
                trace: TraceLabel::of(&Span::current()),
                pool,
                route: self.route,
                status,
                arrived,
                begun: false,
                is_stream,
                tally,
                answering: false,
                _line: line,
            })
        })
    }
}

/// A body that notes when its first byte passes and when it is over.
#[derive(Debug)]
struct CountedBody {
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
    _line: AccessLine,
}

impl CountedBody {
    /// Counts what flows to the client. The comments that keep a waiting stream open are no beginning of an answer.
    fn flowed(&mut self, piece: &[u8]) {
        let Some(tally) = &self.tally else { return };
        let tokens = tokens_in(piece, self.is_stream);
        if tokens > 0 {
            tally.tokens(tokens);
        }
        if !self.answering && (tokens > 0 || !self.is_stream) {
            self.answering = true;
            tally.first_token(self.arrived.elapsed());
        }
    }
}

impl Drop for CountedBody {
    fn drop(&mut self) {
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
        if !self.begun && self.status.is_success() && matches!(frame, Some(Ok(_))) {
            self.begun = true;
            self.metrics.first_token(&self.pool, self.arrived.elapsed(), self.trace.clone());
        }
        if let Some(Ok(frame)) = &frame
            && let Some(piece) = frame.data_ref()
        {
            self.flowed(piece);
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
