//! Trace context across process borders: `traceparent`, `tracestate` and `baggage` (W3C), in and out.
//!
//! Where nothing is exported there are no spans, and what a client sent passes through among its other headers, so that one trace
//! id runs from the client to the backend even where only one of the processes on the way exports.

use http::{HeaderMap, HeaderName};
use opentelemetry::propagation::{TextMapCompositePropagator, TextMapPropagator};
use opentelemetry::{Context, global};
use opentelemetry_http::{HeaderExtractor, HeaderInjector};
use opentelemetry_sdk::propagation::{BaggagePropagator, TraceContextPropagator};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

use crate::environment::Propagator;

/// The headers in which contexts come, whichever of them are read here.
const CARRIERS: [HeaderName; 3] = [
    HeaderName::from_static("traceparent"),
    HeaderName::from_static("tracestate"),
    HeaderName::from_static("baggage"),
];

/// Makes `span` a child of `parent`.
///
/// To be called right after the span is made: once it is entered, or asked for its context, its parent is fixed.
pub(crate) fn set_parent(span: &Span, parent: Context) {
    // No layer or a filtered span leaves the request without a parent, never without an answer.
    if let Err(error) = span.set_parent(parent) {
        tracing::trace!(%error, "the request's trace context is not taken over");
    }
}

/// The context that a request's headers carry, if they carry one.
pub(crate) fn parent_of(headers: &HeaderMap) -> Option<Context> {
    CARRIERS.iter().any(|name| headers.contains_key(name)).then(|| {
        global::get_text_map_propagator(|propagator| {
            propagator.extract_with_context(&Context::new(), &HeaderExtractor(headers))
        })
    })
}

/// Writes `context` into `headers`, replacing what they carry.
pub(crate) fn inject(context: &Context, headers: &mut HeaderMap) {
    global::get_text_map_propagator(|propagator| {
        propagator.inject_context(context, &mut HeaderInjector(headers));
    });
}

/// One propagator that speaks all the given formats.
pub(crate) fn composite(chosen: &[Propagator]) -> TextMapCompositePropagator {
    let boxed = |propagator: &Propagator| -> Box<dyn TextMapPropagator + Send + Sync> {
        match propagator {
            Propagator::TraceContext => Box::new(TraceContextPropagator::new()),
            Propagator::Baggage => Box::new(BaggagePropagator::new()),
        }
    };
    TextMapCompositePropagator::new(chosen.iter().map(boxed).collect())
}
