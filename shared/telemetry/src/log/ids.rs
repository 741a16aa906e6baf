//! The ids that stand in every log line of a request, wherever in its way the line is written.

use opentelemetry::TraceId;
use tracing::{Event, Span};
use tracing_subscriber::Registry;
use tracing_subscriber::fmt::{FmtContext, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// What names a request.
#[derive(Debug, Clone)]
pub(crate) struct RequestIds {
    /// `x-request-id`.
    pub(crate) request: String,
    /// None where nothing is exported and the client brought no trace.
    pub(crate) trace: Option<TraceId>,
}

/// Notes the ids of the request that `span` stands for.
pub(crate) fn note(span: &Span, ids: RequestIds) {
    span.with_subscriber(|(id, dispatch)| {
        let registry = dispatch.downcast_ref::<Registry>();
        if let Some(data) = registry.and_then(|registry| registry.span(id)) {
            data.extensions_mut().replace(ids);
        }
    });
}

/// The ids of the request in whose span `event` happened.
pub(super) fn of<N>(context: &FmtContext<'_, Registry, N>, _event: &Event<'_>) -> Option<RequestIds>
where
    N: for<'writer> FormatFields<'writer> + 'static,
{
    context.event_scope()?.find_map(|span| span.extensions().get::<RequestIds>().cloned())
}
