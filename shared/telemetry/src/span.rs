//! What the spans of a request are asked for and told, beyond what tracing's macros write when they open one.
//!
//! Attributes are set on the OpenTelemetry span itself, several at once: log lines do not show them, so that formatting them
//! would be for nothing, and nothing at all is done for a request that is not traced.

use std::borrow::Cow;

use opentelemetry::KeyValue;
use opentelemetry::trace::{Status, TraceContextExt};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// True where what is written into `span` reaches a collector.
#[must_use]
pub fn is_traced(span: &Span) -> bool {
    !span.is_disabled() && span.context().span().is_recording()
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
