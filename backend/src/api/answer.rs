//! From a checked request to its answer: slot, tokens, sequences, and what they say, whole or as a stream.

use super::{
    call::Call,
    choices::{Choices, Piece, Said},
    format::{Finished, Format},
    prompt::{self, Prepared},
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

/// What a call asks for, once its parameters are checked.
#[derive(Debug)]
pub(crate) struct Work<E, F> {
    pub(crate) generation: Generation,
    /// Answers to draw for each prompt, of which the `n` likeliest are given.
    pub(crate) best_of: u32,
    /// Bytes of text to encode, or as many as would take as long.
    pub(crate) effort: usize,
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
    /// Answers to give for each prompt.
    n: usize,
    /// Answers that are drawn for each prompt.
    best_of: usize,
    /// Whether a stream's usage is told behind its last byte.
    pub(crate) tell_usage: bool,
}

/// Takes a slot, runs the work, and answers whole or as a stream.
pub(crate) async fn answer<E, F>(backend: Backend, call: Call, work: Work<E, F>) -> Result<Response, ApiError>
where
    E: FnOnce(&Backend) -> Result<Prepared, ApiError> + Send + 'static,
    F: Format,
{
    let Work { generation, best_of, effort, prompt_param, encode, format } = work;
    let mut running = Running::admit(&backend, &call)?;
    let span = running.tally.span.clone();
    let keep_alive = backend.settings().keep_alive;
    let deadline = call.deadline;
    let answered = async {
        let encoder = backend.clone();
        let encoded = prompt::encode(effort, move || encode(&encoder));
        let prepared = timeout_at(deadline, encoded).await.unwrap_or_else(|_| Err(timeout()));
        let started = prepared.and_then(|prepared| {
            let prompts = &prepared.prompts;
            running.tally.tokenized(prompts.iter().map(|prompt| prompt.tokens.len()).sum());
            prompt::expect_fit(prompts, &generation, backend.engine(), prompt_param)?;
            let service = call.service(generation.service_tier.as_deref());
            Choices::start(&backend, prepared, &generation, best_of, service, &running.slot())
        });
        let choices = match started {
            Ok(choices) => choices,
            Err(error) => return Err(running.failed(error)),
        };
        running.tally.started(choices.told());
        let (n, best_of) = (generation.n as usize, best_of as usize);
        let tell_usage = call.takes_trailers;
        let started = Started { running, choices, format, deadline, n, best_of, tell_usage };
        if generation.stream { stream::open(started, keep_alive).await } else { whole(started).await }
    };
    span.follow(answered).await
}

/// Answers when all sequences have ended.
async fn whole<F: Format>(mut started: Started<F>) -> Result<Response, ApiError> {
    let deadline = started.deadline;
    let collected = timeout_at(deadline, collect(&mut started)).await;
    let usage = started.choices.usage();
    match collected.unwrap_or_else(|_| Err(timeout())) {
        Ok(finished) => {
            started.running.succeeded(usage);
            let finished = likeliest(finished, started.n, started.best_of);
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

/// Of each prompt's `best_of` answers the `n` whose tokens are likeliest on average, as OpenAI ranks them.
fn likeliest(mut finished: Finished, n: usize, best_of: usize) -> Finished {
    if best_of <= n {
        return finished;
    }
    let of_one = |answers: &mut [(Said, FinishReason)]| {
        answers.sort_by(|(a, _), (b, _)| b.mean_logprob().total_cmp(&a.mean_logprob()));
        answers[..n.min(answers.len())].to_vec()
    };
    finished.chunks_mut(best_of).flat_map(of_one).collect()
}

async fn collect<F>(started: &mut Started<F>) -> Result<Finished, ApiError> {
    let mut answers: Vec<(Said, Option<FinishReason>)> =
        vec![(Said::default(), None); started.choices.asked()];
    while let Some(piece) = started.choices.next().await {
        started.running.tally.piece(started.choices.usage(), piece.reason());
        let (index, said, reason) = match piece {
            Piece::Text { index, said } => (index, said, None),
            Piece::End { index, said, reason } => (index, said, Some(reason)),
            Piece::Failed { message } => return Err(engine_failed(&message)),
            Piece::TimedOut => return Err(timeout()),
        };
        if let Some((so_far, ended)) = answers.get_mut(index as usize) {
            so_far.extend(said);
            *ended = reason;
        }
    }
    let finished: Option<Finished> =
        answers.into_iter().map(|(said, reason)| Some((said, reason?))).collect();
    finished.ok_or_else(|| engine_failed("a sequence ended without a reason"))
}
