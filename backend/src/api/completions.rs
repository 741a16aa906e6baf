//! `POST /v1/completions`.

use super::{answer, call::Call, format::CompletionFormat, prompt};
use crate::{error::ApiError, node::Backend};
use axum::{extract::State, response::Response};
use tidegate_wire::openai::CompletionRequest;

/// Continues one or more prompts.
pub(crate) async fn create(State(backend): State<Backend>, call: Call) -> Result<Response, ApiError> {
    let CompletionRequest { model, prompts, generation } = CompletionRequest::parse(&call.body)?;
    backend.expect_model(&model)?;
    backend.expect_generator()?;
    let format = CompletionFormat::new(&backend, generation.include_usage);
    let encode =
        move |backend: &Backend| prompts.into_iter().map(|one| prompt::of_prompt(backend, one)).collect();
    let work = answer::Work { generation, prompt_param: "prompt", encode, format };
    answer::answer(backend, call, work).await
}
