//! Dispatch: sends an admitted job to the backend of its slot and returns the answer with the slot inside its body.

use super::admission::{Undelivered, timed_out};
use super::body::GuardedBody;
use super::call::Call;
use super::idle::IdleBody;
use super::permit::Permit;
use super::watched::WatchedBody;
use super::{Job, forwarded};
use crate::config::BackendPatience;
use crate::error::{Error, ErrorKind};
use crate::ledger::{End, Grant, HandBack};
use crate::upstream::{OwnKey, Upstream, UpstreamError};
use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use std::pin::pin;
use std::time::Duration;
use tidegate_telemetry::metrics::BackendError;
use tidegate_wire::error::ErrorBody;
use tidegate_wire::header as names;
use tokio::time::Instant;

/// Whether a header belongs to one connection (RFC 9110, section 7.6.1), or is set by the client library itself.
pub(super) fn ends_here(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "connection"
            | "keep-alive"
            | "proxy-authenticate"
            | "proxy-connection"
            | "proxy-authorization"
            | "te"
            | "trailer"
            | "transfer-encoding"
            | "upgrade"
            | "host"
            | "content-length"
            | "expect"
    )
}

/// Bytes of a 503 that are read to find out whether the backend was full.
const MAX_REFUSAL_BODY: usize = 64 * 1024;

/// One attempt on one backend.
#[derive(Debug, Clone)]
pub struct Dispatch {
    /// Connections to backends.
    pub upstream: Upstream,
    /// `--keep-alive`: silence in a stream after which a comment is sent.
    pub keep_alive: Duration,
    /// How long backends may take.
    pub patience: BackendPatience,
    /// `--log-content`: prompts and answers are written down.
    pub log_content: bool,
}

impl Dispatch {
    /// Sends `job` to the backend that `permit` names, after so many that did not take it.
    pub(super) async fn deliver(
        &self,
        job: &Job,
        permit: Permit,
        resends: u32,
    ) -> Result<Response<Body>, Undelivered> {
        let (Some(grant), Some(since)) = (permit.grant(), permit.since()) else {
            return Err(Undelivered::Failed(Error::new(ErrorKind::Internal, "a permit was used twice")));
        };
        let mut call = Call::begin(job, grant, since, resends, self.log_content);
        let request = match upstream_request(job, grant, &call, permit.key()) {
            Ok(request) => request,
            Err(error) => return Err(unsent(permit, call, error)),
        };
        let until = self.head_due(job);
        let answer = {
            // Pinned where it stands: it is too large to be moved into the timeout.
            let sending = pin!(self.upstream.send(&grant.url, permit.http2(), request));
            tokio::time::timeout_at(until, sending).await
        };
        match answer {
            Err(_) if until < job.deadline => {
                permit.backend_failed();
                Err(given_up(permit, &mut call, silent()))
            }
            Err(_) => Err(given_up(permit, &mut call, timed_out())),
            Ok(Err(error)) => Err(unreachable(permit, call, &error)),
            Ok(Ok(response)) => {
                call.answered(response.status());
                if response.status() == StatusCode::SERVICE_UNAVAILABLE {
                    return Box::pin(self.refused_or_passed(job, permit, call, response)).await;
                }
                Ok(self.guard(job, permit, call, response))
            }
        }
    }

    /// When the head of an answer must be there.
    fn head_due(&self, job: &Job) -> Instant {
        self.patience.first_byte.map_or(job.deadline, |most| job.deadline.min(Instant::now() + most))
    }

    /// Puts the slot into the body, so that it is held to the last byte.
    fn guard(&self, job: &Job, permit: Permit, call: Call, response: Response<Body>) -> Response<Body> {
        let (mut parts, body) = response.into_parts();
        strip(&mut parts.headers);
        let is_stream = parts.headers.get(header::CONTENT_TYPE).is_some_and(is_event_stream);
        if is_stream {
            parts.headers.insert(names::ACCEL_BUFFERING, HeaderValue::from_static("no"));
            parts.headers = compact(parts.headers);
        } else if let Some(length) = http_body::Body::size_hint(&body).exact() {
            parts.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
        }
        if parts.status.is_server_error() {
            permit.backend_error(BackendError::Status);
        }
        judge(&permit, &parts);
        let body = match self.patience.idle {
            Some(most) => Body::new(IdleBody::new(body, most)),
            None => body,
        };
        let mut body = GuardedBody::new(body, permit, call, job.deadline);
        if !parts.status.is_success() {
            body.fails();
        }
        if is_stream {
            body.streams(self.keep_alive);
        }
        body.end_if_empty();
        Response::from_parts(parts, Body::new(WatchedBody::new(body, job.deadline)))
    }

