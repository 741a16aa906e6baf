//! `POST /drain` and `POST /backends/{id}/drain` on the admin port: a router or a backend is to get no new work.
//!
//! A router that drains ends, as after SIGTERM. A backend that was drained finishes what it runs and stays; `DELETE` lets it in
//! again. Both are for operators' programs and the router's own page: see [`own_page_only`].

use crate::error::{Error, ErrorKind};
use crate::shared::Shared;
use crate::trial::own_page_only;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::middleware::from_fn;
use axum::response::{IntoResponse, Json};
use axum::routing::post;
use http::{Response, StatusCode};
use serde::Serialize;
use tidegate_serve::door::error_response;
use tidegate_wire::error::ErrorBody;

/// What is drained now.
#[derive(Debug, Serialize)]
struct Standing {
    id: String,
    draining: bool,
}

/// The paths for both.
pub fn drain_paths() -> axum::Router<Shared> {
    axum::Router::new()
        .route("/drain", post(drain_router))
        .route("/backends/{id}/drain", post(drain_backend).delete(let_in))
        .layer(from_fn(own_page_only))
}

async fn drain_router(State(shared): State<Shared>) -> Response<Body> {
    if !shared.leaving.is_cancelled() {
        tracing::info!("draining: asked on the admin port");
    }
    shared.leaving.cancel();
    accepted(shared.desk.router_id(), true)
}

async fn drain_backend(State(shared): State<Shared>, Path(id): Path<String>) -> Response<Body> {
    if shared.catalogue.pool_of_backend(&id).is_none() {
        let message = format!("no backend has the id '{id}'; GET /fleet lists those there are");
        let body = ErrorBody::new("invalid_request_error", "backend_not_found", message);
        return error_response(StatusCode::NOT_FOUND, &body);
    }
    set(&shared, &id, true).await
}

/// One that has gone can be let in as well: it may come back.
async fn let_in(State(shared): State<Shared>, Path(id): Path<String>) -> Response<Body> {
    set(&shared, &id, false).await
}

async fn set(shared: &Shared, id: &str, draining: bool) -> Response<Body> {
    if let Err(error) = shared.drained.set(id, draining).await {
        let message = format!("the fleet could not be told: {error}");
        let error = Error::new(ErrorKind::LedgerUnavailable, message);
        return error.into_response(shared.config.overload_status);
    }
    tracing::info!(backend = id, draining, "an operator has decided on a backend");
    accepted(id, draining)
}

/// Done within a second on every router.
fn accepted(id: &str, draining: bool) -> Response<Body> {
    (StatusCode::ACCEPTED, Json(Standing { id: id.to_owned(), draining })).into_response()
}
