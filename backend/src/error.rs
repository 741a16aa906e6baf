//! Why the backend does not answer as asked: a kind, from which status, code, class and headers derive.

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use tidegate_wire::{
    error::ErrorBody,
    header::{REASON, RETRY_AFTER_MS, SHOULD_RETRY},
    openai::Invalid,
};

/// What kind of refusal or failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// The request itself is wrong; the code says how.
    Invalid(&'static str),
    /// Another model is asked for than the one that runs here.
    ModelNotFound,
    /// No such path.
    UnknownPath,
    /// The path has no such method.
    WrongMethod,
    /// The body is not announced as JSON.
    ContentType,
    /// The body is over the limit.
    BodyTooLarge,
    /// The headers are over the limit.
    HeadersTooLarge,
    /// The body did not arrive in time.
    BodyTimeout,
    /// All slots are held.
    Concurrency,
    /// The model is still being loaded.
    Loading,
    /// The backend takes no new work.
    Draining,
    /// The request ran out of time.
    Timeout,
    /// The engine or the server itself failed.
    Internal,
}

impl ErrorKind {
    /// The HTTP status.
    pub fn status(self) -> StatusCode {
        match self {
            Self::Invalid(_) => StatusCode::BAD_REQUEST,
            Self::ModelNotFound | Self::UnknownPath => StatusCode::NOT_FOUND,
            Self::WrongMethod => StatusCode::METHOD_NOT_ALLOWED,
            Self::ContentType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::HeadersTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::BodyTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::Concurrency | Self::Loading | Self::Draining => StatusCode::SERVICE_UNAVAILABLE,
            Self::Timeout => StatusCode::GATEWAY_TIMEOUT,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// A stable word for programs.
    pub fn code(self) -> &'static str {
        match self {
            Self::Invalid(code) => code,
            Self::ModelNotFound => "model_not_found",
            Self::UnknownPath => "unknown_path",
            Self::WrongMethod => "method_not_allowed",
            Self::ContentType => "unsupported_media_type",
            Self::BodyTooLarge => "request_too_large",
            Self::HeadersTooLarge => "headers_too_large",
            Self::BodyTimeout => "body_timeout",
            Self::Concurrency => "concurrency",
            Self::Loading => "loading",
            Self::Draining => "draining",
            Self::Timeout => "timeout",
            Self::Internal => "internal_error",
        }
    }

    /// OpenAI's class of the error.
    fn class(self) -> &'static str {
        match self {
            Self::Timeout => "timeout_error",
            kind if kind.status().is_server_error() => "server_error",
            _ => "invalid_request_error",
        }
    }

    /// True where the same request may well be served a moment later.
    fn is_passing(self) -> bool {
        matches!(self, Self::Concurrency | Self::Loading | Self::Draining)
    }
}

/// A refusal or failure on its way to the client.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ApiError {
    kind: ErrorKind,
    message: String,
    param: Option<String>,
}

impl ApiError {
    /// An error that no single parameter is to blame for.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), param: None }
    }

    /// Names the parameter at fault.
    #[must_use]
    pub fn with_param(mut self, param: impl Into<String>) -> Self {
        self.param = Some(param.into());
        self
    }

    /// What kind it is.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The answer's body; also the last event of a stream that had begun.
    pub fn to_body(&self) -> ErrorBody {
        let body = ErrorBody::new(self.kind.class(), self.kind.code(), self.message.clone());
        match &self.param {
            Some(param) => body.with_param(param.clone()),
            None => body,
        }
    }
}

impl From<Invalid> for ApiError {
    fn from(invalid: Invalid) -> Self {
        Self { kind: ErrorKind::Invalid(invalid.code), message: invalid.message, param: invalid.param }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut answer = (self.kind.status(), self.to_body().to_json()).into_response();
        let headers = answer.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if self.kind.is_passing() {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
            headers.insert(RETRY_AFTER_MS, HeaderValue::from_static("1000"));
            headers.insert(REASON, HeaderValue::from_static(self.kind.code()));
        }
        if self.kind == ErrorKind::Timeout {
            // The same request would run out of the same time once more.
            headers.insert(SHOULD_RETRY, HeaderValue::from_static("false"));
        }
        answer
    }
}
