//! The spans of a request, and what they are asked for and told beyond what tracing's macros write when they open one.
//!
//! Attributes are set on the OpenTelemetry span itself, several at once: log lines do not show them, so that formatting them
//! would be for nothing, and nothing at all is done for a request that is not traced.

use std::borrow::Cow;
use std::sync::Arc;

use http::HeaderMap;
use opentelemetry::trace::{SpanContext, Status, TraceContextExt};
use opentelemetry::{Context, KeyValue};
use tracing::Instrument;
use tracing::instrument::Instrumented;
use tracing_opentelemetry::OpenTelemetrySpanExt;

use crate::propagation;

/// A span whose content reaches a collector, or none. Clones are handles to the same one.
#[derive(Debug, Clone, Default)]
pub struct Span(Option<Arc<Open>>);

/// Asking tracing for a span's context takes locks and looks it up: it is asked once.
#[derive(Debug)]
struct Open {
    tracing: tracing::Span,
    context: Context,
}

impl Span {
    /// No span.
    pub const NONE: Self = Self(None);

    /// No span.
    #[must_use]
    pub fn none() -> Self {
        Self::NONE
    }

    /// The span that was just made. Its parent is fixed from now on; it is none where nobody takes it.
    #[must_use]
    pub fn of(tracing: tracing::Span) -> Self {
        if tracing.is_disabled() {
            return Self::none();
        }
        let context = tracing.context();
        let recording = context.span().is_recording();
        Self(recording.then(|| Arc::new(Open { tracing, context })))
    }

    /// Gives it a name of its own in place of the one that all of its kind have in the code.
    pub fn rename(&self, name: impl Into<Cow<'static, str>>) {
        if let Some(open) = &self.0 {
            open.context.span().update_name(name);
        }
    }

    /// True where what is written into it reaches a collector.
    #[must_use]
    pub fn is_traced(&self) -> bool {
        self.0.is_some()
    }

    /// What tracing's macros take for a parent.
    #[must_use]
    pub fn id(&self) -> Option<tracing::Id> {
        self.0.as_ref().and_then(|open| open.tracing.id())
    }

    /// The span as tracing knows it.
    pub(crate) fn tracing(&self) -> Option<&tracing::Span> {
        self.0.as_ref().map(|open| &open.tracing)
    }

    /// What names it to others.
    pub(crate) fn identity(&self) -> Option<SpanContext> {
        self.0.as_ref().map(|open| open.context.span().span_context().clone())
    }

    /// Sets attributes.
    pub fn annotate(&self, attributes: impl IntoIterator<Item = KeyValue>) {
        if let Some(open) = &self.0 {
            open.context.span().set_attributes(attributes);
        }
    }

    /// Adds an event at the present instant.
    pub fn event(&self, name: &'static str, attributes: Vec<KeyValue>) {
        if let Some(open) = &self.0 {
            open.context.span().add_event(name, attributes);
        }
    }

    /// Says that what the span stands for has failed, by a word of low cardinality (`error.type` of the conventions).
    pub fn fail(&self, error_type: impl Into<Cow<'static, str>>) {
        if let Some(open) = &self.0 {
            let otel = open.context.span();
            otel.set_attribute(KeyValue::new("error.type", error_type.into()));
            otel.set_status(Status::error(""));
        }
    }

    /// Ends the span here and now. Else its end is the last time that it was left, and it is sent once its last handle has gone, which
    /// may be held by work that nobody waits for any more.
    pub fn end(&self) {
        if let Some(open) = &self.0 {
            open.context.span().end();
        }
    }

    /// A future whose work is this span's: what is logged of it becomes its events.
    pub fn follow<F: Future>(&self, future: F) -> Instrumented<F> {
        future.instrument(self.tracing().cloned().unwrap_or_else(tracing::Span::none))
    }

    /// Writes its context into `headers`, replacing what they carry; none writes nothing.
    pub fn inject(&self, headers: &mut HeaderMap) {
        if let Some(open) = &self.0 {
            propagation::inject(&open.context, headers);
        }
    }
}

/// Milliseconds, as attributes and log lines have them: with three decimals.
#[must_use]
pub fn milliseconds(time: std::time::Duration) -> f64 {
    time.as_micros() as f64 / 1e3
}
