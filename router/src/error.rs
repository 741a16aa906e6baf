//! Everything that can end a request other than its answer.
//!
//! An [`Error`] carries an [`ErrorKind`]; status, OpenAI type, code, headers and metric label derive from the kind, never
//! the other way round. [`Error::into_response`] is the only place that turns an error into an answer, and
//! [`Error::event`] the only one that turns it into the last event of a stream that has already begun.

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use std::time::Duration;
use tidegate_admission::Reason;
use tidegate_wire::error::ErrorBody;
use tidegate_wire::{header as names, sse};

/// What ended the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// Admission said no.
    Rejected(Reason),
    /// This router takes no new work.
    Draining,
    /// The shared ledger cannot be reached.
    LedgerUnavailable,
    /// The deadline passed, waiting or running.
    Timeout,
    /// The backend broke, or could not be reached by any attempt.
    Backend,
    /// The request is not valid JSON, or a field that the router reads has the wrong type.
    InvalidRequest,
    /// No API key, or none that lets anybody in.
    InvalidApiKey,
    /// The API key may not ask for the model.
    ModelNotAllowed,
    /// No pool serves the model.
    ModelNotFound,
    /// The path does not exist.
    UnknownPath,
    /// The path exists, for another method.
    MethodNotAllowed,
    /// The body is larger than `--max-body-size`.
    BodyTooLarge,
    /// The bodies of all requests together take `--max-body-memory`.
    BodyMemory,
    /// The headers are larger than any honest client's.
    HeadersTooLarge,
    /// The content type is not JSON.
    UnsupportedMediaType,
    /// The body stopped before its end, or came too slowly.
    BodyIncomplete,
    /// A defect of this program.
    Internal,
}

impl ErrorKind {
    /// The HTTP status; a rejection's is `--overload-status`, see [`Error::into_response`].
    pub fn status(self) -> StatusCode {
        match self {
            Self::Rejected(Reason::NoBackend | Reason::UnknownPool) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Rejected(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::Draining | Self::LedgerUnavailable | Self::BodyMemory => StatusCode::SERVICE_UNAVAILABLE,
            Self::Timeout => StatusCode::GATEWAY_TIMEOUT,
            Self::Backend => StatusCode::BAD_GATEWAY,
            Self::InvalidRequest => StatusCode::BAD_REQUEST,
            Self::InvalidApiKey => StatusCode::UNAUTHORIZED,
            Self::ModelNotAllowed => StatusCode::FORBIDDEN,
            Self::ModelNotFound | Self::UnknownPath => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::HeadersTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::BodyIncomplete => StatusCode::BAD_REQUEST,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The stable word for programs: the body's `code`, the header `x-tidegate-reason`, the metric's label.
    pub fn code(self) -> &'static str {
        match self {
            Self::Rejected(reason) => reason.as_str(),
            Self::Draining => "draining",
            Self::LedgerUnavailable => "ledger_unavailable",
            Self::Timeout => "timeout",
            Self::Backend => "backend_error",
            Self::InvalidRequest => "invalid_request",
            Self::InvalidApiKey => "invalid_api_key",
            // OpenAI's word for both; the status tells them apart.
            Self::ModelNotFound | Self::ModelNotAllowed => "model_not_found",
            Self::UnknownPath => "unknown_url",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::BodyTooLarge => "request_too_large",
            Self::BodyMemory => "body_memory",
            Self::HeadersTooLarge => "headers_too_large",
            Self::UnsupportedMediaType => "unsupported_media_type",
            Self::BodyIncomplete => "incomplete_body",
            Self::Internal => "internal_error",
        }
    }

    /// OpenAI's class of the error.
    fn class(self) -> &'static str {
        match self.status() {
            StatusCode::TOO_MANY_REQUESTS => "rate_limit_error",
            status if status.is_client_error() => "invalid_request_error",
            StatusCode::GATEWAY_TIMEOUT => "timeout_error",
            StatusCode::SERVICE_UNAVAILABLE => "overloaded_error",
            _ => "server_error",
        }
    }

    /// True where something broke, here or behind: an operator wants to read how.
    pub fn is_fault(self) -> bool {
        matches!(self, Self::Backend | Self::LedgerUnavailable | Self::Internal)
    }

    /// True for refusals that carry the reason and the retry headers.
    pub fn is_refusal(self) -> bool {
        matches!(self, Self::Rejected(_) | Self::Draining | Self::LedgerUnavailable | Self::BodyMemory)
    }
}

/// An [`ErrorKind`] with what a client needs to know about this one case.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    /// What ended the request.
    pub kind: ErrorKind,
    message: String,
    param: Option<String>,
    retry_after: Option<Duration>,
    hopeless: bool,
    /// Boxed, since most have none and every layer passes this on.
    headers: Option<Box<HeaderMap>>,
    /// The pool that the request was for, once it was known.
    pub pool: Option<String>,
}

