//! `POST /v1/chat/completions`.

use super::{
    answer,
    call::Call,
    format::ChatFormat,
    prompt::{self, Prepared},
    structure::Structure,
    tools::Calls,
};
use crate::{error::ApiError, node::Backend};
use axum::{extract::State, response::Response};
use tidegate_wire::openai::ChatRequest;

/// More than any text: for work that is always done beside the runtime's threads.
const LARGE_EFFORT: usize = usize::MAX;

/// Answers a conversation.
pub(crate) async fn create(State(backend): State<Backend>, call: Call) -> Result<Response, ApiError> {
    let ChatRequest { model, messages, generation, response_format, tools } = ChatRequest::parse(&call.body)?;
    backend.expect_model(&model)?;
    backend.expect_generator()?;
    let calls = Calls::of(&backend, tools)?;
    let structure = Structure::of(response_format, calls.as_ref());
    let effort = if structure.is_some() { LARGE_EFFORT } else { call.body.len() };
    let definitions = calls.as_ref().map(Calls::definitions).unwrap_or_default();
    let tier = call.served_tier(generation.service_tier.as_deref());
    let format = ChatFormat::new(&backend, &generation, tier, calls);
    let encode = move |backend: &Backend| {
        let prompts = vec![prompt::of_messages(backend, &messages, &definitions)?];
        let grammar = structure.map(|structure| structure.compile(backend.grammars())).transpose()?;
        Ok(Prepared { prompts, grammar })
    };
    let best_of = generation.n;
    let work = answer::Work { generation, best_of, effort, prompt_param: "messages", encode, format };
    answer::answer(backend, call, work).await
}
