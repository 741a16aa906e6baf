//! The request that work is done for, as logs and traces know it: its span where spans are exported, and its ids.
//!
//! A span costs what a small answer costs. So none is made where none is exported or sampled; the ids, which log lines have all the same,
//! travel on their own.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{HeaderMap, HeaderValue};
use opentelemetry::TraceId;
use opentelemetry::trace::{SpanContext, TraceContextExt};

use crate::propagation::{self, parent_of, set_parent};
use crate::sampling;
use crate::span::Span;

/// What names a request, and its span.
#[derive(Debug)]
pub(crate) struct RequestIds {
    /// `x-request-id`.
    request: HeaderValue,
    span: Span,
    /// Of its span; without one, of the client's or one that is not sampled; invalid where nothing is exported and the client sent none.
    pub(crate) context: SpanContext,
    /// Whether it was decided here that it is not traced, which the next process is to be told.
    dropped: bool,
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
    /// The request that this thread works for at the moment.
    static CURRENT: RefCell<Option<Arc<RequestIds>>> = const { RefCell::new(None) };
}

/// The ids of the request that this thread works for at the moment.
pub(crate) fn current_ids() -> Option<Arc<RequestIds>> {
    CURRENT.with_borrow(Option::clone)
}

/// A request's span and ids. Clones are handles to the same ones.
#[derive(Debug, Clone)]
pub struct RequestScope(Option<Arc<RequestIds>>);

impl RequestScope {
    /// Begins a request below the context that `headers` carry. Where it is to be traced, `open` makes its span.
    #[must_use]
    pub fn begin(headers: &HeaderMap, request: HeaderValue, open: impl FnOnce() -> tracing::Span) -> Self {
        let parent = parent_of(headers);
        if let Some(context) = sampling::dropped(parent.as_ref()) {
            let ids = RequestIds { request, span: Span::none(), context, dropped: true };
            return Self(Some(Arc::new(ids)));
        }
        let clients = parent.as_ref().map(|parent| parent.span().span_context().clone());
        let span = open();
        if let Some(parent) = parent.filter(|_| !span.is_disabled()) {
            set_parent(&span, parent);
        }
        let span = Span::of(span);
        let context = span.identity().or(clients).unwrap_or(SpanContext::NONE);
        Self(Some(Arc::new(RequestIds { request, span, context, dropped: false })))
    }

    /// Begins a request that is traced nowhere: what its client sent passes through.
    #[must_use]
    pub fn silent(headers: &HeaderMap, request: HeaderValue) -> Self {
        let context = parent_of(headers).map(|parent| parent.span().span_context().clone());
        let context = context.unwrap_or(SpanContext::NONE);
        Self(Some(Arc::new(RequestIds { request, span: Span::none(), context, dropped: false })))
    }

    /// The request that this thread works for at the moment; empty where it works for none.
    #[must_use]
    pub fn current() -> Self {
        Self(current_ids())
    }

    /// Its span; none where it is not traced.
    #[must_use]
    pub fn span(&self) -> &Span {
        const NONE: &Span = &Span::NONE;
        self.0.as_ref().map_or(NONE, |ids| &ids.span)
    }

    /// Whether what is written into its span reaches a collector.
    #[must_use]
    pub fn is_traced(&self) -> bool {
        self.span().is_traced()
    }

    /// Tells the next process of its span, or that there is none; where nothing is exported, what the client sent stays as it is.
    pub fn inject(&self, headers: &mut HeaderMap) {
        let Some(ids) = &self.0 else { return };
        if ids.dropped {
            let context = opentelemetry::Context::new().with_remote_span_context(ids.context.clone());
            propagation::inject(&context, headers);
        } else {
            ids.span.inject(headers);
        }
    }

    /// Does something for this request.
    pub fn enter<T>(&self, work: impl FnOnce() -> T) -> T {
        let _restored = Restore(CURRENT.replace(self.0.clone()));
        match self.span().tracing() {
            Some(span) => span.in_scope(work),
            None => work(),
        }
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
        RequestScope::silent(&HeaderMap::new(), HeaderValue::from_static(id))
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
        let scope = RequestScope::silent(&headers, HeaderValue::from_static("mine"));
        scope.enter(|| {
            let trace = current_ids().and_then(|ids| ids.trace()).map(|trace| trace.to_string());
            assert_eq!(trace.as_deref(), Some(TRACE));
        });
        assert!(begin("mine").0.is_some_and(|ids| ids.trace().is_none()));
    }
}
