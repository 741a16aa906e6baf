//! Admission: asks the ledger for a slot, waits for its turn, and tries another slot where a backend refused.
//!
//! The loop over attempts stands here and not in [`super::dispatch`], because a further attempt waits under the same
//! ticket: the request keeps its place.

use super::Job;
use super::permit::{Claim, Desk, Permit};
use crate::error::{Error, ErrorKind};
use crate::ledger::{
    Admission as Verdict, Ask, AttemptId, Grant, HandBack, LedgerError, Rejection, Ticket, Waited as WaitEnd,
};
use axum::body::Body;
use futures_util::future::BoxFuture;
use http::Response;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tidegate_admission::Reason;
use tokio::time::Instant;
use tower::{Layer, Service};
use tracing::{Instrument, Span};

/// How often a request is tried on backends that cannot be reached before it fails.
const MAX_UNREACHABLE: u32 = 3;

/// The pool that a request belongs to, for the layers outside: an answer carries it among its extensions.
#[derive(Debug, Clone)]
pub struct Pool(pub String);

impl Pool {
    /// Tells the layers outside.
    pub(super) fn mark(self, mut response: Response<Body>) -> Response<Body> {
        response.extensions_mut().insert(self);
        response
    }
}

/// How long a request waited for its first slot, for the layers outside, like [`Pool`].
#[derive(Debug, Clone, Copy)]
pub struct Waited(pub Duration);

/// A job that holds a slot.
#[derive(Debug)]
pub struct Admitted {
    /// The job; a further attempt sends the same one.
    pub job: Arc<Job>,
    /// The slot.
    pub permit: Permit,
}

/// An attempt that ended before a byte of the answer was there.
#[derive(Debug)]
pub enum Undelivered {
    /// The backend did not take the work; the permit is handed back and the ticket keeps its place.
    Refused {
        /// The slot that could not be used.
        permit: Permit,
        /// What the ledger is told about it.
        why: HandBack,
        /// What the client is told if no attempt is left.
        message: String,
    },
    /// The request is over; the permit has been seen to.
    Failed(Error),
}

/// Puts admission in front of a service that delivers admitted jobs.
#[derive(Debug, Clone)]
pub struct AdmissionLayer {
    /// The ledger and the guards' duties.
    pub desk: Arc<Desk>,
}

impl<S> Layer<S> for AdmissionLayer {
    type Service = Admission<S>;
    fn layer(&self, inner: S) -> Admission<S> {
        Admission { desk: self.desk.clone(), inner }
    }
}

/// The service that [`AdmissionLayer`] makes.
#[derive(Debug, Clone)]
pub struct Admission<S> {
    desk: Arc<Desk>,
    inner: S,
}

impl<S> Service<Job> for Admission<S>
where
    S: Service<Admitted, Response = Response<Body>, Error = Undelivered> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = Response<Body>;
    type Error = Error;
    type Future = BoxFuture<'static, Result<Response<Body>, Error>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, job: Job) -> Self::Future {
        let desk = self.desk.clone();
        let deliver = self.inner.clone();
        Box::pin(async move {
            let pool = Pool(job.pool.clone());
            let answer = deliver_admitted(&desk, deliver, Arc::new(job)).await;
            match answer {
                Ok(response) => Ok(pool.mark(response)),
                Err(error) => {
                    note(&desk, &pool.0, error.kind);
                    Err(error.in_pool(&pool.0))
                }
            }
        })
    }
}

/// Counts a request that ended with an error.
fn note(desk: &Desk, pool: &str, kind: ErrorKind) {
    if kind.is_refusal() {
        desk.tally.rejected(pool, kind.code());
    } else {
        desk.tally.failed(pool, kind.code());
    }
}

/// Takes a slot, delivers, and takes another slot as long as backends refuse.
async fn deliver_admitted<S>(desk: &Arc<Desk>, mut deliver: S, job: Arc<Job>) -> Result<Response<Body>, Error>
where
    S: Service<Admitted, Response = Response<Body>, Error = Undelivered>,
{
    let mut permit = first_permit(desk, &job).instrument(admission_span(&job)).await?;
    let waited = job.arrived.elapsed();
    desk.metrics.granted(&job.pool, waited);
    desk.tally.accepted(&job.pool, waited);
    let mut unreachable = 0;
    loop {
        std::future::poll_fn(|cx| deliver.poll_ready(cx)).await.map_err(failure)?;
        match deliver.call(Admitted { job: job.clone(), permit }).await {
            Ok(mut response) => {
                response.extensions_mut().insert(Waited(waited));
                return Ok(response);
            }
            Err(Undelivered::Failed(error)) => return Err(error),
            Err(Undelivered::Refused { permit: refused, why, message }) => {
                unreachable += u32::from(why == HandBack::Unreachable);
                if unreachable >= MAX_UNREACHABLE {
                    return Err(Error::new(ErrorKind::Backend, message));
                }
                permit = next_permit(desk, &job, refused, why).await?;
            }
        }
    }
}

fn failure(undelivered: Undelivered) -> Error {
    match undelivered {
        Undelivered::Failed(error) => error,
        Undelivered::Refused { message, .. } => Error::new(ErrorKind::Backend, message),
    }
}

/// Asks the ledger for the first time.
async fn first_permit(desk: &Arc<Desk>, job: &Job) -> Result<Permit, Error> {
    let mut claim = desk.claim(&job.pool, job.class);
    let attempt = attempt_of(&claim)?;
    let ask = Ask {
        attempt,
        priority: job.priority,
        remaining: job.deadline.saturating_duration_since(Instant::now()),
        length: desk.lengths.of(&job.pool, job.class),
        draw: job.draw,
        jitter: job.jitter,
        prefer: None,
    };
    let verdict = before_deadline(job, &mut claim, desk.ledger.admit(&job.pool, ask)).await?;
    record(&verdict);
    settle(desk, job, claim, verdict).await
}

