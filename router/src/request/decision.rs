//! What an admission says of itself: the span `tidegate.admission`, from the question to the ledger to the end of the wait,
//! with the numbers that were decided on.

use super::Job;
use super::access::{CLIENT_GONE, Notes};
use super::permit::Permit;
use crate::error::Error;
use crate::ledger::{Admission as Verdict, LedgerError, Numbers};
use tidegate_telemetry::{KeyValue, Span, span};
use tokio::time::Instant;

/// One question to the ledger and the wait that may follow. Dropped before it has [ended](Decision::ended), its client has
/// gone.
#[derive(Debug)]
pub(super) struct Decision {
    notes: Notes,
    /// None where the request is not traced.
    span: Span,
    begun: Instant,
    /// True for the first one of a request: its verdict is the request's.
    first: bool,
    outcome: Option<&'static str>,
    /// When a slot was granted, where one was.
    granted: Option<Instant>,
}

impl Decision {
    /// The request asks, for the first time or once more after so many backends did not take it.
    pub(super) fn begin(job: &Job, resends: u32) -> Self {
        let notes = job.notes.clone();
        let span = if notes.traced() {
            let server = notes.server().id();
            Span::of(tracing::info_span!(parent: server, "tidegate.admission", otel.kind = "internal"))
        } else {
            Span::none()
        };
        let decision =
            Self { notes, span, begun: Instant::now(), first: resends == 0, outcome: None, granted: None };
        decision.say(|| {
            vec![
                KeyValue::new("tidegate.pool", job.pool.clone()),
                KeyValue::new("tidegate.priority", job.priority.as_str()),
                KeyValue::new("tidegate.resends", i64::from(resends)),
            ]
        });
        decision
    }

    /// When the ledger was asked.
    pub(super) fn begun(&self) -> Instant {
        self.begun
    }

    /// The ledger has answered.
    pub(super) fn decided(&self, verdict: &Result<Verdict, LedgerError>) {
        let (word, retry_after) = match verdict {
            Ok(Verdict::Granted(_)) => ("granted", None),
            Ok(Verdict::Queued(_)) => ("queued", None),
            Ok(Verdict::Rejected(rejection)) => (rejection.reason.as_str(), Some(rejection.retry_after)),
            Err(_) => ("ledger_unavailable", None),
        };
        let mut facts = self.notes.facts();
        if self.first {
            facts.verdict = Some(word);
        }
        facts.retry_after = retry_after;
        drop(facts);
        self.say(|| {
            let mut said = weighed(verdict);
            said.push(KeyValue::new("tidegate.verdict", word));
            said.push(KeyValue::new("tidegate.ledger_ms", span::milliseconds(self.begun.elapsed())));
            said
        });
    }

    /// The request may run, or has been told why not.
    pub(super) fn ended(&mut self, result: &Result<Permit, Error>) {
        self.granted = result.as_ref().ok().and_then(Permit::since);
        self.outcome = Some(result.as_ref().map_or_else(|error| error.kind.code(), |_| "granted"));
    }

    fn say(&self, attributes: impl FnOnce() -> Vec<KeyValue>) {
        if self.notes.traced() {
            self.span.annotate(attributes());
        }
    }
}

impl Drop for Decision {
    fn drop(&mut self) {
        let waited = self.granted.unwrap_or_else(Instant::now) - self.begun;
        self.notes.facts().waited += waited;
        if self.notes.traced() {
            let outcome = self.outcome.unwrap_or(CLIENT_GONE);
            let waited = KeyValue::new("tidegate.waited_ms", span::milliseconds(waited));
            self.span.annotate([KeyValue::new("tidegate.outcome", outcome), waited]);
            self.span.end();
        }
    }
}

/// The numbers of the decision, by the names that the five rules have for them. Of a request that finds a free slot only those that
/// place it; of others all that was weighed, its place in the queue, and when one who is refused may come back.
fn weighed(verdict: &Result<Verdict, LedgerError>) -> Vec<KeyValue> {
    match verdict {
        Ok(Verdict::Granted(grant)) => {
            grant.numbers.map(|numbers| placed(&numbers).into()).unwrap_or_default()
        }
        Ok(Verdict::Queued(ticket)) => {
            let mut said = all(ticket.numbers);
            said.push(KeyValue::new("tidegate.queue_position", i64::from(ticket.position)));
            said
        }
        Ok(Verdict::Rejected(rejection)) => {
            let mut said = all(rejection.numbers);
            let wait = span::milliseconds(rejection.retry_after);
            said.push(KeyValue::new("tidegate.retry_after_ms", wait));
            said.push(KeyValue::new("tidegate.hopeless", rejection.hopeless));
            said
        }
        Err(_) => Vec::new(),
    }
}

fn placed(numbers: &Numbers) -> [KeyValue; 4] {
    [
        KeyValue::new("tidegate.slots", numbers.slots),
        KeyValue::new("tidegate.held", numbers.held),
        KeyValue::new("tidegate.p", numbers.p),
        KeyValue::new("tidegate.draw", numbers.draw),
    ]
}

fn all(numbers: Option<Numbers>) -> Vec<KeyValue> {
    let Some(numbers) = numbers else { return Vec::new() };
    let mut said: Vec<KeyValue> = placed(&numbers).into();
    said.extend([
        KeyValue::new("tidegate.ahead", numbers.ahead),
        KeyValue::new("tidegate.queued", numbers.queued),
        KeyValue::new("tidegate.queue_limit", numbers.queue_limit),
        KeyValue::new("tidegate.capacity", numbers.capacity),
    ]);
    if let Some(measured) = numbers.measured {
        said.extend([
            KeyValue::new("tidegate.service_mean_ms", 1e3 * measured.mean),
            KeyValue::new("tidegate.service_p90_ms", 1e3 * measured.p90),
            KeyValue::new("tidegate.drain_per_s", measured.drain),
            KeyValue::new("tidegate.predicted_wait_ms", 1e3 * measured.wait),
            KeyValue::new("tidegate.wait_budget_ms", 1e3 * measured.budget),
        ]);
    }
    said
}
