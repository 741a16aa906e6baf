//! Intake: reads a request whole and turns it into a [`Job`].
//!
//! The router reads a few fields of the body (`model`, `stream`, `service_tier`, and the bound on the answer); everything
//! else is the backend's to check, since it has the tokenizer.

use super::Job;
use super::access::Notes;
use super::field::Field;
use super::{forwarded, model, tenant};
use crate::catalogue::{Catalogue, UnknownModel};
use crate::error::{Error, ErrorKind};
use crate::names::Names;
use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, Request, header, request::Parts};
use serde::Deserialize;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tidegate_admission::{Class, Priority};
use tidegate_serve::body::{BodyError, BodyRoom, WholeBody};
use tidegate_wire::header as names;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Bytes of a body from which on reading it takes so long that the other connections of this thread would wait for it.
const LARGE: usize = 128 * 1024;
/// Bytes that a model's name may have: it stands in log lines, spans and errors.
const MAX_MODEL_NAME: usize = 512;

/// What intake needs to know; the same for all requests.
#[derive(Debug, Clone)]
pub struct Intake {
    /// Which pool serves which model.
    pub catalogue: Catalogue,
    /// Aliases and fallbacks.
    pub names: Names,
    /// Cancelled once this router takes no new work.
    pub draining: CancellationToken,
    /// `--request-timeout`: from arrival to the last byte.
    pub request_timeout: Duration,
    /// `--max-body-size`, in bytes.
    pub max_body_size: usize,
    /// What the bodies of all requests share: `--max-body-memory`.
    pub bodies: BodyRoom,
    /// `--max-client-priority`: the highest class that a client may ask for.
    pub max_priority: Priority,
}

impl Intake {
    /// Reads a request that arrived at `arrived`.
    pub(super) async fn read(
        &self,
        request: Box<Request<Body>>,
        arrived: Instant,
        notes: &Notes,
    ) -> Result<Box<Job>, Error> {
        let (mut parts, body) = request.into_parts();
        let timeout = self.timeout(&parts.headers);
        let deadline = arrived + timeout.as_ref().copied().unwrap_or(self.request_timeout);
        // The body comes first, whatever else is wrong: a refusal while the client still writes would cut itself off.
        let collected = {
            let collecting = pin!(self.collect(&parts.headers, body));
            tokio::time::timeout_at(deadline, collecting).await
        };
        let body = collected.map_err(|_| {
            Error::new(ErrorKind::BodyIncomplete, "the request's body did not arrive before its deadline")
        })??;
        if self.draining.is_cancelled() {
            return Err(Error::new(
                ErrorKind::Draining,
                "this router is shutting down; another one will serve you",
            ));
        }
        timeout?;
        check_content_type(&parts.headers)?;
        let envelope = Envelope::read(&body.bytes).await?;
        forwarded::note(&mut parts.headers, &parts.uri, parts.extensions.get());
        self.job(parts, body, &envelope, (arrived, deadline), notes.clone())
    }

    /// What a request that was read whole asks for.
    fn job(
        &self,
        parts: Parts,
        WholeBody { bytes: body, room }: WholeBody,
        envelope: &Envelope,
        (arrived, deadline): (Instant, Instant),
        notes: Notes,
    ) -> Result<Box<Job>, Error> {
        let (to, others) = self
            .names
            .destinations(&self.catalogue, &envelope.model)
            .map_err(|unknown| unknown_model(&envelope.model, unknown))?;
        let priority = capped(asked_priority(&parts.headers, envelope.tier.as_deref())?, self.max_priority);
        let reserved = envelope.reserved(body.len());
        let (priority, caller) = tenant::rights(&parts.extensions, &envelope.model, priority, reserved)?;
        notes.asked(&envelope.model, priority, envelope.stream);
        Ok(Box::new(Job {
            target: parts.uri,
            headers: forwarded::headers(parts.headers, priority, envelope.stream),
            body: if to.model == envelope.model { body } else { model::renamed(&body, &to.model) },
            room: room.map(Arc::new),
            model: to.model,
            pool: to.pool,
            fallback: to.fallback,
            others,
            stream: envelope.stream,
            priority,
            max_tokens: envelope.bound,
            class: Class::of(envelope.bound),
            arrived,
            deadline,
            draw: rand::random(),
            jitter: rand::random(),
            caller,
            notes,
        }))
    }

