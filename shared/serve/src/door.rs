//! The layers that every request passes before a handler sees it, outermost first:
//!
//! 1. `x-request-id`: the client's, if it can be used, else a new one; on every answer.
//! 2. A SERVER span whose parent is the client's `traceparent`.
//! 3. A panic becomes a 500; the connection and the process live on.
//! 4. Headers that are larger than any honest client's are refused.

use crate::body::discard;
use axum::Router;
use axum::body::Body;
use axum::extract::MatchedPath;
use axum::middleware::Next;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Version, header};
use std::any::Any;
use std::time::Duration;
use tidegate_telemetry::{KeyValue, span};
use tidegate_wire::error::ErrorBody;
use tidegate_wire::header::REQUEST_ID;
use tower::ServiceBuilder;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::request_id::{MakeRequestId, PropagateRequestIdLayer, RequestId, SetRequestIdLayer};
use tower_http::trace::TraceLayer;
use tracing::Span;

/// Bytes of names and values of all headers together that are accepted.
pub const MAX_HEADER_BYTES: usize = 64 * 1024;
/// Paths that machines ask for all the time: a span for each would bury the others.
const UNTRACED: [&str; 9] =
    ["/health", "/livez", "/readyz", "/metrics", "/node", "/fleet", "/live", "/", "/page/{file}"];
/// Characters of a client's text that a span holds.
const MAX_TOLD: usize = 1024;
/// Characters of a client's request id that are accepted.
const MAX_REQUEST_ID: usize = 128;

/// Puts the door in front of all paths of `app`, unknown ones included, and answers those and wrong methods in OpenAI's
/// shape.
pub fn guard(app: Router) -> Router {
    app.fallback(unknown_path).method_not_allowed_fallback(method_not_allowed).layer(
        ServiceBuilder::new()
            // An unusable id would be echoed and logged: it is replaced.
            .map_request(drop_unusable_request_id)
            .layer(SetRequestIdLayer::new(REQUEST_ID, NewRequestId))
            .layer(
                TraceLayer::new_for_http()
                    .make_span_with(request_span)
                    .on_request(())
                    .on_response(record_status)
                    .on_body_chunk(())
                    .on_eos(())
                    .on_failure(()),
            )
            .layer(PropagateRequestIdLayer::new(REQUEST_ID))
            .layer(CatchPanicLayer::custom(panicked))
            .layer(axum::middleware::from_fn(limit_headers)),
    )
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

fn panicked(_cause: Box<dyn Any + Send + 'static>) -> Response<Body> {
    tracing::error!("a request's handler panicked");
    let body = ErrorBody::new(
        "server_error",
        "internal_error",
        "the server made a mistake; the request was not served",
    );
    error_response(StatusCode::INTERNAL_SERVER_ERROR, &body)
}

async fn limit_headers(mut request: Request<Body>, next: Next) -> Response<Body> {
    let size: usize = request.headers().iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    if size <= MAX_HEADER_BYTES {
        return next.run(request).await;
    }
    discard(request.body_mut()).await;
    let message = format!("the request's headers have {size} bytes; at most {MAX_HEADER_BYTES} are accepted");
    refuse(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "headers_too_large", message)
}

#[derive(Debug, Clone, Copy)]
struct NewRequestId;

impl MakeRequestId for NewRequestId {
    fn make_request_id<B>(&mut self, _request: &Request<B>) -> Option<RequestId> {
        let id = format!("req-{}", uuid::Uuid::new_v4().simple());
        HeaderValue::try_from(id).ok().map(RequestId::new)
    }
}

fn drop_unusable_request_id(mut request: Request<Body>) -> Request<Body> {
    let usable = request.headers().get(REQUEST_ID).is_none_or(|id| {
        !id.is_empty() && id.len() <= MAX_REQUEST_ID && id.as_bytes().iter().all(u8::is_ascii_graphic)
    });
    if !usable {
        request.headers_mut().remove(REQUEST_ID);
    }
    request
}

/// The span of one request, named after its route so that the number of names is bounded.
fn request_span(request: &Request<Body>) -> Span {
    let route = request.extensions().get::<MatchedPath>().map_or("unknown", MatchedPath::as_str);
    if UNTRACED.contains(&route) {
        return Span::none();
    }
    let name = format!("{} {route}", method(request.method()));
    let span = tracing::info_span!("request", otel.name = name, otel.kind = "server");
    let id = text(request.headers(), &REQUEST_ID);
    if span::begin(&span, request.headers(), id) {
        span::annotate(&span, attributes(request, route.to_owned(), id.to_owned()));
    }
    span
}

/// What the HTTP conventions want of a server's span, and the request's id.
fn attributes(request: &Request<Body>, route: String, id: String) -> [KeyValue; 7] {
    let agent = beginning(text(request.headers(), &header::USER_AGENT));
    [
        KeyValue::new("http.request.method", method(request.method())),
        KeyValue::new("http.route", route),
        KeyValue::new("url.path", beginning(request.uri().path())),
        KeyValue::new("url.scheme", "http"),
        KeyValue::new("network.protocol.version", version(request.version())),
        KeyValue::new("user_agent.original", agent),
        KeyValue::new("tidegate.request_id", id),
    ]
}

/// The method, or the conventions' word for those that clients make up: spans are named after it.
fn method(method: &Method) -> &'static str {
    const KNOWN: [&str; 8] = ["GET", "POST", "HEAD", "OPTIONS", "PUT", "DELETE", "PATCH", "TRACE"];
    KNOWN.into_iter().find(|known| method == known).unwrap_or("_OTHER")
}

/// What is told of a client's text, which may be long.
fn beginning(text: &str) -> String {
    text.chars().take(MAX_TOLD).collect()
}

fn version(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "1.0",
        Version::HTTP_2 => "2",
        _ => "1.1",
    }
}

fn record_status<B>(response: &Response<B>, _took: Duration, span: &Span) {
    if !span::is_traced(span) {
        return;
    }
    let status = response.status();
    span::annotate(span, [KeyValue::new("http.response.status_code", i64::from(status.as_u16()))]);
    // A refusal is no failure of the server (4xx); what broke is.
    if status.is_server_error() {
        span::fail(span, status.as_str().to_owned());
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}
