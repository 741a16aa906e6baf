//! The request that work is done for, as logs and traces know it: its span where spans are exported, and its ids.
//!
//! A span costs what a small answer costs. So none is made where none is exported; the ids, which log lines have all the same,
//! travel on their own.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{HeaderMap, HeaderValue};
use opentelemetry::TraceId;
use opentelemetry::trace::{SpanContext, TraceContextExt};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

use crate::propagation::{parent_of, set_parent_from};

/// What names a request.
#[derive(Debug)]
pub(crate) struct RequestIds {
    /// `x-request-id`.
    request: HeaderValue,
    /// Of its span; without one, of the client's; invalid where the client sent none.
    pub(crate) context: SpanContext,
}

impl RequestIds {
    /// `x-request-id`.
    pub(crate) fn request(&self) -> &str {
        self.request.to_str().unwrap_or_default()
    }

    /// None where nothing is exported and the client brought no trace.
    pub(crate) fn trace(&self) -> Option<TraceId> {
        self.context.is_valid().then(|| self.context.trace_id())
    }
}

thread_local! {
    /// The ids of the request that this thread works for at the moment.
    static CURRENT: RefCell<Option<Arc<RequestIds>>> = const { RefCell::new(None) };
}

/// The ids of the request that this thread works for at the moment.
pub(crate) fn current_ids() -> Option<Arc<RequestIds>> {
    CURRENT.with_borrow(Option::clone)
}

/// A request's span and ids. Clones are handles to the same ones.
#[derive(Debug, Clone)]
pub struct RequestScope {
    span: Span,
    ids: Option<Arc<RequestIds>>,
}

impl RequestScope {
    /// Begins a request whose span was just made, or is none: puts it below the context that `headers` carry.
    #[must_use]
    pub fn begin(span: Span, headers: &HeaderMap, request: HeaderValue) -> Self {
        let context = if span.is_disabled() {
            parent_of(headers).map(|parent| parent.span().span_context().clone())
        } else {
            set_parent_from(headers, &span);
            Some(span.context().span().span_context().clone())
        };
        let ids = RequestIds { request, context: context.unwrap_or(SpanContext::NONE) };
        Self { span, ids: Some(Arc::new(ids)) }
    }

    /// The request that this thread works for at the moment; empty where it works for none.
    #[must_use]
    pub fn current() -> Self {
        Self { span: Span::current(), ids: current_ids() }
    }

    /// Its span; none where spans are not exported.
    #[must_use]
    pub fn span(&self) -> &Span {
        &self.span
    }

    /// Whether what is written into its span reaches a collector.
    #[must_use]
    pub fn is_traced(&self) -> bool {
        crate::span::is_traced(&self.span)
    }

    /// Does something for this request.
    pub fn enter<T>(&self, work: impl FnOnce() -> T) -> T {
        let _restored = Restore(CURRENT.replace(self.ids.clone()));
        if self.span.is_disabled() { work() } else { self.span.in_scope(work) }
    }

    /// A future that works for this request, on whatever thread.
    pub fn follow<F>(self, future: F) -> Follow<F> {
        Follow { scope: self, future }
    }
}

/// Puts back what was current, also where the work panics.
struct Restore(Option<Arc<RequestIds>>);

impl Drop for Restore {
    fn drop(&mut self) {
        CURRENT.set(self.0.take());
    }
}

pin_project_lite::pin_project! {
    /// See [`RequestScope::follow`].
    #[derive(Debug)]
    pub struct Follow<F> {
        scope: RequestScope,
        #[pin]
        future: F,
    }
}

impl<F: Future> Future for Follow<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let future = this.future;
        this.scope.enter(|| future.poll(cx))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

    fn begin(id: &'static str) -> RequestScope {
        RequestScope::begin(Span::none(), &HeaderMap::new(), HeaderValue::from_static(id))
    }

    fn current() -> Option<String> {
        current_ids().map(|ids| ids.request().to_owned())
    }

    #[test]
    fn the_innermost_request_counts_until_its_work_is_done_or_broken() {
        begin("outer").enter(|| {
            begin("inner").enter(|| assert_eq!(current().as_deref(), Some("inner")));
            let broken = std::panic::catch_unwind(|| begin("broken").enter(|| panic!("on purpose")));
            assert!(broken.is_err());
            assert_eq!(current().as_deref(), Some("outer"));
        });
        assert_eq!(current(), None);
    }

    #[tokio::test]
    async fn work_elsewhere_is_the_requests_too() {
        let scope = begin("mine");
        let elsewhere = scope.enter(|| {
            tokio::spawn(RequestScope::current().follow(async {
                tokio::task::yield_now().await;
                current()
            }))
        });
        assert_eq!(current(), None);
        assert_eq!(elsewhere.await.unwrap().as_deref(), Some("mine"));
    }

    #[test]
    fn without_a_span_the_trace_is_the_clients() {
        let propagator = crate::propagation::composite(&[crate::environment::Propagator::TraceContext]);
        opentelemetry::global::set_text_map_propagator(propagator);
        let mut headers = HeaderMap::new();
        headers.insert("traceparent", format!("00-{TRACE}-00f067aa0ba902b7-01").parse().unwrap());
        let scope = RequestScope::begin(Span::none(), &headers, HeaderValue::from_static("mine"));
        scope.enter(|| {
            let trace = current_ids().and_then(|ids| ids.trace()).map(|trace| trace.to_string());
            assert_eq!(trace.as_deref(), Some(TRACE));
        });
        assert!(begin("mine").ids.is_some_and(|ids| ids.trace().is_none()));
    }
}
