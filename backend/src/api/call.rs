//! A call as it arrives: announced as JSON, within the size limit, with the time that is left for it.

use super::tally::route;
use crate::{
    engine::{Priority, Service},
    error::{ApiError, ErrorKind},
    node::Backend,
};
use axum::{
    body::Body,
    extract::{FromRequest, Request},
};
use bytes::Bytes;
use http::{HeaderMap, header};
use std::time::Duration;
use tidegate_serve::body::BodyError;
use tidegate_wire::{
    header::{ATTEMPT, PRIORITY, REQUEST_TIMEOUT_MS},
    usage::takes_trailers,
};
use tokio::time::{Instant, timeout_at};

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
    /// The priority that the router served the request with.
    pub(crate) priority: Option<Priority>,
    /// Whether the caller takes what stands behind the last byte of an answer.
    pub(crate) takes_trailers: bool,
}

impl FromRequest<Backend> for Call {
    type Rejection = ApiError;

    async fn from_request(request: Request, backend: &Backend) -> Result<Self, ApiError> {
        let arrived = Instant::now();
        let (parts, body) = request.into_parts();
        expect_json(&parts.headers)?;
        let deadline = deadline(&parts.headers, arrived, backend.settings().request_timeout)?;
        let body = read(&parts.headers, body, backend.settings().body_limit, deadline).await?;
        let (attempt, priority) = (attempt(&parts.headers), priority(&parts.headers)?);
        let (route, takes_trailers) = (route(parts.uri.path()), takes_trailers(&parts.headers));
        Ok(Self { body, route, arrived, deadline, attempt, priority, takes_trailers })
    }
}

impl Call {
    /// The tier to name in the answer, where the request asked for one: a router may have capped it.
    pub(crate) fn served_tier(&self, asked: Option<&str>) -> Option<String> {
        let asked = if asked? == "auto" { "default" } else { asked? };
        let served = self.priority.map(|priority| match priority {
            Priority::High => "priority",
            Priority::Normal => "default",
            Priority::Low => "flex",
        });
        Some(served.unwrap_or(asked).to_owned())
    }

    /// In which order the engine serves it, and until when. Where no router has set a priority, the tier that was asked
    /// for does.
    pub(crate) fn service(&self, tier: Option<&str>) -> Service {
        let asked = || match tier {
            Some("priority") => Priority::High,
            Some("flex") => Priority::Low,
            _ => Priority::Normal,
        };
        Service { priority: self.priority.unwrap_or_else(asked), deadline: Some(self.deadline) }
    }
}

fn priority(headers: &HeaderMap) -> Result<Option<Priority>, ApiError> {
    let Some(value) = headers.get(PRIORITY) else { return Ok(None) };
    match value.as_bytes() {
        b"high" => Ok(Some(Priority::High)),
        b"normal" => Ok(Some(Priority::Normal)),
        b"low" => Ok(Some(Priority::Low)),
        _ => {
            let message = format!("The header '{PRIORITY}' must be high, normal or low.");
            Err(ApiError::new(ErrorKind::Invalid("invalid_header"), message).with_param(PRIORITY.as_str()))
        }
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

async fn read(headers: &HeaderMap, body: Body, limit: usize, deadline: Instant) -> Result<Bytes, ApiError> {
    match timeout_at(deadline, tidegate_serve::body::read(headers, body, limit, None)).await {
        Ok(Ok(body)) => Ok(body.bytes),
        Ok(Err(BodyError::TooLarge | BodyError::NoRoom)) => Err(too_large(limit)),
        Ok(Err(BodyError::Incomplete(how))) => {
            let message = format!("The body ended before it was complete: {how}.");
            Err(ApiError::new(ErrorKind::Invalid("incomplete_body"), message))
        }
        Err(_) => Err(ApiError::new(ErrorKind::BodyTimeout, "The body did not arrive in time.")),
    }
}

fn too_large(limit: usize) -> ApiError {
    ApiError::new(ErrorKind::BodyTooLarge, format!("The body is over the limit of {limit} bytes."))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(header: Option<&'static str>) -> Result<Call, ApiError> {
        let mut headers = HeaderMap::new();
        headers.extend(header.map(|value| (PRIORITY, http::HeaderValue::from_static(value))));
        let (arrived, deadline) = (Instant::now(), Instant::now() + Duration::from_secs(1));
        let (body, attempt, priority) = (Bytes::new(), String::new(), priority(&headers)?);
        Ok(Call { body, route: "", arrived, deadline, attempt, priority, takes_trailers: false })
    }

    #[test]
    fn the_routers_priority_wins_over_the_tier_and_a_tier_counts_without_a_router() {
        let served = |header, tier| {
            let call = call(header).unwrap();
            assert_eq!(call.service(tier).deadline, Some(call.deadline));
            call.service(tier).priority
        };
        assert_eq!(served(Some("high"), Some("flex")), Priority::High);
        assert_eq!(served(Some("low"), None), Priority::Low);
        assert_eq!(served(Some("normal"), Some("priority")), Priority::Normal, "a router has capped it");
        assert_eq!(served(None, Some("priority")), Priority::High);
        assert_eq!(served(None, Some("flex")), Priority::Low);
        assert_eq!([served(None, Some("default")), served(None, None)], [Priority::Normal; 2]);
        assert_eq!(call(Some("urgent")).unwrap_err().kind(), ErrorKind::Invalid("invalid_header"));
    }

    #[test]
    fn the_tier_that_is_named_is_the_one_that_served() {
        let tier = |header, asked| call(header).unwrap().served_tier(asked);
        assert_eq!(tier(Some("normal"), Some("priority")).as_deref(), Some("default"));
        assert_eq!(tier(None, Some("auto")).as_deref(), Some("default"));
        assert_eq!(tier(Some("low"), None), None, "nobody asked");
    }
}
