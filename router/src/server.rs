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
use tidegate_serve::door::Front;
use tidegate_wire::openai::{CHAT_PATH, COMPLETIONS_PATH, EMBEDDINGS_PATH, Model, ModelList};

/// Paths that are the way's own, and asked for all the time.
const WAYS: [&str; 3] = [CHAT_PATH, COMPLETIONS_PATH, EMBEDDINGS_PATH];

/// All paths for clients. The door around them (request id, span, header limit) is `tidegate_serve::door`.
pub fn client_paths(shared: Shared) -> Front<WayService> {
    let config = shared.config.clone();
    let ways = WAYS.map(|path| (path, way(path, &shared, shared.keys.clone(), false)));
    let app = axum::Router::new()
        .route("/v1/models", get(list_models))
        .route("/v1/models/{*id}", get(retrieve_model))
        // Who may not ask may not look either. Applies to the paths above; those below see to it themselves.
        .route_layer(from_fn_with_state(shared.clone(), tenant::authenticate))
        // What other servers offer beside, such as /v1/responses or /v1/rerank: whatever names a model goes the same way.
        .route("/v1/{*path}", others(&shared))
        .route("/health", get(health::handle))
        .route("/livez", get(admin::livez))
        .route("/readyz", get(admin::readyz));
    let app = ways.iter().fold(app, |app, (path, way)| app.route(path, post_service(way.clone())));
    browsers::allow(Front::new(app.with_state(shared), ways), &config.proxy.origins)
}

/// The way of what has no path of its own in the table.
fn others(shared: &Shared) -> MethodRouter<Shared> {
    let way = way("/v1/*", shared, shared.keys.clone(), false);
    post_service(way).fallback(tidegate_serve::door::unknown_path)
}

/// The way of an operator's chat, for which no key is needed.
pub fn chat(shared: &Shared) -> MethodRouter<Shared> {
    post_service(way(CHAT_PATH, shared, None, true))
}

/// The way of a request that needs a slot; with `timed`, answers tell how long it waited for that.
fn way(route: &'static str, shared: &Shared, keys: Option<KeyStore>, timed: bool) -> WayService {
    let config = &shared.config;
    WayService(Arc::new(Way {
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
    }))
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
