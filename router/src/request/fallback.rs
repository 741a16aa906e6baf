//! Fallback: a request that its pool refuses, or cannot serve, goes to the next pool that may serve it.
//!
//! It stands outside admission, since each pool decides for itself, and inside the opening of late streams, which bridges the
//! wait in any of them.

use super::{Job, model};
use crate::error::{Error, ErrorKind};
use crate::names::Destination;
use axum::body::Body;
use futures_util::future::BoxFuture;
use http::{HeaderValue, Response};
use std::task::{Context, Poll};
use tidegate_admission::Reason;
use tidegate_wire::header as names;
use tower::{Layer, Service};

type Answer = BoxFuture<'static, Result<Response<Body>, Error>>;

/// Puts fallbacks in front of a service that answers jobs.
#[derive(Debug, Clone, Copy)]
pub struct FallbackLayer;

impl<S> Layer<S> for FallbackLayer {
    type Service = Fallback<S>;
    fn layer(&self, inner: S) -> Fallback<S> {
        Fallback { inner }
    }
}

/// The service that [`FallbackLayer`] makes.
#[derive(Debug, Clone)]
pub struct Fallback<S> {
    inner: S,
}

impl<S> Service<Job> for Fallback<S>
where
    S: Service<Job, Response = Response<Body>, Error = Error, Future = Answer> + Clone + Send + 'static,
{
    type Response = Response<Body>;
    type Error = Error;
    type Future = Answer;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, job: Job) -> Answer {
        if job.others.is_empty() && !job.fallback {
            return self.inner.call(job);
        }
        let clone = self.inner.clone();
        let inner = std::mem::replace(&mut self.inner, clone);
        Box::pin(try_each(inner, job))
    }
}

/// Tries the pools one after the other. Where all refuse, the first one's word is the client's.
async fn try_each<S>(mut inner: S, mut job: Job) -> Result<Response<Body>, Error>
where
    S: Service<Job, Response = Response<Body>, Error = Error>,
{
    let others = std::mem::take(&mut job.others);
    let spare = job.clone();
    let refused = match attempt(&mut inner, job).await {
        Err(error) if leads_elsewhere(error.kind) => error,
        answered => return answered,
    };
    for destination in others {
        match attempt(&mut inner, spare.clone().sent_to(destination)).await {
            Err(error) if leads_elsewhere(error.kind) => {}
            answered => return answered,
        }
    }
    Err(refused)
}

async fn attempt<S>(inner: &mut S, job: Job) -> Result<Response<Body>, Error>
where
    S: Service<Job, Response = Response<Body>, Error = Error>,
{
    let instead = job.fallback.then(|| HeaderValue::try_from(&job.model).ok()).flatten();
    std::future::poll_fn(|cx| inner.poll_ready(cx)).await?;
    let mut response = inner.call(job).await?;
    if let Some(model) = instead {
        response.headers_mut().insert(names::FALLBACK, model);
    }
    Ok(response)
}

/// True where the pool is full or down, and nothing of an answer was there. A key's limits are no matter of the pool. What ran out of time has none left, and a ledger that
/// is away is away for all pools.
fn leads_elsewhere(kind: ErrorKind) -> bool {
    kind != ErrorKind::Rejected(Reason::RateLimit)
        && matches!(kind, ErrorKind::Rejected(_) | ErrorKind::Backend)
}

impl Job {
    /// The same request to another model.
    fn sent_to(mut self, to: Destination) -> Self {
        self.body = model::renamed(&self.body, &to.model);
        (self.model, self.pool, self.fallback) = (to.model, to.pool, to.fallback);
        // The first draw was low enough to be refused, most likely: another pool gets one of its own.
        self.draw = rand::random();
        self
    }
}
