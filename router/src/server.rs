//! The router's path table.

use crate::error::{Error, ErrorKind};
use crate::keys::KeyStore;
use crate::request::dispatch::Dispatch;
use crate::request::intake::Intake;
use crate::request::tenant;
use crate::request::way::{Way, WayService};
use crate::shared::Shared;
use crate::{admin, browsers, health};
use axum::body::Body;
use axum::extract::{Path, State};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Json};
use axum::routing::{MethodRouter, get, post_service};
use http::{Extensions, Response};
use std::sync::Arc;
use tidegate_wire::openai::{Model, ModelList};

/// All paths for clients. The door around them (request id, span, header limit) is `tidegate_serve::door`.
pub fn client_paths(shared: Shared) -> axum::Router {
    let config = shared.config.clone();
    let app = axum::Router::new()
        .route("/v1/models", get(list_models))
        .route("/v1/models/{*id}", get(retrieve_model))
        // Who may not ask may not look either. Applies to the paths above; those below see to it themselves.
        .route_layer(from_fn_with_state(shared.clone(), tenant::authenticate))
        .route("/v1/chat/completions", way("/v1/chat/completions", &shared, shared.keys.clone(), false))
        .route("/v1/completions", way("/v1/completions", &shared, shared.keys.clone(), false))
        .route("/v1/embeddings", way("/v1/embeddings", &shared, shared.keys.clone(), false))
        // What other servers offer beside, such as /v1/responses or /v1/rerank: whatever names a model goes the same way.
        .route("/v1/{*path}", others(&shared))
        .route("/health", get(health::handle))
        .route("/livez", get(admin::livez))
        .route("/readyz", get(admin::readyz))
        .with_state(shared);
    // Outside the door, which answers paths and methods that are not there: a browser asks first, with a method of its own.
    browsers::allow(tidegate_serve::door::guard(app), &config.proxy.origins)
}

/// The way of what has no path of its own in the table.
fn others(shared: &Shared) -> MethodRouter<Shared> {
    way("/v1/*", shared, shared.keys.clone(), false).fallback(tidegate_serve::door::unknown_path)
}

/// The way of an operator's chat, for which no key is needed.
pub fn chat(shared: &Shared) -> MethodRouter<Shared> {
    way("/v1/chat/completions", shared, None, true)
}

/// The way of a request that needs a slot; with `timed`, answers tell how long it waited for that.
fn way(route: &'static str, shared: &Shared, keys: Option<KeyStore>, timed: bool) -> MethodRouter<Shared> {
    let config = &shared.config;
    let way = Way {
        route,
        overload_status: config.overload_status,
        keys,
        intake: Intake {
            catalogue: shared.catalogue.clone(),
            names: config.proxy.names.clone(),
            draining: shared.draining.clone(),
            request_timeout: config.request_timeout,
            max_body_size: config.max_body_size,
            bodies: shared.bodies.clone(),
            max_priority: config.max_client_priority,
        },
        keep_alive: config.keep_alive,
        desk: shared.desk.clone(),
        dispatch: Dispatch {
            upstream: shared.upstream.clone(),
            keep_alive: config.keep_alive,
            patience: config.proxy.backends,
            log_content: config.log_content,
        },
        timed,
    };
    post_service(WayService(Arc::new(way)))
}

async fn list_models(State(shared): State<Shared>, extensions: Extensions) -> Json<ModelList> {
    let names = shared.model_names().into_iter().filter(|name| tenant::may_know(&extensions, name));
    Json(ModelList::new(names.map(|name| Model::new(name, shared.started)).collect()))
}

async fn retrieve_model(
    State(shared): State<Shared>,
    Path(id): Path<String>,
    extensions: Extensions,
) -> Response<Body> {
    if tenant::may_know(&extensions, &id) && shared.model_names().contains(&id) {
        return Json(Model::new(id, shared.started)).into_response();
    }
    let message = format!("the model '{id}' does not exist here; GET /v1/models lists those that do");
    Error::new(ErrorKind::ModelNotFound, message)
        .with_param("model")
        .into_response(shared.config.overload_status)
}
