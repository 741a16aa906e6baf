//! Fallback: a request that its pool refuses, or cannot serve, goes to the next pool that may serve it.
//!
//! It stands outside admission, since each pool decides for itself, and inside the opening of late streams, which bridges the
//! wait in any of them.

use super::way::Way;
use super::{Job, model};
use crate::error::{Error, ErrorKind};
use crate::names::Destination;
use axum::body::Body;
use http::{HeaderValue, Response};
use tidegate_admission::Reason;
use tidegate_wire::header as names;

/// Tries the pools one after the other. Where all refuse, the first one's word is the client's.
pub(super) async fn try_each(way: &Way, mut job: Box<Job>) -> Result<Response<Body>, Error> {
    let others = std::mem::take(&mut job.others);
    let spare = job.clone();
    let refused = match attempt(way, job).await {
        Err(error) if leads_elsewhere(error.kind) => error,
        answered => return answered,
    };
    for destination in others {
        match attempt(way, spare.clone().sent_to(destination)).await {
            Err(error) if leads_elsewhere(error.kind) => {}
            answered => return answered,
        }
    }
    Err(refused)
}

async fn attempt(way: &Way, job: Box<Job>) -> Result<Response<Body>, Error> {
    let instead = job.fallback.then(|| HeaderValue::try_from(&job.model).ok()).flatten();
    let mut response = way.admit(job).await?;
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
    fn sent_to(mut self: Box<Self>, to: Destination) -> Box<Self> {
        self.body = model::renamed(&self.body, &to.model);
        (self.model, self.pool, self.fallback) = (to.model, to.pool, to.fallback);
        // The first draw was low enough to be refused, most likely: another pool gets one of its own.
        self.draw = rand::random();
        self
    }
}
