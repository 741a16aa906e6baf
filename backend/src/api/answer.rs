//! From a checked request to its answer: slot, tokens, sequences, and what they say, whole or as a stream.

use super::{
    call::Call,
    choices::{Choices, Piece},
    format::{Finished, Format},
    prompt::{self, Tokens},
    running::Running,
    stream,
};
use crate::{
    error::{ApiError, ErrorKind},
    node::Backend,
};
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, header};
use tidegate_wire::openai::{FinishReason, Generation};
use tokio::time::{Instant, timeout_at};
use tracing::Instrument;

/// What a call asks for, once its parameters are checked.
#[derive(Debug)]
pub(crate) struct Work<E, F> {
    pub(crate) generation: Generation,
    /// The parameter that holds the prompt, for errors about its length.
    pub(crate) prompt_param: &'static str,
    /// Makes the tokens of every prompt.
    pub(crate) encode: E,
    /// The shape of the answer.
    pub(crate) format: F,
}

/// A request whose sequences are with the engine.
#[derive(Debug)]
pub(crate) struct Started<F> {
    pub(crate) running: Running,
    pub(crate) choices: Choices,
    pub(crate) format: F,
    pub(crate) deadline: Instant,
}

/// Takes a slot, runs the work, and answers whole or as a stream.
pub(crate) async fn answer<E, F>(backend: Backend, call: Call, work: Work<E, F>) -> Result<Response, ApiError>
where
    E: FnOnce(&Backend) -> Result<Tokens, ApiError> + Send + 'static,
    F: Format,
{
    let Work { generation, prompt_param, encode, format } = work;
    let running = Running::admit(&backend, &call)?;
    let span = running.tally.span.clone();
    let keep_alive = backend.settings().keep_alive;
    let deadline = call.deadline;
    let answered = async {
        let encoder = backend.clone();
        let encoded = prompt::encode(call.body.len(), move || encode(&encoder));
        let tokens = timeout_at(deadline, encoded).await.unwrap_or_else(|_| Err(timeout()));
        let started = tokens.and_then(|tokens| {
            running.tally.tokenized(tokens.iter().map(Vec::len).sum());
            prompt::expect_fit(&tokens, &generation, backend.engine(), prompt_param)?;
            let service = call.service(generation.service_tier.as_deref());
            Choices::start(&backend, tokens, &generation, service, &running.slot())
        });
        let choices = match started {
            Ok(choices) => choices,
            Err(error) => return Err(running.failed(error)),
        };
        let started = Started { running, choices, format, deadline };
        if generation.stream { stream::open(started, keep_alive).await } else { whole(started).await }
    };
    answered.instrument(span).await
}

/// Answers when all sequences have ended.
async fn whole<F: Format>(mut started: Started<F>) -> Result<Response, ApiError> {
    let deadline = started.deadline;
    let collected = timeout_at(deadline, collect(&mut started)).await;
    let usage = started.choices.usage();
    match collected.unwrap_or_else(|_| Err(timeout())) {
        Ok(finished) => {
            started.running.succeeded(usage.completion_tokens);
            let json = HeaderValue::from_static("application/json");
            Ok(([(header::CONTENT_TYPE, json)], started.format.whole(finished, usage)).into_response())
        }
        Err(error) => Err(started.running.failed(error)),
    }
}

/// What a request gets that did not end in time.
pub(crate) fn timeout() -> ApiError {
    ApiError::new(ErrorKind::Timeout, "The request did not finish in time; its work was stopped.")
}

/// What a request gets whose sequence the engine could not finish.
pub(crate) fn engine_failed(message: &str) -> ApiError {
    ApiError::new(ErrorKind::Internal, format!("The engine failed: {message}."))
}

async fn collect<F>(started: &mut Started<F>) -> Result<Finished, ApiError> {
    let mut texts: Vec<(String, Option<FinishReason>)> = vec![(String::new(), None); started.choices.asked()];
    while let Some(piece) = started.choices.next().await {
        started.running.tally.piece();
        let (index, text, reason) = match piece {
            Piece::Text { index, text } => (index, text, None),
            Piece::End { index, text, reason } => (index, text, Some(reason)),
            Piece::Failed { message } => return Err(engine_failed(&message)),
            Piece::TimedOut => return Err(timeout()),
        };
        if let Some((so_far, ended)) = texts.get_mut(index as usize) {
            so_far.push_str(&text);
            *ended = reason;
        }
    }
    let finished: Option<Finished> = texts.into_iter().map(|(text, reason)| Some((text, reason?))).collect();
    finished.ok_or_else(|| engine_failed("a sequence ended without a reason"))
}
