//! Exemplars: the trace of one request beside the count that it went into.

use opentelemetry::trace::SpanContext;
use prometheus_client::encoding::EncodeLabelSet;

use crate::scope::current_ids;
use crate::span::Span;

/// The trace and span that an observation belongs to, in hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct TraceLabel {
    /// 32 digits.
    pub trace_id: String,
    /// 16 digits.
    pub span_id: String,
}

impl TraceLabel {
    /// The trace of `span`, or of the client of the request at work where spans are not exported; none where it is not sampled: a link to a trace that nobody kept helps nobody.
    #[must_use]
    pub fn of(span: &Span) -> Option<Self> {
        match span.identity() {
            Some(identity) => Self::from(&identity),
            None => current_ids().and_then(|ids| Self::from(&ids.context)),
        }
    }

    fn from(identity: &SpanContext) -> Option<Self> {
        (identity.is_valid() && identity.is_sampled()).then(|| Self {
            trace_id: identity.trace_id().to_string(),
            span_id: identity.span_id().to_string(),
        })
    }
}
