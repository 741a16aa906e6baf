//! The whole way of a request. Each step is a call in [`Way::answer`], [`Way::serve`] or [`Way::deliver`], in their order.

use super::access::{AccessLine, Notes};
use super::admission::{self, SlotAfter};
use super::answer::{CountedBody, counted};
use super::dispatch::Dispatch;
use super::intake::Intake;
use super::permit::Desk;
use super::{Job, fallback, stream_open, tenant};
use crate::error::Error;
use crate::keys::KeyStore;
use axum::body::Body;
use futures_util::future::BoxFuture;
use http::{Request, Response, StatusCode};
use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::Instant;
use tower::Service;

/// What the steps need to know; the same for all requests on one path.
#[derive(Debug)]
pub struct Way {
    /// The path, as the path table has it.
    pub route: &'static str,
    /// `--overload-status`: the status of rejections.
    pub overload_status: StatusCode,
    /// The keys in force, where there are any: else everybody may come in.
    pub keys: Option<KeyStore>,
    /// How bytes become a job.
    pub intake: Intake,
    /// `--keep-alive`: the silence after which a waiting stream is opened.
    pub keep_alive: Duration,
    /// The ledger, the guards' duties, and where things are counted.
    pub desk: Arc<Desk>,
    /// How a job goes to a backend.
    pub dispatch: Dispatch,
    /// Answers carry [`SlotAfter`] among their extensions.
    pub timed: bool,
}

/// A [`Way`] as a service. It never fails, and it is always ready: whether there is room is the ledger's to say, with an answer and
/// not by waiting here.
#[derive(Debug, Clone)]
pub struct WayService(pub Arc<Way>);

impl Service<Request<Body>> for WayService {
    type Response = Response<Box<CountedBody>>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Box<CountedBody>>, Infallible>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        // On the heap, since it goes down through many steps.
        let (way, request) = (Arc::clone(&self.0), Box::new(request));
        Box::pin(async move { Ok(way.answer(request).await) })
    }
}

impl Way {
    /// Whatever goes wrong below becomes an answer, and every answer is counted.
    async fn answer(self: &Arc<Self>, request: Box<Request<Body>>) -> Response<Box<CountedBody>> {
        let arrived = Instant::now();
        // Written when this future or the answer's body is dropped, whichever comes last.
        let mut line = AccessLine::begin(self.route, arrived, Notes::begin());
        let (pool, mut response) = match self.serve(request, arrived, &line.notes).await {
            Ok(response) => (Some(std::mem::take(&mut line.notes.facts().pool)), response),
            Err(error) => self.refusal(error, &line.notes),
        };
        if self.timed
            && let Some(waited) = line.notes.facts().slot_after
        {
            response.extensions_mut().insert(SlotAfter(waited));
        }
        line.status = Some(response.status().as_u16());
        counted(self, arrived, pool.unwrap_or_default(), line, response)
    }

    /// The answer to a request that was not served, and the pool that it was for.
    fn refusal(&self, mut error: Error, notes: &Notes) -> (Option<String>, Response<Body>) {
        notes.failed(error.kind);
        if error.pool.is_none() && error.kind.is_refusal() {
            // Admission counts what it refuses itself; this one did not come so far.
            self.desk.metrics.rejected("", "", error.kind.code());
        }
        if error.kind.is_fault() {
            tracing::warn!(code = error.kind.code(), %error, "a request failed");
        }
        (error.pool.take(), error.into_response(self.overload_status))
    }

    /// From a stranger's bytes to the head of an answer.
    async fn serve(
        self: &Arc<Self>,
        mut request: Box<Request<Body>>,
        arrived: Instant,
        notes: &Notes,
    ) -> Result<Response<Body>, Error> {
        // A stranger is refused before anything of its request is read.
        let Some(keys) = &self.keys else { return self.serve_tenant(request, arrived, notes).await };
        let quota = tenant::let_in(keys, &mut request, notes).await?;
        let answer = self.serve_tenant(request, arrived, notes).await;
        tenant::tell_limits(&quota, notes, answer)
    }

    async fn serve_tenant(
        self: &Arc<Self>,
        request: Box<Request<Body>>,
        arrived: Instant,
        notes: &Notes,
    ) -> Result<Response<Body>, Error> {
        // Bytes become a job. Before admission, so that a bad request never costs a slot.
        let job = self.intake.read(request, arrived, notes).await?;
        if !job.stream {
            return self.deliver(job).await;
        }
        // A stream that waits long is opened here, outside admission, because waiting is what it has to bridge.
        let way = Arc::clone(self);
        let answer = Box::pin(async move { way.deliver(job).await });
        stream_open::bridge(answer, self.keep_alive, notes).await
    }

    /// From a job to the head of its answer. A pool that refuses may have another one that serves instead.
    async fn deliver(&self, job: Box<Job>) -> Result<Response<Body>, Error> {
        if job.others.is_empty() && !job.fallback {
            return self.admit(job).await;
        }
        Box::pin(fallback::try_each(self, job)).await
    }

    /// A slot, a ticket or a refusal by the job's pool; the permit goes down with the job and ends inside the answer's body.
    pub(super) async fn admit(&self, job: Box<Job>) -> Result<Response<Body>, Error> {
        admission::deliver_admitted(&self.desk, &self.dispatch, &job).await
    }
}
