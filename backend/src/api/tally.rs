//! What is counted and timed of each call, in metrics and in the call's own span.

use crate::node::Backend;
use axum::{
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use std::time::Duration;
use tidegate_telemetry::metrics::TraceLabel;
use tidegate_wire::openai::{CHAT_PATH, COMPLETIONS_PATH, EMBEDDINGS_PATH, FinishReason};
use tokio::time::Instant;
use tracing::{Span, field::Empty};

/// Status of a call whose client left before the answer was complete, as nginx logs it; nobody ever receives it.
pub(crate) const CLIENT_LEFT: u16 = 499;

/// Counts the calls that are answered with an error.
pub(crate) async fn refusals(State(backend): State<Backend>, request: Request, next: Next) -> Response {
    let (route, arrived) = (route(request.uri().path()), Instant::now());
    let answer = next.run(request).await;
    if !answer.status().is_success() {
        let trace = TraceLabel::of(&Span::current());
        let status = answer.status().as_u16();
        backend.metrics().answered(route, operation(route), status, arrived.elapsed(), trace);
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
        CHAT_PATH => "chat",
        _ => "text_completion",
    }
}

/// The times of one call that got a slot.
#[derive(Debug)]
pub(crate) struct Tally {
    backend: Backend,
    route: &'static str,
    arrived: Instant,
    /// When the first piece of the answer was there.
    first: Option<Instant>,
    /// The call's own span, under the server's.
    pub(crate) span: Span,
}

impl Tally {
    /// A call on `route` that arrived at `arrived`.
    pub(crate) fn new(backend: &Backend, route: &'static str, arrived: Instant) -> Self {
        // The conventions' names of the operations; the span of both calls that generate is called "chat".
        let operation = operation(route);
        let name = if route == EMBEDDINGS_PATH { "embeddings" } else { "chat" };
        let span = tracing::info_span!(
            "chat",
            otel.name = format!("{name} {}", backend.model_name()),
            otel.kind = "internal",
            gen_ai.operation.name = operation,
            gen_ai.request.model = backend.model_name(),
            tidegate.prompt_tokens = Empty,
            tidegate.tokenize_ms = Empty,
            tidegate.prefill_ms = Empty,
            tidegate.decode_ms = Empty,
            tidegate.status = Empty,
        );
        Self { backend: backend.clone(), route, arrived, first: None, span }
    }

    /// The prompts are tokens now.
    pub(crate) fn tokenized(&self, prompt_tokens: usize) {
        self.backend.metrics().prompt(prompt_tokens as u64);
        self.span.record("tidegate.prompt_tokens", prompt_tokens);
        self.span.record("tidegate.tokenize_ms", milliseconds(self.arrived.elapsed()));
    }

    /// A piece of the answer is there; where it is the last one of an answer, `reason` is why.
    pub(crate) fn piece(&mut self, reason: Option<FinishReason>) {
        if let Some(reason) = reason {
            self.backend.metrics().finished(reason.as_str());
        }
        if self.first.is_none() {
            self.first = Some(Instant::now());
            let took = self.arrived.elapsed();
            let trace = TraceLabel::of(&self.span);
            self.backend.metrics().first_token(operation(self.route), took, trace);
            self.span.record("tidegate.prefill_ms", milliseconds(took));
        }
    }

    /// The whole answer is made, of `tokens` tokens in all.
    pub(crate) fn succeeded(&self, tokens: u64) {
        if let Some(first) = self.first {
            let trace = TraceLabel::of(&self.span);
            self.backend.metrics().generated(operation(self.route), tokens, first.elapsed(), trace);
        }
        self.ended(200);
    }

    /// The call ended with what would be `status`, had its stream not begun or its client not left.
    pub(crate) fn ended(&self, status: u16) {
        if let Some(first) = self.first {
            self.span.record("tidegate.decode_ms", milliseconds(first.elapsed()));
        }
        self.span.record("tidegate.status", status);
        let (trace, took) = (TraceLabel::of(&self.span), self.arrived.elapsed());
        self.backend.metrics().answered(self.route, operation(self.route), status, took, trace);
    }
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
