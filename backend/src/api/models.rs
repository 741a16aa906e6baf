//! `GET /v1/models` and `GET /v1/models/{id}`.

use super::json;
use crate::{error::ApiError, node::Backend};
use axum::{
    extract::{Path, State},
    response::Response,
};
use tidegate_wire::openai::{Model, ModelList};

/// The one model of this backend, as a list.
pub(crate) async fn list(State(backend): State<Backend>) -> Response {
    json(&ModelList::new(vec![model(&backend)]))
}

/// One model. Names may hold slashes, written plainly or as `%2F`.
pub(crate) async fn retrieve(
    State(backend): State<Backend>,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    backend.expect_model(&id)?;
    Ok(json(&model(&backend)))
}

fn model(backend: &Backend) -> Model {
    let precision = Some(backend.model_info().precision());
    Model { precision, ..Model::new(backend.model_name(), backend.created()) }
}
