//! What is counted and timed of each call, in metrics and in the call's own span.

use crate::node::Backend;
use axum::{
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use std::time::Duration;
use tidegate_wire::openai::{CHAT_PATH, COMPLETIONS_PATH, EMBEDDINGS_PATH};
use tokio::time::Instant;
use tracing::{Span, field::Empty};

/// Status of a call whose client left before the answer was complete, as nginx logs it; nobody ever receives it.
pub(crate) const CLIENT_LEFT: u16 = 499;

/// Counts the calls that are answered with an error.
pub(crate) async fn refusals(State(backend): State<Backend>, request: Request, next: Next) -> Response {
    let (route, arrived) = (route(request.uri().path()), Instant::now());
    let answer = next.run(request).await;
    if !answer.status().is_success() {
        backend.metrics().answered(route, answer.status().as_u16(), arrived.elapsed());
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
        let (name, operation) = match route {
            EMBEDDINGS_PATH => ("embeddings", "embeddings"),
            CHAT_PATH => ("chat", "chat"),
            _ => ("chat", "text_completion"),
        };
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
        self.span.record("tidegate.prompt_tokens", prompt_tokens);
        self.span.record("tidegate.tokenize_ms", milliseconds(self.arrived.elapsed()));
    }

    /// A piece of the answer is there.
    pub(crate) fn piece(&mut self) {
        if self.first.is_none() {
            self.first = Some(Instant::now());
            let took = self.arrived.elapsed();
            self.backend.metrics().first_token(took);
            self.span.record("tidegate.prefill_ms", milliseconds(took));
        }
    }

    /// The whole answer is made, of `tokens` tokens in all.
    pub(crate) fn succeeded(&self, tokens: u64) {
        if let Some(first) = self.first {
            let later = u32::try_from(tokens.saturating_sub(1)).unwrap_or(u32::MAX);
            self.backend.metrics().next_tokens(later, first.elapsed());
        }
        self.ended(200);
    }

    /// The call ended with what would be `status`, had its stream not begun or its client not left.
    pub(crate) fn ended(&self, status: u16) {
        if let Some(first) = self.first {
            self.span.record("tidegate.decode_ms", milliseconds(first.elapsed()));
        }
        self.span.record("tidegate.status", status);
        self.backend.metrics().answered(self.route, status, self.arrived.elapsed());
    }
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
