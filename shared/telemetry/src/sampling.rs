//! Whether a request is traced, decided at the door, before anything of a span is made.
//!
//! A span that is dropped at its end costs nearly as much as one that is kept. So the SDK's own sampler is asked first, about the trace id that
//! the request's span would have, and of a request that it drops only the ids go on.

use std::cell::Cell;
use std::sync::OnceLock;

use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, SpanId, SpanKind, TraceContextExt, TraceFlags, TraceId, TraceState};
use opentelemetry_sdk::trace::{IdGenerator, RandomIdGenerator, Sampler, SamplingDecision, ShouldSample};

/// The process's sampler, as its propagators are the process's: where several are set up, the first counts.
static SAMPLER: OnceLock<Sampler> = OnceLock::new();

thread_local! {
    /// The id of the trace that this thread begins next, where it was drawn already.
    static DRAWN: Cell<Option<TraceId>> = const { Cell::new(None) };
}

/// From now on `sampler` decides.
pub(crate) fn decide_by(sampler: Sampler) {
    let _ = SAMPLER.set(sampler);
}

/// Of a request below `parent`: none where it is to be traced, else what the next process is told in place of a span.
pub(crate) fn dropped(parent: Option<&Context>) -> Option<SpanContext> {
    let sampler = SAMPLER.get()?;
    let parent = parent.filter(|parent| parent.span().span_context().is_valid());
    let trace = match parent {
        Some(parent) => parent.span().span_context().trace_id(),
        None => RandomIdGenerator::default().new_trace_id(),
    };
    let result = sampler.should_sample(parent, trace, "", &SpanKind::Server, &[], &[]);
    if result.decision == SamplingDecision::Drop {
        return Some(unsampled(parent, trace));
    }
    if parent.is_none() {
        DRAWN.set(Some(trace));
    }
    None
}

/// The parent's own identity, or a new one: not sampled, so that the next process decides alike.
fn unsampled(parent: Option<&Context>, trace: TraceId) -> SpanContext {
    let (span, state) = match parent {
        Some(parent) => {
            let identity = parent.span().span_context().clone();
            (identity.span_id(), identity.trace_state().clone())
        }
        None => (RandomIdGenerator::default().new_span_id(), TraceState::NONE),
    };
    SpanContext::new(trace, span, TraceFlags::default(), true, state)
}

/// Random ids, but for a trace whose id was drawn to decide about it.
#[derive(Debug, Default)]
pub(crate) struct DrawnIds(RandomIdGenerator);

impl IdGenerator for DrawnIds {
    fn new_trace_id(&self) -> TraceId {
        DRAWN.take().unwrap_or_else(|| self.0.new_trace_id())
    }

    fn new_span_id(&self) -> SpanId {
        self.0.new_span_id()
    }
}
