//! A call as it arrives: announced as JSON, within the size limit, with the time that is left for it.

use super::tally::route;
use crate::{
    error::{ApiError, ErrorKind},
    node::Backend,
};
use axum::{
    body::Body,
    extract::{FromRequest, Request},
};
use bytes::Bytes;
use http::{HeaderMap, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use std::time::Duration;
use tidegate_wire::header::{ATTEMPT, REQUEST_TIMEOUT_MS};
use tokio::time::{Instant, timeout, timeout_at};

/// Bytes and time that are spent on a body that is too large, so that the client has stopped sending when the answer
/// comes: a connection closed on a sender is reset, and the answer lost.
const LINGER_BYTES: usize = 64 * 1024 * 1024;
const LINGER_TIME: Duration = Duration::from_secs(2);

/// A call whose body has arrived in full.
#[derive(Debug)]
pub(crate) struct Call {
    /// The body.
    pub(crate) body: Bytes,
    /// The path, as the route table has it.
    pub(crate) route: &'static str,
    /// When the headers had arrived.
    pub(crate) arrived: Instant,
    /// When the last byte of the answer must have been sent.
    pub(crate) deadline: Instant,
    /// The router's name for this attempt, or one made here.
    pub(crate) attempt: String,
}

impl FromRequest<Backend> for Call {
    type Rejection = ApiError;

    async fn from_request(request: Request, backend: &Backend) -> Result<Self, ApiError> {
        let arrived = Instant::now();
        let (parts, body) = request.into_parts();
        expect_json(&parts.headers)?;
        let deadline = deadline(&parts.headers, arrived, backend.settings().request_timeout)?;
        let body = read(&parts.headers, body, backend.settings().body_limit, deadline).await?;
        Ok(Self { body, route: route(parts.uri.path()), arrived, deadline, attempt: attempt(&parts.headers) })
    }
}

fn expect_json(headers: &HeaderMap) -> Result<(), ApiError> {
    let found = headers.get(header::CONTENT_TYPE).map(|value| String::from_utf8_lossy(value.as_bytes()));
    let essence = found.as_deref().unwrap_or_default().split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    let found = if essence.is_empty() { "no content-type".to_owned() } else { format!("'{essence}'") };
    let message = format!("The content-type must be 'application/json', but the request has {found}.");
    Err(ApiError::new(ErrorKind::ContentType, message))
}

/// The client may only shorten the time that the operator gives.
fn deadline(headers: &HeaderMap, arrival: Instant, limit: Duration) -> Result<Instant, ApiError> {
    let Some(value) = headers.get(REQUEST_TIMEOUT_MS) else { return Ok(arrival + limit) };
    let asked = value.to_str().ok().and_then(|text| text.trim().parse::<u64>().ok()).ok_or_else(|| {
        let message = format!("The header '{REQUEST_TIMEOUT_MS}' must be a whole number of milliseconds.");
        ApiError::new(ErrorKind::Invalid("invalid_header"), message).with_param(REQUEST_TIMEOUT_MS.as_str())
    })?;
    Ok(arrival + limit.min(Duration::from_millis(asked)))
}

fn attempt(headers: &HeaderMap) -> String {
    let given = headers.get(ATTEMPT).and_then(|value| value.to_str().ok()).filter(|text| !text.is_empty());
    given.map_or_else(|| format!("direct-{}", uuid::Uuid::new_v4().simple()), str::to_owned)
}

async fn read(
    headers: &HeaderMap,
    mut body: Body,
    limit: usize,
    deadline: Instant,
) -> Result<Bytes, ApiError> {
    let announced =
        headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > limit as u64) {
        // A client that waits for `100 Continue` sends nothing before the answer.
        if !headers.contains_key(header::EXPECT) {
            linger(body).await;
        }
        return Err(too_large(limit));
    }
    let limited = Limited::new(&mut body, limit);
    match timeout_at(deadline, limited.collect()).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            linger(body).await;
            Err(too_large(limit))
        }
        Ok(Err(error)) => {
            let message = format!("The body ended before it was complete: {error}.");
            Err(ApiError::new(ErrorKind::Invalid("incomplete_body"), message))
        }
        Err(_) => Err(ApiError::new(ErrorKind::BodyTimeout, "The body did not arrive in time.")),
    }
}

async fn linger(body: Body) {
    let rest = Limited::new(body, LINGER_BYTES);
    let mut rest = std::pin::pin!(rest);
    let discard = async { while let Some(Ok(_)) = rest.frame().await {} };
    // Whatever is still unread after that is the client's loss.
    timeout(LINGER_TIME, discard).await.unwrap_or_default();
}

fn too_large(limit: usize) -> ApiError {
    ApiError::new(ErrorKind::BodyTooLarge, format!("The body is over the limit of {limit} bytes."))
}