    /// A 503 may say that the backend was full, not ready yet, or draining: then the ticket goes elsewhere, else it passes unchanged.
    async fn refused_or_passed(
        &self,
        job: &Job,
        permit: Permit,
        mut call: Call,
        response: Response<Body>,
    ) -> Result<Response<Body>, Undelivered> {
        let (parts, body) = response.into_parts();
        let read =
            tokio::time::timeout_at(job.deadline, Limited::new(body, MAX_REFUSAL_BODY).collect()).await;
        let body = match read {
            Err(_) => return Err(given_up(permit, &mut call, timed_out())),
            Ok(Err(error)) => {
                permit.backend_error(BackendError::BrokenOff);
                permit.finish(End::Failed);
                call.failed(ErrorKind::Backend.code());
                return Err(Undelivered::Failed(Error::new(
                    ErrorKind::Backend,
                    format!("the backend broke off: {error}"),
                )));
            }
            Ok(Ok(body)) => body.to_bytes(),
        };
        match refusal(&body) {
            Some(why) => {
                permit.backend_error(BackendError::Refused);
                call.refused(if why == HandBack::Concurrency { "concurrency" } else { "not_ready" });
                let message = "every backend refused the request".to_owned();
                Err(Undelivered::Refused { permit, why, message })
            }
            None => Ok(self.guard(job, permit, call, Response::from_parts(parts, Body::from(body)))),
        }
    }
}

/// What an answer's head says of its backend. A 429, a 503 that says when to come back, and a 504 are load; all else below 500
/// is the answer of a backend that is well, and 501 is one that does not know the path.
fn judge(permit: &Permit, head: &http::response::Parts) {
    match head.status {
        StatusCode::TOO_MANY_REQUESTS | StatusCode::GATEWAY_TIMEOUT => {}
        StatusCode::SERVICE_UNAVAILABLE if head.headers.contains_key(header::RETRY_AFTER) => {}
        StatusCode::NOT_IMPLEMENTED => permit.backend_answered(),
        status if status.is_server_error() => permit.backend_failed(),
        _ => permit.backend_answered(),
    }
}

/// Reads why a backend of our own refused.
fn refusal(body: &Bytes) -> Option<HandBack> {
    let body: ErrorBody = serde_json::from_slice(body).ok()?;
    match body.error.code.as_deref() {
        Some("concurrency") => Some(HandBack::Concurrency),
        Some("draining" | "loading") => Some(HandBack::Unreachable),
        _ => None,
    }
}

/// A backend that has not begun its answer in the time that it may take for that.
fn silent() -> Error {
    Error::new(ErrorKind::Timeout, "the backend did not begin its answer within --first-byte-timeout")
}

/// Nothing was sent, so nothing can still be running.
fn unsent(permit: Permit, mut call: Call, error: Error) -> Undelivered {
    call.failed(error.kind.code());
    permit.finish(End::Failed);
    Undelivered::Failed(error)
}

/// Time ran out while the backend was working.
fn given_up(mut permit: Permit, call: &mut Call, error: Error) -> Undelivered {
    permit.backend_error(BackendError::Timeout);
    call.failed(ErrorKind::Timeout.code());
    permit.abandon(End::TimedOut);
    Undelivered::Failed(error)
}

fn unreachable(permit: Permit, call: Call, error: &UpstreamError) -> Undelivered {
    let backend = permit.grant().map(|grant| grant.backend.as_str());
    tracing::warn!(%error, backend, "a backend could not be reached");
    call.refused("unreachable");
    permit.backend_error(BackendError::Unreachable);
    Undelivered::Refused {
        permit,
        why: HandBack::Unreachable,
        message: format!("the backend could not be reached: {error}"),
    }
}

