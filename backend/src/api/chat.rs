//! `POST /v1/chat/completions`.

use super::{answer, call::Call, format::ChatFormat, prompt};
use crate::{error::ApiError, node::Backend};
use axum::{extract::State, response::Response};
use tidegate_wire::openai::ChatRequest;

/// Answers a conversation.
pub(crate) async fn create(State(backend): State<Backend>, call: Call) -> Result<Response, ApiError> {
    let ChatRequest { model, messages, generation } = ChatRequest::parse(&call.body)?;
    backend.expect_model(&model)?;
    backend.expect_generator()?;
    let tier = call.served_tier(generation.service_tier.as_deref());
    let format = ChatFormat::new(&backend, &generation, tier);
    let encode = move |backend: &Backend| Ok(vec![prompt::of_messages(backend, &messages)?]);
    let work = answer::Work { generation, prompt_param: "messages", encode, format };
    answer::answer(backend, call, work).await
}
