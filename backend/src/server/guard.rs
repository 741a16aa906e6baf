//! What is refused before any handler sees it, always in OpenAI's error shape.

use crate::error::{ApiError, ErrorKind};
use axum::{
    extract::Request,
    middleware::Next,
    response::{IntoResponse, Response},
};
use http::{Method, Uri};
use std::any::Any;

/// Bytes that all of a request's headers may have together. hyper reads more, so that the refusal is a readable answer.
const HEADER_LIMIT: usize = 64 * 1024;

/// Refuses headers over the limit.
pub(super) async fn limit_headers(request: Request, next: Next) -> Response {
    let size: usize = request.headers().iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    if size > HEADER_LIMIT {
        let message = format!("The headers have {size} bytes; at most {HEADER_LIMIT} are accepted.");
        return ApiError::new(ErrorKind::HeadersTooLarge, message).into_response();
    }
    next.run(request).await
}

/// Answers a path that is not served.
pub(super) async fn unknown_path(method: Method, uri: Uri) -> ApiError {
    ApiError::new(ErrorKind::UnknownPath, format!("Unknown path: {method} {}.", uri.path()))
}

/// Answers a method that the path does not have; axum adds the header that says which it has.
pub(super) async fn wrong_method(method: Method, uri: Uri) -> ApiError {
    ApiError::new(ErrorKind::WrongMethod, format!("{} does not take {method}.", uri.path()))
}

/// Answers a request whose handler panicked.
#[expect(clippy::needless_pass_by_value, reason = "the layer hands the fault over")]
pub(super) fn panicked(fault: Box<dyn Any + Send>) -> Response {
    let text =
        fault.downcast_ref::<String>().map(String::as_str).or_else(|| fault.downcast_ref::<&str>().copied());
    tracing::error!(fault = text.unwrap_or("unknown"), "a request's handler panicked");
    ApiError::new(ErrorKind::Internal, "The server failed on this request.").into_response()
}
