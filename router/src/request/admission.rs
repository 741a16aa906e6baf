//! Admission: asks the ledger for a slot, waits for its turn, and tries another slot where a backend refused.
//!
//! The loop over attempts stands here and not in [`super::dispatch`], because a further attempt waits under the same
//! ticket: the request keeps its place.

use super::Job;
use super::decision::Decision;
use super::dispatch::Dispatch;
use super::meter::Meter;
use super::permit::{Claim, Desk, Permit};
use crate::error::{Error, ErrorKind};
use crate::ledger::{
    Admission as Verdict, Allowance, Ask, AttemptId, Grant, HandBack, LedgerError, Rejection, Ticket, Waited,
};
use axum::body::Body;
use futures_util::future::{BoxFuture, Either, Ready, ready};
use http::Response;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tidegate_admission::Reason;
use tidegate_telemetry::metrics::WaitEnd;
use tokio::time::error::Elapsed;
use tokio::time::{Instant, timeout_at};

/// How often a request is tried on backends that cannot be reached before it fails.
const MAX_UNREACHABLE: u32 = 3;

/// When a request may come back that found its backend full and the budget of retries spent: by then backends have reported.
const RETRY_AFTER_FULL: Duration = Duration::from_secs(1);

/// How long a request waited for its first slot, among the extensions of its answer, where the way is asked for it.
#[derive(Debug, Clone, Copy)]
pub struct SlotAfter(pub Duration);

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

/// Takes a slot in the job's pool and delivers.
pub(super) async fn deliver_admitted(
    desk: &Arc<Desk>,
    dispatch: &Dispatch,
    job: &Job,
) -> Result<Response<Body>, Error> {
    job.notes.facts().pool.clone_from(&job.pool);
    let answer = try_backends(desk, dispatch, job).await;
    answer.map_err(|error| {
        note(desk, &job.pool, error.kind);
        error.in_pool(&job.pool)
    })
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
async fn try_backends(desk: &Arc<Desk>, dispatch: &Dispatch, job: &Job) -> Result<Response<Body>, Error> {
    let mut permit = first_permit(desk, job).await?;
    permit.meter(Meter::of(job));
    let waited = permit.since().unwrap_or_else(Instant::now) - job.arrived;
    desk.metrics.granted(&job.pool, job.priority.as_str(), waited);
    desk.tally.accepted(&job.pool, waited);
    desk.retries.sent(&job.pool);
    let mut unreachable = 0;
    let mut resends = 0;
    loop {
        match dispatch.deliver(job, permit, resends).await {
            Ok(response) => {
                job.notes.facts().slot_after = Some(waited);
                return Ok(response);
            }
            Err(Undelivered::Failed(error)) => return Err(error),
            Err(Undelivered::Refused { permit: refused, why, message }) => {
                unreachable += u32::from(why == HandBack::Unreachable);
                if unreachable >= MAX_UNREACHABLE {
                    return Err(Error::new(ErrorKind::Backend, message));
                }
                if !desk.retries.allowed(&job.pool) {
                    desk.metrics.retry_denied(&job.pool);
                    return Err(no_retry(why, &message));
                }
                resends += 1;
                // Boxed, since most requests need none of it.
                permit = Box::pin(next_permit(desk, job, refused, why, resends)).await?;
                permit.meter(Meter::of(job));
            }
        }
    }
}

/// What the client is told where the budget of retries is spent: a full backend is load, and the client may come back.
fn no_retry(why: HandBack, message: &str) -> Error {
    match why {
        HandBack::Concurrency => Error::new(
            ErrorKind::Rejected(Reason::Capacity),
            "the backend was full, and too many requests have been sent to other backends already",
        )
        .with_retry_after(RETRY_AFTER_FULL),
        HandBack::Unreachable => Error::new(
            ErrorKind::Backend,
            format!("{message}; too many requests have been sent to other backends already"),
        ),
    }
}

/// Asks the ledger for the first time.
async fn first_permit(desk: &Arc<Desk>, job: &Job) -> Result<Permit, Error> {
    let claim = desk.claim(&job.pool, job.class);
    let attempt = attempt_of(&claim)?;
    let mut decision = Decision::begin(job, 0);
    let wish = desk.balance.wish(&desk.roster, job, rand::random());
    let ask = Ask {
        attempt,
        priority: job.priority,
        remaining: job.deadline.saturating_duration_since(decision.begun()),
        length: desk.lengths.of(&job.pool, job.class),
        draw: job.draw,
        jitter: job.jitter,
        prefer: wish.prefer.clone(),
        caller: job.caller.clone(),
    };
    let verdict = {
        // Pinned where it stands: it is too large to be moved into the timeout.
        let asking = pin!(desk.ledger.admit(&job.pool, ask));
        timeout_at(job.deadline, asking).await
    };
    let permit = decided(desk, job, claim, verdict, &decision).await;
    decision.ended(&permit);
    if let Some(grant) = permit.as_ref().ok().and_then(Permit::grant) {
        desk.balance.served(&wish, &grant.backend);
        if let Some(preferred) = &wish.prefer {
            desk.metrics.preferred(&job.pool, *preferred == grant.backend);
        }
    }
    permit
}

/// A permit, or why there is none: at once, or after a wait, which lives on the heap. Most requests need not wait and have no room for it.
type Permitted<'a> = Either<Ready<Result<Permit, Error>>, BoxFuture<'a, Result<Permit, Error>>>;

/// What follows from the ledger's verdict, where it came before the deadline.
fn decided<'a>(
    desk: &'a Arc<Desk>,
    job: &'a Job,
    mut claim: Claim,
    verdict: Result<Result<Verdict, LedgerError>, Elapsed>,
    decision: &Decision,
) -> Permitted<'a> {
    let Ok(verdict) = verdict else { return Either::Left(ready(Err(expired(&mut claim)))) };
    decision.decided(&verdict);
    if let Some(allowance) = allowance(&verdict) {
        job.notes.facts().allowance = Some(allowance);
    }
    Either::Left(ready(match verdict {
        Ok(Verdict::Queued(ticket)) => {
            return Either::Right(Box::pin(wait_counted(desk, job, claim, ticket)));
        }
        Ok(Verdict::Granted(grant)) => permit_of(claim, grant),
        Ok(Verdict::Rejected(rejection)) => {
            claim.refused();
            desk.metrics.rejected(&job.pool, job.priority.as_str(), rejection.reason.as_str());
            Err(rejected(job, &rejection))
        }
        Err(error) => {
            let code = ErrorKind::LedgerUnavailable.code();
            desk.metrics.rejected(&job.pool, job.priority.as_str(), code);
            Err(ledger_away(&error))
        }
    }))
}

