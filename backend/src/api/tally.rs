//! What is counted and timed of each call: in metrics, in the call's own span, and in one log line when it has ended.

use crate::{engine::Told, node::Backend};
use axum::{
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use std::{sync::Arc, time::Duration};
use tidegate_telemetry::{KeyValue, RequestScope, Span, log::ACCESS, metrics::TraceLabel, span};
use tidegate_wire::{
    header::REASON,
    openai::{CHAT_PATH, COMPLETIONS_PATH, EMBEDDINGS_PATH, FinishReason, Usage},
};
use tokio::time::Instant;

/// Status of a call whose client left before the answer was complete, as nginx logs it; nobody ever receives it.
pub(crate) const CLIENT_LEFT: u16 = 499;

/// Counts the calls that are answered with an error.
pub(crate) async fn refusals(State(backend): State<Backend>, request: Request, next: Next) -> Response {
    let (route, arrived) = (route(request.uri().path()), Instant::now());
    let answer = next.run(request).await;
    if !answer.status().is_success() {
        let (status, took) = (answer.status().as_u16(), arrived.elapsed());
        let trace = TraceLabel::of(RequestScope::current().span());
        backend.metrics().answered(route, operation(route), status, took, trace);
        if backend.settings().access_log {
            let code = answer.headers().get(REASON).and_then(|reason| reason.to_str().ok());
            let duration_ms = span::milliseconds(took);
            tracing::info!(target: ACCESS, route, status, code, duration_ms, "request finished");
        }
    }
    answer
}

/// The path as the route table has it.
pub(crate) fn route(path: &str) -> &'static str {
    [CHAT_PATH, COMPLETIONS_PATH, EMBEDDINGS_PATH]
        .into_iter()
        .find(|known| *known == path)
        .unwrap_or("unknown")
}

/// The word of the GenAI conventions for what a route does.
fn operation(route: &str) -> &'static str {
    match route {
        EMBEDDINGS_PATH => "embeddings",
        COMPLETIONS_PATH => "text_completion",
        _ => "chat",
    }
}

/// The times of one call that got a slot.
#[derive(Debug)]
pub(crate) struct Tally {
    backend: Backend,
    route: &'static str,
    attempt: String,
    arrived: Instant,
    /// When the prompts were tokens.
    tokenized: Option<Instant>,
    /// When the first piece of the answer was there.
    first: Option<Instant>,
    /// What the engine tells of each sequence.
    told: Vec<Arc<Told>>,
    usage: Usage,
    /// The call's own span under the server's; none where the request is not traced.
    pub(crate) span: Span,
    traced: bool,
}

impl Tally {
    /// A call on `route` that arrived at `arrived`, by its attempt id.
    pub(crate) fn new(backend: &Backend, route: &'static str, attempt: &str, arrived: Instant) -> Self {
        let server = RequestScope::current();
        let traced = server.is_traced();
        let span = if traced { open(backend, route, attempt, server.span()) } else { Span::none() };
        Self {
            backend: backend.clone(),
            route,
            attempt: attempt.to_owned(),
            arrived,
            tokenized: None,
            first: None,
            told: Vec::new(),
            usage: Usage::default(),
            span,
            traced,
        }
    }

    /// The prompts are tokens now.
    pub(crate) fn tokenized(&mut self, prompt_tokens: usize) {
        self.backend.metrics().prompt(prompt_tokens as u64);
        self.usage = Usage::new(prompt_tokens as u64, 0);
        self.tokenized = Some(Instant::now());
    }

    /// The sequences are with the engine, which tells this of them.
    pub(crate) fn started(&mut self, told: Vec<Arc<Told>>) {
        self.told = told;
    }

    /// A piece of the answer is there, which has cost so much by now; where an answer ends with it, `reason` is why.
    pub(crate) fn piece(&mut self, usage: Usage, reason: Option<FinishReason>) {
        self.usage = usage;
        if let Some(reason) = reason {
            self.backend.metrics().finished(reason.as_str());
        }
        if self.first.is_none() {
            self.first = Some(Instant::now());
            let (trace, took) = (TraceLabel::of(&self.span), self.arrived.elapsed());
            self.backend.metrics().first_token(operation(self.route), took, trace);
            if self.traced {
                self.span.event("tidegate.first_token", Vec::new());
            }
        }
    }

