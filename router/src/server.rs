//! The router's path table and the whole way of a request, read from the outermost layer in.

use crate::error::{Error, ErrorKind};
use crate::request::admission::AdmissionLayer;
use crate::request::answer::AnswerLayer;
use crate::request::dispatch::Dispatch;
use crate::request::intake::IntakeLayer;
use crate::request::stream_open::StreamOpenLayer;
use crate::shared::Shared;
use crate::{admin, health};
use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Json};
use axum::routing::{MethodRouter, get, post_service};
use http::Response;
use tidegate_wire::openai::{Model, ModelList};
use tower::ServiceBuilder;

/// All paths for clients. The door around them (request id, span, header limit) is `tidegate_serve::door`.
pub fn client_paths(shared: Shared) -> axum::Router {
    let app = axum::Router::new()
        .route("/v1/chat/completions", chat(&shared))
        .route("/v1/completions", way("/v1/completions", &shared))
        .route("/v1/embeddings", way("/v1/embeddings", &shared))
        .route("/v1/models", get(list_models))
        .route("/v1/models/{*id}", get(retrieve_model))
        .route("/health", get(health::handle))
        .route("/livez", get(admin::livez))
        .route("/readyz", get(admin::readyz))
        .with_state(shared);
    tidegate_serve::door::guard(app)
}

/// The way of a chat.
pub fn chat(shared: &Shared) -> MethodRouter<Shared> {
    way("/v1/chat/completions", shared)
}

/// The way of a request that needs a slot.
fn way(route: &'static str, shared: &Shared) -> MethodRouter<Shared> {
    let config = &shared.config;
    let service = ServiceBuilder::new()
        // Whatever goes wrong below becomes an answer, and every answer is counted.
        .layer(AnswerLayer {
            route,
            overload_status: config.overload_status,
            metrics: shared.metrics.clone(),
            tally: shared.desk.tally.clone(),
        })
        // Bytes become a job. Before admission, so that a bad request never costs a slot.
        .layer(IntakeLayer {
            catalogue: shared.catalogue.clone(),
            request_timeout: config.request_timeout,
            max_body_size: config.max_body_size,
            max_priority: config.max_client_priority,
        })
        // A stream that waits long is opened here, outside admission, because waiting is what it has to bridge.
        .layer(StreamOpenLayer { keep_alive: config.keep_alive })
        // A slot, a ticket or a refusal; the permit goes down with the job and ends inside the body.
        .layer(AdmissionLayer { desk: shared.desk.clone() })
        // One attempt on the backend of the slot.
        .service(Dispatch {
            upstream: shared.upstream.clone(),
            keep_alive: config.keep_alive,
            log_content: config.log_content,
        });
    post_service(service)
}

async fn list_models(State(shared): State<Shared>) -> Json<ModelList> {
    let names = shared.catalogue.models().into_iter();
    Json(ModelList::new(names.map(|name| Model::new(name, shared.started)).collect()))
}

async fn retrieve_model(State(shared): State<Shared>, Path(id): Path<String>) -> Response<Body> {
    if shared.catalogue.models().contains(&id) {
        return Json(Model::new(id, shared.started)).into_response();
    }
    let message = format!("the model '{id}' does not exist here; GET /v1/models lists those that do");
    Error::new(ErrorKind::ModelNotFound, message)
        .with_param("model")
        .into_response(shared.config.overload_status)
}
