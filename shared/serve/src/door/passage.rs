//! One request's passage through the door: its id, its span, and its answer on the way out.

use super::{MAX_HEADER_BYTES, headers_too_large};
use axum::body::Body;
use axum::extract::MatchedPath;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, Version, header};
use http_body::{Body as HttpBody, Frame, SizeHint};
use std::pin::Pin;
use std::task::{Context, Poll};
use tidegate_telemetry::{KeyValue, RequestScope};
use tidegate_wire::header::REQUEST_ID;
use tower::{Layer, Service};
use tracing::Level;

/// Paths that machines ask for all the time: a span for each would bury the others.
const UNTRACED: [&str; 9] =
    ["/health", "/livez", "/readyz", "/metrics", "/node", "/fleet", "/live", "/", "/page/{file}"];
/// Characters of a client's text that a span holds.
const MAX_TOLD: usize = 1024;
/// Characters of a client's request id that are accepted.
const MAX_REQUEST_ID: usize = 128;

/// Puts the door in front of a service.
#[derive(Debug, Clone, Copy)]
pub(super) struct DoorLayer;

impl<S> Layer<S> for DoorLayer {
    type Service = Door<S>;
    fn layer(&self, inner: S) -> Door<S> {
        Door { inner }
    }
}

/// The service that [`DoorLayer`] makes.
#[derive(Debug, Clone)]
pub(super) struct Door<S> {
    inner: S,
}

impl<S, B> Service<Request<Body>> for Door<S>
where
    S: Service<Request<Body>, Response = Response<B>>,
    S::Future: Send + 'static,
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<axum::BoxError>,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Response<Body>, S::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let id = identify(request.headers_mut());
        let scope = begin(&request, id.clone());
        let size = request.headers().iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
        if size > MAX_HEADER_BYTES {
            let refused = scope.clone().follow(headers_too_large(request, size));
            return Box::pin(async move { Ok(leave(refused.await, id, scope)) });
        }
        let answered = scope.clone().follow(scope.enter(|| self.inner.call(request)));
        Box::pin(async move { Ok(leave(answered.await?.map(Body::new), id, scope)) })
    }
}

/// What a request is called: as its client says where that can be echoed and logged, else by a name of its own.
fn identify(headers: &mut HeaderMap) -> HeaderValue {
    let usable = |id: &&HeaderValue| {
        !id.is_empty() && id.len() <= MAX_REQUEST_ID && id.as_bytes().iter().all(u8::is_ascii_graphic)
    };
    if let Some(id) = headers.get(REQUEST_ID).filter(usable) {
        // Copied: a handle would keep the whole buffer that it was read into for as long as the answer takes.
        return HeaderValue::from_bytes(id.as_bytes()).unwrap_or_else(|_| id.clone());
    }
    let random = uuid::Builder::from_random_bytes(rand::random()).into_uuid();
    let mut text = *b"req-00000000000000000000000000000000";
    random.simple().encode_lower(&mut text[4..]);
    let id = HeaderValue::from_bytes(&text).unwrap_or_else(|_| HeaderValue::from_static("req"));
    headers.insert(REQUEST_ID, id.clone());
    id
}

/// The request with its span, which is named after its route so that the number of names is bounded.
fn begin(request: &Request<Body>, id: HeaderValue) -> RequestScope {
    // Nothing of a span's is made where nobody takes it.
    let route = tracing::span_enabled!(Level::INFO)
        .then(|| request.extensions().get::<MatchedPath>().map_or("unknown", MatchedPath::as_str));
    let Some(route) = route.filter(|route| !UNTRACED.contains(route)) else {
        return RequestScope::silent(request.headers(), id);
    };
    let open = || tracing::info_span!("request", otel.kind = "server");
    let scope = RequestScope::begin(request.headers(), id, open);
    if scope.is_traced() {
        let name = format!("{} {route}", method(request.method()));
        scope.span().rename(name);
        scope.span().annotate(attributes(request, route.to_owned()));
    }
    scope
}

/// What the HTTP conventions want of a server's span, and the request's id.
fn attributes(request: &Request<Body>, route: String) -> [KeyValue; 7] {
    let text = |name: &HeaderName| {
        beginning(request.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default())
    };
    [
        KeyValue::new("http.request.method", method(request.method())),
        KeyValue::new("http.route", route),
        KeyValue::new("url.path", beginning(request.uri().path())),
        KeyValue::new("url.scheme", "http"),
        KeyValue::new("network.protocol.version", version(request.version())),
        KeyValue::new("user_agent.original", text(&header::USER_AGENT)),
        KeyValue::new("tidegate.request_id", text(&REQUEST_ID)),
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

/// The answer as it leaves.
fn leave(mut response: Response<Body>, id: HeaderValue, scope: RequestScope) -> Response<Body> {
    if scope.is_traced() {
        let status = response.status();
        let code = KeyValue::new("http.response.status_code", i64::from(status.as_u16()));
        scope.span().annotate([code]);
        // A refusal is no failure of the server (4xx); what broke is.
        if status.is_server_error() {
            scope.span().fail(status.as_str().to_owned());
        }
    }
    response.headers_mut().entry(REQUEST_ID).or_insert(id);
    response.map(|inner| Body::new(Leaving { inner, scope }))
}

/// An answer's body: what passes belongs to its request.
struct Leaving {
    inner: Body,
    scope: RequestScope,
}

impl HttpBody for Leaving {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = &mut *self;
        this.scope.enter(|| Pin::new(&mut this.inner).poll_frame(cx))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
