//! `POST /v1/embeddings`: refused, as this backend runs models that generate text.

use crate::{
    error::{ApiError, ErrorKind},
    node::Backend,
};
use axum::extract::State;

/// Says what this model can do instead.
pub(crate) async fn create(State(backend): State<Backend>) -> ApiError {
    let model = backend.model_name();
    let message = format!("The model '{model}' generates text; it makes no embeddings.");
    ApiError::new(ErrorKind::Invalid("unsupported_operation"), message).with_param("model")
}