/// Puts a refused attempt's ticket back and waits for its next grant.
async fn next_permit(desk: &Arc<Desk>, job: &Job, refused: Permit, why: HandBack) -> Result<Permit, Error> {
    let (old, mut claim) = refused.successor().ok_or_else(used_up)?;
    let next = attempt_of(&claim)?;
    tracing::debug!(attempt = %old, ?why, "a backend did not take the request; it waits in its old place");
    desk.metrics.resent(&job.pool);
    let verdict = before_deadline(job, &mut claim, desk.ledger.hand_back(&job.pool, &old, why, next)).await?;
    if verdict.is_ok() {
        refused.handed_back(why);
    }
    settle(desk, job, claim, verdict).await
}

/// Turns the ledger's verdict into a permit or an error, waiting where it is a ticket.
async fn settle(
    desk: &Arc<Desk>,
    job: &Job,
    claim: Claim,
    verdict: Result<Verdict, LedgerError>,
) -> Result<Permit, Error> {
    match verdict {
        Ok(Verdict::Granted(grant)) => permit_of(claim, grant),
        Ok(Verdict::Queued(ticket)) => {
            let _waiting = desk.metrics.waiting(&job.pool);
            wait(job, claim, ticket).await
        }
        Ok(Verdict::Rejected(rejection)) => {
            claim.refused();
            desk.metrics.rejected(&job.pool, job.priority.as_str(), rejection.reason.as_str());
            Err(rejected(&rejection))
        }
        Err(error) => Err(ledger_away(&error)),
    }
}

async fn wait(job: &Job, mut claim: Claim, ticket: Ticket) -> Result<Permit, Error> {
    match before_deadline(job, &mut claim, ticket.grant).await? {
        Ok(WaitEnd::Granted(grant)) => permit_of(claim, grant),
        Ok(WaitEnd::Dropped(Reason::Deadline)) => {
            claim.refused();
            Err(timed_out())
        }
        Ok(WaitEnd::Dropped(reason)) => {
            claim.refused();
            Err(Error::new(
                ErrorKind::Rejected(reason),
                "the request waited, and its pool can no longer serve it",
            ))
        }
        Err(_) => {
            Err(Error::new(ErrorKind::LedgerUnavailable, "the ledger was lost while the request waited"))
        }
    }
}

/// Awaits `future` until the job's deadline; past it the claim's drop gives the place back.
async fn before_deadline<T>(
    job: &Job,
    claim: &mut Claim,
    future: impl Future<Output = T>,
) -> Result<T, Error> {
    tokio::time::timeout_at(job.deadline, future).await.map_err(|_| {
        claim.expired();
        timed_out()
    })
}

/// The span of the decision and the wait; what was decided on is recorded when it is known.
fn admission_span(job: &Job) -> Span {
    tracing::info_span!(
        "tidegate.admission",
        otel.kind = "internal",
        tidegate.pool = job.pool,
        tidegate.priority = job.priority.as_str(),
        tidegate.draw = job.draw,
        tidegate.verdict = tracing::field::Empty,
        tidegate.queue_position = tracing::field::Empty,
        tidegate.slots = tracing::field::Empty,
        tidegate.held = tracing::field::Empty,
        tidegate.p = tracing::field::Empty,
    )
}

/// Writes what a verdict says into the current span.
fn record(verdict: &Result<Verdict, LedgerError>) {
    let span = Span::current();
    let (word, numbers) = match verdict {
        Ok(Verdict::Granted(grant)) => ("granted", grant.numbers),
        Ok(Verdict::Queued(ticket)) => {
            span.record("tidegate.queue_position", ticket.position);
            ("queued", ticket.numbers)
        }
        Ok(Verdict::Rejected(rejection)) => (rejection.reason.as_str(), rejection.numbers),
        Err(_) => ("ledger_unavailable", None),
    };
    span.record("tidegate.verdict", word);
    if let Some(numbers) = numbers {
        span.record("tidegate.slots", numbers.slots);
        span.record("tidegate.held", numbers.held);
        span.record("tidegate.p", numbers.p);
    }
}

/// The error of a request whose deadline passed before its answer began.
pub(super) fn timed_out() -> Error {
    Error::new(ErrorKind::Timeout, "the request did not finish before its deadline")
}

fn attempt_of(claim: &Claim) -> Result<AttemptId, Error> {
    claim.attempt().cloned().ok_or_else(used_up)
}

fn permit_of(claim: Claim, grant: Grant) -> Result<Permit, Error> {
    claim.granted(grant).ok_or_else(used_up)
}

fn used_up() -> Error {
    Error::new(ErrorKind::Internal, "a guard was used twice")
}

fn ledger_away(error: &LedgerError) -> Error {
    tracing::warn!(%error, "the ledger could not be asked");
    Error::new(ErrorKind::LedgerUnavailable, "the shared ledger cannot be reached; try again shortly")
}

fn rejected(rejection: &Rejection) -> Error {
    let message = match rejection.reason {
        Reason::Capacity => "the fleet is close to its capacity and sheds part of the load",
        Reason::QueueFull => "the queue for this model is full",
        Reason::Deadline => "the request would not finish before its deadline",
        Reason::NoBackend => "no backend is live for this model",
        Reason::UnknownPool => "no backend has ever served this model here",
    };
    Error::new(ErrorKind::Rejected(rejection.reason), message)
        .with_retry_after(rejection.retry_after)
        .hopeless(rejection.hopeless)
}
