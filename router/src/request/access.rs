//! The access line: one log line for each finished request, and the attributes of the decision in its SERVER span.
//!
//! The layers of the way note what they know, in [`Notes`]; the outermost one holds the [`AccessLine`], which is written when
//! the answer's body has gone, or the client has before there was one.

use crate::error::ErrorKind;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tidegate_admission::{Allowance, Priority};
use tidegate_telemetry::log::ACCESS;
use tidegate_telemetry::{KeyValue, RequestScope, Span, span};
use tidegate_wire::openai::Usage;
use tokio::time::Instant;

/// Status of a request whose client left before it was answered, as nginx logs it; nobody ever receives it.
const CLIENT_LEFT: u16 = 499;
/// The code of a request whose client left.
pub const CLIENT_GONE: &str = "client_gone";

/// What is known of a request so far. Clones are handles to the same notes.
#[derive(Debug, Clone)]
pub struct Notes(Arc<Page>);

#[derive(Debug)]
struct Page {
    /// With the SERVER span.
    scope: RequestScope,
    traced: bool,
    facts: Mutex<Facts>,
}

/// The facts of one request. What is not known stays empty.
#[derive(Debug, Default)]
pub struct Facts {
    /// The pool that it was sent to last.
    pub pool: String,
    /// From its arrival to its first slot.
    pub slot_after: Option<Duration>,
    /// The model as the client named it; only of models that are served here.
    pub model: String,
    /// Its class in the queue.
    pub priority: Option<&'static str>,
    /// Whether it asked for a stream.
    pub stream: bool,
    /// The ledger's first answer: `granted`, `queued`, or why not.
    pub verdict: Option<&'static str>,
    /// Time with the ledger and in the queue, over all attempts.
    pub waited: Duration,
    /// Time after which a refused client may try again.
    pub retry_after: Option<Duration>,
    /// The backend that had it last.
    pub backend: Option<String>,
    /// How often it went to another backend.
    pub resends: u32,
    /// From its arrival to the first piece of a stream.
    pub first_token: Option<Duration>,
    /// What it cost, where the backend told.
    pub usage: Option<Usage>,
    /// Whose it is, where keys are in use.
    pub tenant: Option<String>,
    /// What its key had used when it was decided on.
    pub allowance: Option<Allowance>,
    /// How it failed, if it did.
    pub code: Option<&'static str>,
}

impl Notes {
    /// Begins the notes of the request that is being worked for.
    pub fn begin() -> Self {
        let scope = RequestScope::current();
        let traced = scope.is_traced();
        Self(Arc::new(Page { scope, traced, facts: Mutex::default() }))
    }

    /// Whether spans of this request reach a collector: where they do not, none is made.
    pub fn traced(&self) -> bool {
        self.0.traced
    }

    /// The request, for what is logged of it elsewhere.
    pub fn scope(&self) -> &RequestScope {
        &self.0.scope
    }

    /// The SERVER span.
    pub fn server(&self) -> &Span {
        self.0.scope.span()
    }

    /// The facts, to be read or added to.
    pub fn facts(&self) -> MutexGuard<'_, Facts> {
        self.0.facts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// It asks for this, and is served here.
    pub fn asked(&self, model: &str, priority: Priority, stream: bool) {
        let mut facts = self.facts();
        model.clone_into(&mut facts.model);
        (facts.priority, facts.stream) = (Some(priority.as_str()), stream);
    }

    /// It ended with an error of this kind.
    pub fn failed(&self, kind: ErrorKind) {
        self.facts().code = Some(kind.code());
    }
}

/// Written when it is dropped: the request is over.
#[derive(Debug)]
pub struct AccessLine {
    /// What the layers have noted.
    pub notes: Notes,
    route: &'static str,
    arrived: Instant,
    /// The answer's, once there is one.
    pub status: Option<u16>,
}

impl AccessLine {
    /// The line of a request on `route`, as the path table has it, which came at `arrived`.
    pub fn begin(route: &'static str, arrived: Instant, notes: Notes) -> Self {
        Self { notes, route, arrived, status: None }
    }

    fn write(&self, facts: &Facts, status: u16, code: Option<&'static str>) {
        let milliseconds = |time: Duration| span::milliseconds(time);
        let usage = facts.usage.as_ref();
        let details = usage.and_then(|usage| usage.prompt_tokens_details);
        tracing::info!(
            target: ACCESS,
            route = self.route,
            status,
            code,
            tenant = facts.tenant.as_deref(),
            model = Some(facts.model.as_str()).filter(|model| !model.is_empty()),
            priority = facts.priority,
            stream = facts.stream,
            verdict = facts.verdict,
            waited_ms = milliseconds(facts.waited),
            first_token_ms = facts.first_token.map(milliseconds),
            duration_ms = milliseconds(self.arrived.elapsed()),
            prompt_tokens = usage.map(|usage| usage.prompt_tokens),
            cached_tokens = details.map(|details| details.cached_tokens),
            completion_tokens = usage.map(|usage| usage.completion_tokens),
            backend = facts.backend.as_deref(),
            resends = facts.resends,
            retry_after_ms = facts.retry_after.map(milliseconds),
            "request finished"
        );
    }
}

impl Drop for AccessLine {
    fn drop(&mut self) {
        let facts = self.notes.facts();
        let code = facts.code.or(self.status.is_none().then_some(CLIENT_GONE));
        self.notes.scope().enter(|| self.write(&facts, self.status.unwrap_or(CLIENT_LEFT), code));
        if self.notes.traced() {
            self.notes.server().annotate(attributes(&facts, code));
            self.notes.server().end();
        }
    }
}

/// What was decided, for the SERVER span. A trace can be looked for by these.
fn attributes(facts: &Facts, code: Option<&'static str>) -> Vec<KeyValue> {
    let mut found = vec![
        KeyValue::new("tidegate.waited_ms", span::milliseconds(facts.waited)),
        KeyValue::new("tidegate.resends", i64::from(facts.resends)),
    ];
    let words =
        [("tidegate.verdict", facts.verdict), ("tidegate.priority", facts.priority), ("tidegate.code", code)];
    found.extend(words.into_iter().filter_map(|(name, word)| Some(KeyValue::new(name, word?))));
    if let Some(wait) = facts.retry_after {
        found.push(KeyValue::new("tidegate.retry_after_ms", span::milliseconds(wait)));
    }
    if let Some(tenant) = &facts.tenant {
        found.push(KeyValue::new("tidegate.tenant", tenant.clone()));
    }
    if !facts.model.is_empty() {
        found.push(KeyValue::new("gen_ai.request.model", facts.model.clone()));
    }
    found
}
