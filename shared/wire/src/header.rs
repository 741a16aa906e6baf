//! Names of the headers that carry meaning between client, router and backend.

use http::HeaderName;

/// Identifies a request for people; taken from the client or made by the router, echoed on every answer.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Milliseconds that the sender still waits for the last byte; a receiver may only shorten it.
pub const REQUEST_TIMEOUT_MS: HeaderName = HeaderName::from_static("x-request-timeout-ms");
/// Priority that the client asks for: `high`, `normal` or `low`.
pub const PRIORITY: HeaderName = HeaderName::from_static("x-tidegate-priority");
/// Attempt id that the router made for one try on one backend; the backend confirms its end by this id.
pub const ATTEMPT: HeaderName = HeaderName::from_static("x-tidegate-attempt");
/// Why a request was refused: the error's code, for clients that do not read bodies.
pub const REASON: HeaderName = HeaderName::from_static("x-tidegate-reason");
/// Milliseconds after which a retry makes sense; the OpenAI SDKs prefer it to `retry-after`.
pub const RETRY_AFTER_MS: HeaderName = HeaderName::from_static("retry-after-ms");
/// `false` where a retry is hopeless; the OpenAI SDKs obey it.
pub const SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");
/// The model that served instead of the one that was asked for, where that was full or down.
pub const FALLBACK: HeaderName = HeaderName::from_static("x-tidegate-fallback");
/// Tells nginx not to buffer a stream.
pub const ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");