/// Puts a refused attempt's ticket back and waits for its next grant.
async fn next_permit(
    desk: &Arc<Desk>,
    job: &Job,
    refused: Permit,
    why: HandBack,
    resends: u32,
) -> Result<Permit, Error> {
    let (old, claim) = refused.successor().ok_or_else(used_up)?;
    let next = attempt_of(&claim)?;
    tracing::debug!(attempt = %old, ?why, "a backend did not take the request; it waits in its old place");
    desk.metrics.resent(&job.pool, why.as_str());
    let mut decision = Decision::begin(job, resends);
    let asked = async {
        let verdict = desk.ledger.hand_back(&job.pool, &old, why, next).await;
        if verdict.is_ok() {
            refused.handed_back(why);
        }
        verdict
    };
    let verdict = timeout_at(job.deadline, asked).await;
    let permit = decided(desk, job, claim, verdict, &decision).await;
    decision.ended(&permit);
    permit
}

/// Waits for the grant of a ticket, and counts how the wait ends.
async fn wait_counted(desk: &Desk, job: &Job, claim: Claim, ticket: Ticket) -> Result<Permit, Error> {
    let mut waiting = desk.metrics.waiting(&job.pool, job.priority.as_str());
    let waited = wait(job, claim, ticket).await;
    waiting.ended(wait_end(&waited));
    waited
}

async fn wait(job: &Job, mut claim: Claim, ticket: Ticket) -> Result<Permit, Error> {
    match timeout_at(job.deadline, ticket.grant).await.map_err(|_| expired(&mut claim))? {
        Ok(Waited::Granted(grant)) => permit_of(claim, *grant),
        Ok(Waited::Dropped(Reason::Deadline)) => {
            claim.refused();
            Err(timed_out())
        }
        Ok(Waited::Dropped(reason)) => {
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

/// How a wait ended, for the count of waits.
fn wait_end(waited: &Result<Permit, Error>) -> WaitEnd {
    match waited.as_ref().map_err(|error| error.kind) {
        Ok(_) => WaitEnd::Granted,
        Err(ErrorKind::Timeout) => WaitEnd::Deadline,
        Err(ErrorKind::Rejected(_)) => WaitEnd::Dropped,
        Err(_) => WaitEnd::GivenUp,
    }
}

/// The deadline has passed: the claim's drop gives the place back.
fn expired(claim: &mut Claim) -> Error {
    claim.expired();
    timed_out()
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

/// What a key had used when its request was decided on.
fn allowance(verdict: &Result<Verdict, LedgerError>) -> Option<Allowance> {
    let numbers = match verdict.as_ref().ok()? {
        Verdict::Granted(grant) => grant.numbers,
        Verdict::Queued(ticket) => ticket.numbers,
        Verdict::Rejected(rejection) => rejection.numbers,
    };
    numbers?.allowance
}

/// Which of a key's limits a request has met.
fn limit_reached(job: &Job, rejection: &Rejection) -> &'static str {
    let quota = job.caller.as_ref().map(|caller| caller.quota).unwrap_or_default();
    let used = rejection.numbers.and_then(|numbers| numbers.allowance);
    let reached = |limit: Option<u64>, used: f64| limit.is_some_and(|limit| used + 1.0 > limit as f64);
    match used {
        Some(used) if reached(quota.concurrency, used.held) => {
            "this API key's limit of requests at once is reached for this model"
        }
        Some(used) if reached(quota.requests, used.requests) => {
            "this API key's limit of requests per minute is reached for this model"
        }
        _ if rejection.hopeless => {
            "the request may need more tokens than this API key may use in a minute: lower max_tokens or shorten the prompt"
        }
        _ => "this API key's limit of tokens per minute is reached for this model",
    }
}

fn rejected(job: &Job, rejection: &Rejection) -> Error {
    let message = match rejection.reason {
        Reason::Capacity => "the fleet is close to its capacity and sheds part of the load",
        Reason::QueueFull => "the queue for this model is full",
        Reason::Deadline => "the request would not finish before its deadline",
        Reason::NoBackend => "no backend is live for this model",
        Reason::UnknownPool => "no backend has ever served this model here",
        Reason::RateLimit => limit_reached(job, rejection),
    };
    Error::new(ErrorKind::Rejected(rejection.reason), message)
        .with_retry_after(rejection.retry_after)
        .hopeless(rejection.hopeless)
}
