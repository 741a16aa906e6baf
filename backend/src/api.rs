//! The OpenAI API of one backend.
//!
//! Read in this order:
//!
//! 1. [`call`]: a request as it arrives: media type, size, time left, attempt id.
//! 2. [`chat`], [`completions`]: the two calls that generate; [`embeddings`], [`models`]: the two that do not.
//! 3. [`prompt`]: messages or text to tokens, and whether they fit.
//! 4. [`running`]: the guards of a request that runs; [`tally`]: what is counted and timed of it.
//! 5. [`choices`]: the sequences of one request, as text that is safe to send.
//! 6. [`format`](mod@format): what differs between the answers of the two calls.
//! 7. [`answer`]: whole answers; [`stream`]: streamed ones.

pub(crate) mod answer;
pub(crate) mod call;
pub(crate) mod chat;
pub(crate) mod choices;
pub(crate) mod completions;
pub(crate) mod embeddings;
pub(crate) mod format;
pub(crate) mod models;
pub(crate) mod prompt;
pub(crate) mod running;
pub(crate) mod stream;
pub(crate) mod tally;

use crate::error::{ApiError, ErrorKind};
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, header};
use serde::Serialize;

/// A 200 whose body is `body` as JSON.
pub(crate) fn json(body: &impl Serialize) -> Response {
    match serde_json::to_string(body) {
        Ok(text) => {
            ([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], text).into_response()
        }
        Err(error) => ApiError::new(ErrorKind::Internal, error.to_string()).into_response(),
    }
}
