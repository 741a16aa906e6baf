//! The outermost layer of the way: any error becomes an answer in OpenAI's shape.

use crate::error::Error;
use axum::body::Body;
use futures_util::future::BoxFuture;
use http::{Request, Response, StatusCode};
use std::convert::Infallible;
use std::task::{Context, Poll};
use tower::{Layer, Service};

/// Turns errors into answers.
#[derive(Debug, Clone, Copy)]
pub struct AnswerLayer {
    /// `--overload-status`: the status of rejections.
    pub overload_status: StatusCode,
}

impl<S> Layer<S> for AnswerLayer {
    type Service = Answer<S>;
    fn layer(&self, inner: S) -> Answer<S> {
        Answer { overload_status: self.overload_status, inner }
    }
}

/// The service that [`AnswerLayer`] makes. It never fails.
#[derive(Debug, Clone)]
pub struct Answer<S> {
    overload_status: StatusCode,
    inner: S,
}

impl<S> Service<Request<Body>> for Answer<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Error>,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    /// Always ready: whether there is room is the ledger's to say, with an answer and not by waiting here.
    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let overload_status = self.overload_status;
        let answer = self.inner.call(request);
        Box::pin(async move {
            Ok(answer.await.unwrap_or_else(|error| {
                tracing::info!(code = error.kind.code(), %error, "request ended with an error");
                error.into_response(overload_status)
            }))
        })
    }
}
