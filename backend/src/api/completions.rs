//! `POST /v1/completions`.

use super::{
    answer,
    call::Call,
    format::CompletionFormat,
    prompt::{self, Prepared},
};
use crate::{error::ApiError, node::Backend};
use axum::{extract::State, response::Response};
use tidegate_wire::openai::CompletionRequest;

/// Continues one or more prompts.
pub(crate) async fn create(State(backend): State<Backend>, call: Call) -> Result<Response, ApiError> {
    let CompletionRequest { model, prompts, generation, best_of, echo } =
        CompletionRequest::parse(&call.body)?;
    backend.expect_model(&model)?;
    backend.expect_generator()?;
    let format = CompletionFormat::new(&backend, &generation);
    let encode = move |backend: &Backend| {
        let prompts = prompts.into_iter().map(|one| prompt::of_prompt(backend, one, echo));
        Ok(Prepared { prompts: prompts.collect::<Result<_, _>>()?, grammar: None })
    };
    let work =
        answer::Work { generation, best_of, effort: call.body.len(), prompt_param: "prompt", encode, format };
    answer::answer(backend, call, work).await
}