    /// The smaller of `--request-timeout` and the client's `x-request-timeout-ms`.
    fn timeout(&self, headers: &HeaderMap) -> Result<Duration, Error> {
        let Some(value) = headers.get(names::REQUEST_TIMEOUT_MS) else { return Ok(self.request_timeout) };
        let asked = value.to_str().ok().and_then(|text| text.trim().parse::<u64>().ok()).filter(|ms| *ms > 0);
        let asked = asked.ok_or_else(|| {
            Error::invalid(
                "x-request-timeout-ms",
                "the header x-request-timeout-ms must be a whole number of milliseconds above 0",
            )
        })?;
        Ok(self.request_timeout.min(Duration::from_millis(asked)))
    }

    async fn collect(&self, headers: &HeaderMap, body: Body) -> Result<WholeBody, Error> {
        let read = tidegate_serve::body::read(headers, body, self.max_body_size, Some(&self.bodies)).await;
        read.map_err(|error| match error {
            BodyError::NoRoom => Error::new(
                ErrorKind::BodyMemory,
                "this router has too many large requests in hand; another one may serve you",
            ),
            BodyError::TooLarge => {
                let message = format!("the request's body is larger than {} bytes", self.max_body_size);
                Error::new(ErrorKind::BodyTooLarge, message)
            }
            BodyError::Incomplete(how) => Error::new(
                ErrorKind::BodyIncomplete,
                format!("the request's body stopped before its end: {how}"),
            ),
        })
    }
}

/// The fields of the body that the router reads.
pub(super) struct Envelope {
    pub(super) model: String,
    pub(super) stream: bool,
    tier: Option<String>,
    /// Tokens that the answer may have at most. What is no such number is the backend's to refuse.
    bound: Option<u64>,
}

/// The same before their types are checked, so that a wrong type is reported with the field's name.
#[derive(Deserialize)]
struct RawEnvelope<'a> {
    #[serde(default, borrow)]
    model: Field<'a>,
    #[serde(default, borrow)]
    stream: Field<'a>,
    #[serde(default, borrow)]
    service_tier: Field<'a>,
    #[serde(default, borrow)]
    max_tokens: Field<'a>,
    #[serde(default, borrow)]
    max_completion_tokens: Field<'a>,
}

impl Envelope {
    /// Reads `body`, a large one on a thread beside.
    async fn read(body: &Bytes) -> Result<Self, Error> {
        if body.len() < LARGE {
            return Self::parse(body);
        }
        let body = body.clone();
        let read = tokio::task::spawn_blocking(move || Self::parse(&body)).await;
        read.unwrap_or_else(|_| Err(Error::new(ErrorKind::Internal, "the request's body could not be read")))
    }

    pub(super) fn parse(body: &[u8]) -> Result<Self, Error> {
        let invalid = |message: String| Error::new(ErrorKind::InvalidRequest, message);
        let text = std::str::from_utf8(body).map_err(|error| {
            invalid(format!(
                "the request's body is not UTF-8: invalid byte at offset {}",
                error.valid_up_to()
            ))
        })?;
        // serde takes a list for a struct whose fields come in order; a request is an object.
        if !text.trim_start().starts_with('{') {
            return Err(invalid(
                "the request's body is not a JSON object: it must begin with '{'".to_owned(),
            ));
        }
        let raw: RawEnvelope<'_> = serde_json::from_str(text).map_err(|error| {
            invalid(format!("the request's body is not a JSON object that can be read: {error}"))
        })?;
        let model = match raw.model {
            Field::Text(model) if (1..=MAX_MODEL_NAME).contains(&model.len()) => model.into_owned(),
            Field::Null => {
                return Err(Error::invalid("model", "you must name a model: the field 'model' is missing"));
            }
            _ => return Err(Error::invalid("model", "'model' must be a string of 1 to 512 bytes")),
        };
        let stream = match raw.stream {
            Field::Null => false,
            Field::Bool(stream) => stream,
            _ => return Err(Error::invalid("stream", "'stream' must be true or false")),
        };
        let tier = match raw.service_tier {
            Field::Null => None,
            Field::Text(tier) => Some(tier.into_owned()),
            _ => return Err(Error::invalid("service_tier", "'service_tier' must be a string")),
        };
        let bound = raw.max_completion_tokens.whole().or(raw.max_tokens.whole());
        Ok(Self { model, stream, tier, bound })
    }

    /// Tokens that are charged in advance to a tenant whose request has a body of `bytes`: what it declares to need at most.
    fn reserved(&self, bytes: usize) -> u64 {
        self.bound.map_or(0, |bound| bound.saturating_add(bytes as u64 / tenant::BYTES_PER_TOKEN))
    }
}

fn check_content_type(headers: &HeaderMap) -> Result<(), Error> {
    let Some(value) = headers.get(header::CONTENT_TYPE) else { return Ok(()) };
    if value == "application/json" {
        return Ok(());
    }
    let essence = value.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::UnsupportedMediaType,
        format!(
            "the content type must be application/json, not '{essence}': send the header content-type: application/json"
        ),
    ))
}

