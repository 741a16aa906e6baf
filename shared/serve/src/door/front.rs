//! Paths that are asked for all the time, in front of the table of all others: looking there costs more than a small answer.

use super::guard;
use super::passage::{Door, Leaving, Passage};
use axum::Router;
use axum::body::Body;
use axum::routing::future::RouteFuture;
use bytes::Bytes;
use futures_util::future::{Either, MapOk, TryFutureExt};
use http::{Method, Request, Response};
use http_body::Body as HttpBody;
use http_body_util::Either as EitherBody;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tower::Service;

/// An app behind the door, with services of one kind for the paths that are asked for most.
#[derive(Debug, Clone)]
pub struct Front<S> {
    often: Arc<[(&'static str, Door<S>)]>,
    rest: Router,
}

impl<S> Front<S> {
    /// `app` behind the door. A `POST` to one of the paths in `often` goes to its service at once; `app` knows them too, for all else
    /// that may be said of a path.
    pub fn new(app: Router, often: impl IntoIterator<Item = (&'static str, S)>) -> Self {
        let often = often.into_iter().map(|(path, service)| (path, Door::on(path, service)));
        Self { often: often.collect(), rest: guard(app) }
    }

    /// Behind something else, which sees all requests first: all go through the table.
    #[must_use]
    pub fn behind(self, layer: impl FnOnce(Router) -> Router) -> Self {
        Self { often: Arc::default(), rest: layer(self.rest) }
    }
}

/// An answer's body, from the one or the other.
type FrontBody<B> = EitherBody<Leaving<B>, Body>;
/// Tells which of both an answer's body is from.
type FromEither<F, B, C> = MapOk<F, fn(Response<B>) -> Response<C>>;

impl<S, B> Service<Request<Body>> for Front<S>
where
    S: Service<Request<Body>, Response = Response<B>, Error = Infallible> + Clone,
    B: HttpBody<Data = Bytes>,
{
    type Response = Response<FrontBody<B>>;
    type Error = Infallible;
    type Future = Either<
        FromEither<Passage<S::Future>, Leaving<B>, FrontBody<B>>,
        Pin<Box<FromEither<RouteFuture<Infallible>, Body, FrontBody<B>>>>,
    >;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // A table of axum's is always ready, and so is what stands in one.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let path = request.uri().path();
        let often = self.often.iter().find(|(known, _)| request.method() == Method::POST && path == *known);
        match often {
            Some((_, door)) => {
                Either::Left(door.clone().call(request).map_ok(|answer| answer.map(EitherBody::Left)))
            }
            // Boxed, since a path that is asked for often would else have to move as much room as this takes.
            None => Either::Right(Box::pin(
                self.rest.call(request).map_ok(|answer| answer.map(EitherBody::Right)),
            )),
        }
    }
}