    /// The whole answer is made.
    pub(crate) fn succeeded(&mut self, usage: Usage) {
        self.usage = usage;
        if let Some(first) = self.first {
            let trace = TraceLabel::of(&self.span);
            let (tokens, took) = (usage.completion_tokens, first.elapsed());
            self.backend.metrics().generated(operation(self.route), tokens, took, trace);
        }
        self.ended(200);
    }

    /// The call ended with what would be `status`, had its stream not begun or its client not left.
    pub(crate) fn ended(&self, status: u16) {
        let (trace, took) = (TraceLabel::of(&self.span), self.arrived.elapsed());
        self.backend.metrics().answered(self.route, operation(self.route), status, took, trace);
        if self.backend.settings().access_log {
            self.write(status);
        }
        self.close(status);
    }

    /// The call ended with `status`, which whoever answers counts.
    pub(crate) fn close(&self, status: u16) {
        if !self.traced {
            return;
        }
        self.span.annotate(self.attributes(status));
        if status == CLIENT_LEFT {
            self.span.fail("client_gone");
        } else if status >= 500 {
            self.span.fail(status.to_string());
        }
        self.span.end();
    }

    fn write(&self, status: u16) {
        let [tokenize_ms, engine_wait_ms, prefill_ms, decode_ms] =
            self.phases().map(|phase| phase.map(span::milliseconds));
        tracing::info!(
            target: ACCESS,
            route = self.route,
            status,
            model = self.backend.model_name(),
            attempt = self.attempt,
            duration_ms = span::milliseconds(self.arrived.elapsed()),
            tokenize_ms,
            engine_wait_ms,
            prefill_ms,
            decode_ms,
            prompt_tokens = self.usage.prompt_tokens,
            cached_tokens = self.cached(),
            completion_tokens = self.usage.completion_tokens,
            preemptions = self.preemptions(),
            "request finished"
        );
    }

    fn attributes(&self, status: u16) -> Vec<KeyValue> {
        let number = |name, value: u64| KeyValue::new(name, i64::try_from(value).unwrap_or(i64::MAX));
        let mut known = vec![
            number("tidegate.status", status.into()),
            number("tidegate.prompt_tokens", self.usage.prompt_tokens),
            number("tidegate.cached_tokens", self.cached()),
            number("tidegate.completion_tokens", self.usage.completion_tokens),
            number("tidegate.preemptions", self.preemptions()),
        ];
        let names =
            ["tidegate.tokenize_ms", "tidegate.engine_wait_ms", "tidegate.prefill_ms", "tidegate.decode_ms"];
        let phases = names.into_iter().zip(self.phases());
        known
            .extend(phases.filter_map(|(name, phase)| Some(KeyValue::new(name, span::milliseconds(phase?)))));
        known
    }

    fn cached(&self) -> u64 {
        self.usage.prompt_tokens_details.unwrap_or_default().cached_tokens
    }

    fn preemptions(&self) -> u64 {
        self.told.iter().map(|told| told.preemptions()).sum()
    }

    /// How long it took to make tokens of the prompts, to get a place in the batch, to read the prompts, and to write the rest; as
    /// far as it came.
    fn phases(&self) -> [Option<Duration>; 4] {
        let tokenize = self.tokenized.map(|tokenized| tokenized - self.arrived);
        let wait = self.told.iter().map(|told| told.waited()).max();
        let prefill = self.tokenized.zip(self.first).map(|(tokenized, first)| {
            first.saturating_duration_since(tokenized).saturating_sub(wait.unwrap_or_default())
        });
        [tokenize, wait, prefill, self.first.map(|first| first.elapsed())]
    }
}

/// Opens the span of a call, by the GenAI conventions.
fn open(backend: &Backend, route: &'static str, attempt: &str, server: &Span) -> Span {
    let operation = operation(route);
    let name = format!("{operation} {}", backend.model_name());
    let span = tracing::info_span!(parent: server.id(), "call", otel.kind = "internal");
    let span = Span::of(span);
    span.rename(name);
    let known = [
        KeyValue::new("gen_ai.operation.name", operation),
        KeyValue::new("gen_ai.provider.name", "tidegate"),
        KeyValue::new("gen_ai.request.model", backend.model_name().to_owned()),
        KeyValue::new("tidegate.attempt", attempt.to_owned()),
    ];
    span.annotate(known);
    span
}