/// The class that the client asks for: the header wins over `service_tier` (priority, default, flex).
fn asked_priority(headers: &HeaderMap, tier: Option<&str>) -> Result<Priority, Error> {
    if let Some(value) = headers.get(names::PRIORITY) {
        return match value.as_bytes() {
            b"high" => Ok(Priority::High),
            b"normal" => Ok(Priority::Normal),
            b"low" => Ok(Priority::Low),
            _ => Err(Error::invalid(
                "x-tidegate-priority",
                "the header x-tidegate-priority must be high, normal or low",
            )),
        };
    }
    match tier {
        Some("priority") => Ok(Priority::High),
        None | Some("default" | "auto") => Ok(Priority::Normal),
        Some("flex") => Ok(Priority::Low),
        Some(_) => {
            Err(Error::invalid("service_tier", "'service_tier' must be auto, default, flex or priority"))
        }
    }
}

/// What a client gets that asks for more than it may: the highest that it may have. Priorities are in the order of
/// service, so that the later one is the lower one.
fn capped(asked: Priority, highest: Priority) -> Priority {
    asked.max(highest)
}

fn unknown_model(model: &str, unknown: UnknownModel) -> Error {
    match unknown {
        UnknownModel::OtherPoolsKnown => Error::new(
            ErrorKind::ModelNotFound,
            format!("the model '{model}' does not exist here; GET /v1/models lists those that do"),
        )
        .with_param("model"),
        UnknownModel::NoPoolKnown => Error::new(
            ErrorKind::Rejected(tidegate_admission::Reason::NoBackend),
            "no backend has registered yet, so no model can be served",
        ),
        UnknownModel::StillLearning => Error::new(
            ErrorKind::Rejected(tidegate_admission::Reason::NoBackend),
            format!("this router has just started and knows no backend for the model '{model}' yet"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(body: &[u8]) -> String {
        Envelope::parse(body).err().map(|error| error.to_string()).unwrap_or_default()
    }

    #[test]
    fn reads_its_fields_and_ignores_the_rest() {
        let envelope =
            Envelope::parse(br#"{"model":"m","stream":true,"service_tier":"flex","messages":[{"x":1}]}"#)
                .unwrap();
        assert_eq!(
            (envelope.model.as_str(), envelope.stream, envelope.tier.as_deref()),
            ("m", true, Some("flex"))
        );
    }

    #[test]
    fn a_bound_that_is_none_is_left_to_the_backend() {
        let bound = |body: &str| Envelope::parse(body.as_bytes()).unwrap().bound;
        assert_eq!(bound(r#"{"model":"m"}"#), None);
        assert_eq!(bound(r#"{"model":"m","max_tokens":300}"#), Some(300));
        assert_eq!(bound(r#"{"model":"m","max_completion_tokens":7,"max_tokens":null}"#), Some(7));
        for odd in ["-1", "1.5", "\"9\"", "{}", "true"] {
            assert_eq!(bound(&format!(r#"{{"model":"m","max_tokens":{odd}}}"#)), None, "{odd}");
        }
    }

    #[test]
    fn names_what_is_wrong_with_a_bad_body() {
        assert!(refusal(b"{\"model\":").contains("not a JSON object"));
        assert!(refusal(b"[1,2]").contains("not a JSON object"));
        assert!(refusal(b"{}").contains("'model' is missing"));
        assert!(refusal(b"{\"model\":3}").contains("'model' must be a string"));
        assert!(refusal(b"{\"model\":\"m\",\"stream\":\"yes\"}").contains("'stream' must be"));
        assert!(refusal(b"{\"model\":\"\xff\"}").contains("not UTF-8: invalid byte at offset 10"));
    }

    #[test]
    fn the_header_wins_over_the_tier() {
        let mut headers = HeaderMap::new();
        assert_eq!(asked_priority(&headers, Some("flex")).unwrap(), Priority::Low);
        headers.insert(names::PRIORITY, "high".parse().unwrap());
        assert_eq!(asked_priority(&headers, Some("flex")).unwrap(), Priority::High);
        headers.insert(names::PRIORITY, "urgent".parse().unwrap());
        assert!(asked_priority(&headers, None).is_err());
    }

    #[test]
    fn a_client_gets_no_more_than_it_may_have() {
        assert_eq!(capped(Priority::High, Priority::Normal), Priority::Normal);
        assert_eq!(capped(Priority::Low, Priority::Normal), Priority::Low);
        assert_eq!(capped(Priority::High, Priority::High), Priority::High);
    }
}
