//! What the spans of a request are asked for and told, beyond what tracing's macros write when they open one.
//!
//! Attributes are set on the OpenTelemetry span itself, several at once: log lines do not show them, so that formatting them
//! would be for nothing, and nothing at all is done for a request that is not traced.

use std::borrow::Cow;

use http::HeaderMap;
use opentelemetry::trace::{Status, TraceContextExt};
use opentelemetry::{KeyValue, TraceId};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

use crate::log::ids::{self, RequestIds};
use crate::propagation::set_parent_from;

/// Puts a request's span below the context that its headers carry, and its ids into the log lines that are written in it.
/// True where the request is traced: what is written into its spans reaches a collector.
///
/// To be called right after the span is made.
pub fn begin(span: &Span, headers: &HeaderMap, request_id: &str) -> bool {
    set_parent_from(headers, span);
    let context = span.context();
    let otel = context.span();
    let trace = Some(otel.span_context().trace_id()).filter(|id| *id != TraceId::INVALID);
    ids::note(span, RequestIds { request: request_id.to_owned(), trace });
    otel.is_recording()
}

/// True where what is written into `span` reaches a collector.
#[must_use]
pub fn is_traced(span: &Span) -> bool {
    span.context().span().is_recording()
}

/// The trace id of `span` as 32 hex digits; none where nothing is exported and the client sent none.
#[must_use]
pub fn trace_id(span: &Span) -> Option<String> {
    let context = span.context();
    let reference = context.span();
    let identity = reference.span_context();
    identity.is_valid().then(|| identity.trace_id().to_string())
}

/// Sets attributes.
pub fn annotate(span: &Span, attributes: impl IntoIterator<Item = KeyValue>) {
    span.context().span().set_attributes(attributes);
}

/// Adds an event at the present instant.
pub fn event(span: &Span, name: &'static str, attributes: Vec<KeyValue>) {
    span.context().span().add_event(name, attributes);
}

/// Says that what the span stands for has failed, by a word of low cardinality (`error.type` of the conventions).
pub fn fail(span: &Span, error_type: impl Into<Cow<'static, str>>) {
    let context = span.context();
    let otel = context.span();
    otel.set_attribute(KeyValue::new("error.type", error_type.into()));
    otel.set_status(Status::error(""));
}

/// Ends a span here and now. Else its end is the last time that it was left, and it is sent once its last handle has gone, which
/// may be held by work that nobody waits for any more.
pub fn end(span: &Span) {
    span.context().span().end();
}

/// Milliseconds, as attributes and log lines have them: with three decimals.
#[must_use]
pub fn milliseconds(time: std::time::Duration) -> f64 {
    time.as_micros() as f64 / 1e3
}