/// The request as the backend gets it.
fn upstream_request(
    job: &Job,
    grant: &Grant,
    call: &Call,
    key: Option<HeaderValue>,
) -> Result<Box<Request<Body>>, Error> {
    let mut request = Box::new(Request::new(Body::from(job.body.clone())));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = job.target.clone();
    *request.headers_mut() = job.headers.clone();
    let headers = request.headers_mut();
    let remaining = job.deadline.saturating_duration_since(call.sent()).as_millis();
    headers.insert(
        names::REQUEST_TIMEOUT_MS,
        HeaderValue::from(u64::try_from(remaining).unwrap_or(u64::MAX).max(1)),
    );
    let attempt = HeaderValue::from_str(grant.attempt.as_str())
        .map_err(|_| Error::new(ErrorKind::Internal, "the attempt's id is no header value"))?;
    headers.insert(names::ATTEMPT, attempt);
    call.inject(headers);
    if let Some(key) = key {
        request.extensions_mut().insert(OwnKey(key));
    }
    Ok(request)
}

/// Takes out what belongs to one connection, also what `connection` itself names.
pub(super) fn strip(headers: &mut HeaderMap) {
    for name in named_by_connection(headers) {
        headers.remove(name);
    }
    while let Some(name) = headers.keys().find(|name| ends_here(name)).cloned() {
        headers.remove(name);
    }
}

/// The same in no more room than they need: the client library reads an answer's head into the map in which the request's stood,
/// and the server library keeps the map as long as the connection is open.
fn compact(headers: HeaderMap) -> HeaderMap {
    // With room for the request's id.
    let mut all = HeaderMap::with_capacity(headers.len() + 1);
    all.extend(headers);
    all
}

/// The headers that `connection` says belong to it. Those that say who asked are not the client's to take away.
fn named_by_connection(headers: &HeaderMap) -> Vec<HeaderName> {
    if !headers.contains_key(header::CONNECTION) {
        return Vec::new();
    }
    let values = headers.get_all(header::CONNECTION).iter().map(HeaderValue::as_bytes);
    let names = values.flat_map(|value| value.split(|byte| *byte == b','));
    let names = names.filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok());
    names.filter(|name| !forwarded::says_who(name)).collect()
}

pub(super) fn is_event_stream(value: &HeaderValue) -> bool {
    value.as_bytes().starts_with(tidegate_wire::sse::CONTENT_TYPE.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strips_what_belongs_to_one_connection() {
        let mut headers = HeaderMap::new();
        for (name, value) in
            [("connection", "close, x-private"), ("x-private", "1"), ("te", "trailers"), ("x-kept", "1")]
        {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        strip(&mut headers);
        assert_eq!(headers.keys().map(HeaderName::as_str).collect::<Vec<_>>(), ["x-kept"]);
        // One name that is none, and bytes beyond ASCII, do not hide the others.
        headers.insert(header::CONNECTION, HeaderValue::from_bytes(b"\xe9, x y,X-Kept ,").unwrap());
        strip(&mut headers);
        assert!(headers.is_empty(), "{headers:?}");
    }

    #[test]
    fn a_client_cannot_hide_who_it_is() {
        let mut headers = HeaderMap::new();
        let names = "x-forwarded-for, x-forwarded-proto, x-forwarded-host";
        headers.insert(header::CONNECTION, HeaderValue::from_static(names));
        headers.insert("x-forwarded-for", HeaderValue::from_static("192.0.2.7"));
        strip(&mut headers);
        assert_eq!(headers["x-forwarded-for"], "192.0.2.7");
        assert!(!headers.contains_key(header::CONNECTION));
    }

    #[test]
    fn headers_of_a_stream_take_no_more_room_than_they_need() {
        let mut headers = HeaderMap::with_capacity(48);
        for (name, value) in [("x-one", "1"), ("x-two", "1"), ("x-two", "2"), ("x-three", "3")] {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        let small = compact(headers.clone());
        assert_eq!(small, headers);
        assert!(small.capacity() < 12, "{}", small.capacity());
    }

    #[test]
    fn only_our_own_codes_send_a_ticket_elsewhere() {
        let body = |code: &'static str| Bytes::from(ErrorBody::new("t", code, "m").to_json());
        assert_eq!(refusal(&body("concurrency")), Some(HandBack::Concurrency));
        for code in ["loading", "draining"] {
            assert_eq!(refusal(&body(code)), Some(HandBack::Unreachable), "{code}");
        }
        assert_eq!(refusal(&body("overloaded")), None);
        assert_eq!(refusal(&Bytes::from_static(b"<html>")), None);
    }
}