impl Error {
    /// An error of `kind` with a sentence for people.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        let hopeless = kind == ErrorKind::Timeout;
        Self {
            kind,
            message: message.into(),
            param: None,
            retry_after: None,
            hopeless,
            headers: None,
            pool: None,
        }
    }

    /// A bad value of the body's field `param`.
    pub fn invalid(param: &str, message: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidRequest, message).with_param(param)
    }

    /// Names the request's parameter at fault.
    #[must_use]
    pub fn with_param(mut self, param: &str) -> Self {
        self.param = Some(param.to_owned());
        self
    }

    /// Says when a retry makes sense.
    #[must_use]
    pub fn with_retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// Says that a retry cannot succeed.
    #[must_use]
    pub fn hopeless(mut self, hopeless: bool) -> Self {
        self.hopeless |= hopeless;
        self
    }

    /// Headers that its answer has besides its own.
    #[must_use]
    pub fn with_headers(mut self, headers: HeaderMap) -> Self {
        self.headers.get_or_insert_default().extend(headers);
        self
    }

    /// Names the pool that the request was for.
    #[must_use]
    pub fn in_pool(mut self, pool: &str) -> Self {
        self.pool = Some(pool.to_owned());
        self
    }

    /// The answer. `overload_status` replaces the status of rejections (`--overload-status`).
    pub fn into_response(self, overload_status: StatusCode) -> Response<Body> {
        let status = match self.kind.status() {
            // A key's limits are no overload: their status stays.
            StatusCode::TOO_MANY_REQUESTS if self.kind != ErrorKind::Rejected(Reason::RateLimit) => {
                overload_status
            }
            status => status,
        };
        let mut response = Response::new(Body::from(self.body().to_json()));
        *response.status_mut() = status;
        self.write_headers(response.headers_mut());
        if let Some(headers) = self.headers {
            response.headers_mut().extend(*headers);
        }
        response
    }

    /// The last event of a stream whose 200 has already gone out.
    pub fn event(&self) -> Bytes {
        sse::data(&self.body().to_json())
    }

    fn body(&self) -> ErrorBody {
        let body = ErrorBody::new(self.kind.class(), self.kind.code(), self.message.clone());
        match &self.param {
            Some(param) => body.with_param(param.clone()),
            None => body,
        }
    }

    fn write_headers(&self, headers: &mut HeaderMap) {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if self.kind.is_refusal() {
            headers.insert(names::REASON, HeaderValue::from_static(self.kind.code()));
            let wait = self.retry_after.unwrap_or(Duration::from_secs(1));
            headers.insert(header::RETRY_AFTER, HeaderValue::from(wait.as_millis().div_ceil(1000) as u64));
            headers.insert(names::RETRY_AFTER_MS, HeaderValue::from(wait.as_millis() as u64));
        }
        if self.kind == ErrorKind::InvalidApiKey {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if self.hopeless {
            headers.insert(names::SHOULD_RETRY, HeaderValue::from_static("false"));
        }
    }
}
