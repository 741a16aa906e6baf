//! The door that every request passes before a handler sees it, from the outside in:
//!
//! 1. `x-request-id`: the client's, if it can be used, else a new one; on every answer, and in every log line of the request.
//! 2. A SERVER span whose parent is the client's `traceparent`, where spans are exported.
//! 3. A panic becomes a 500; the connection and the process live on.
//! 4. Headers that are larger than any honest client's are refused.

mod front;
mod passage;

pub use front::Front;

use crate::body::discard;
use axum::Router;
use axum::body::Body;
use http::{HeaderValue, Request, Response, StatusCode, header};
use passage::DoorLayer;
use tidegate_wire::error::ErrorBody;

/// Bytes of names and values of all headers together that are accepted.
pub const MAX_HEADER_BYTES: usize = 64 * 1024;

/// Puts the door in front of all paths of `app`, unknown ones included, and answers those and wrong methods in OpenAI's
/// shape.
pub fn guard(app: Router) -> Router {
    app.fallback(unknown_path).method_not_allowed_fallback(method_not_allowed).layer(DoorLayer)
}

/// An answer in OpenAI's error shape.
pub fn error_response(status: StatusCode, body: &ErrorBody) -> Response<Body> {
    let mut response = Response::new(Body::from(body.to_json()));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// The answer to a request that is wrong before any handler sees it.
fn refuse(status: StatusCode, code: &'static str, message: String) -> Response<Body> {
    error_response(status, &ErrorBody::new("invalid_request_error", code, message))
}

/// Answers a request for a path that is not there.
pub async fn unknown_path(mut request: Request<Body>) -> Response<Body> {
    let message = format!("unknown path: {} {}", request.method(), request.uri().path());
    discard(request.body_mut()).await;
    refuse(StatusCode::NOT_FOUND, "unknown_url", message)
}

async fn method_not_allowed(mut request: Request<Body>) -> Response<Body> {
    let message = format!("the path {} does not take the method {}", request.uri().path(), request.method());
    discard(request.body_mut()).await;
    refuse(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message)
}

/// The answer to a request whose handler has panicked.
fn panicked() -> Response<Body> {
    tracing::error!("a request's handler panicked");
    let body = ErrorBody::new(
        "server_error",
        "internal_error",
        "the server made a mistake; the request was not served",
    );
    error_response(StatusCode::INTERNAL_SERVER_ERROR, &body)
}

/// The answer to a request whose headers have `size` bytes, where that is too much.
async fn headers_too_large(mut request: Request<Body>, size: usize) -> Response<Body> {
    discard(request.body_mut()).await;
    let message = format!("the request's headers have {size} bytes; at most {MAX_HEADER_BYTES} are accepted");
    refuse(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "headers_too_large", message)
}
