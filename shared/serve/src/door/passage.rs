//! One request's passage through the door: its id, its span, and its answer on the way out.

use super::{MAX_HEADER_BYTES, headers_too_large, panicked};
use axum::BoxError;
use axum::body::Body;
use axum::extract::MatchedPath;
use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, CatchUnwind};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, Version, header};
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::Either;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
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
        Door { inner, route: None }
    }
}

/// A service behind the door.
#[derive(Debug, Clone)]
pub(super) struct Door<S> {
    inner: S,
    /// The only route that leads to it; else a request has one among its extensions.
    route: Option<&'static str>,
}

impl<S> Door<S> {
    /// In front of what `route` alone leads to.
    pub(super) fn on(route: &'static str, inner: S) -> Self {
        Self { inner, route: Some(route) }
    }
}

impl<S, B> Service<Request<Body>> for Door<S>
where
    S: Service<Request<Body>, Response = Response<B>>,
{
    type Response = Response<Leaving<B>>;
    type Error = S::Error;
    type Future = Passage<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let id = identify(request.headers_mut());
        let scope = begin(&request, self.route, id.clone());
        let size = request.headers().iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
        let step = if size > MAX_HEADER_BYTES {
            Step::Turned { answer: headers_too_large(request, size).boxed() }
        } else {
            let called = catch_unwind(AssertUnwindSafe(|| scope.enter(|| self.inner.call(request))));
            called.map_or_else(
                |_| Step::Turned { answer: std::future::ready(panicked()).boxed() },
                |answer| Step::Inside { answer: AssertUnwindSafe(answer).catch_unwind() },
            )
        };
        Passage { step, id, scope }
    }
}

pin_project_lite::pin_project! {
    /// A request's way in and out.
    pub struct Passage<F> {
        #[pin]
        step: Step<F>,
        id: HeaderValue,
        scope: RequestScope,
    }
}

pin_project_lite::pin_project! {
    #[project = StepProjection]
    enum Step<F> {
        /// It is served.
        Inside { #[pin] answer: CatchUnwind<AssertUnwindSafe<F>> },
        /// It was turned away at the door.
        Turned { answer: BoxFuture<'static, Response<Body>> },
    }
}

impl<F, B, E> Future for Passage<F>
where
    F: Future<Output = Result<Response<B>, E>>,
{
    type Output = Result<Response<Leaving<B>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let answer = this.scope.enter(|| match this.step.project() {
            StepProjection::Inside { answer } => answer.poll(cx).map(|ended| match ended {
                Ok(answer) => answer.map(|answer| answer.map(Either::Left)),
                Err(_) => Ok(panicked().map(Either::Right)),
            }),
            StepProjection::Turned { answer } => {
                answer.poll_unpin(cx).map(|answer| Ok(answer.map(Either::Right)))
            }
        });
        let answer = ready!(answer)?;
        Poll::Ready(Ok(leave(answer, this.id.clone(), this.scope.clone())))
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
fn begin(request: &Request<Body>, known: Option<&'static str>, id: HeaderValue) -> RequestScope {
    let matched = || request.extensions().get::<MatchedPath>().map_or("unknown", MatchedPath::as_str);
    // Nothing of a span's is made where nobody takes it.
    let route = tracing::span_enabled!(Level::INFO).then(|| known.unwrap_or_else(matched));
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
fn leave<B>(
    mut response: Response<Either<B, Body>>,
    id: HeaderValue,
    scope: RequestScope,
) -> Response<Leaving<B>> {
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
    response.map(|inner| Leaving { inner, scope })
}

pin_project_lite::pin_project! {
    /// An answer's body: what passes belongs to its request.
    pub struct Leaving<B> {
        #[pin]
        inner: Either<B, Body>,
        scope: RequestScope,
    }
}

impl<B> HttpBody for Leaving<B>
where
    B: HttpBody<Data = Bytes, Error: Into<BoxError>>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.project();
        this.scope.enter(|| this.inner.poll_frame(cx))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
