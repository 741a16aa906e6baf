//! The router's path table and the whole way of a request, read from the outermost layer in.

use crate::catalogue::Catalogue;
use crate::config::Config;
use crate::error::{Error, ErrorKind};
use crate::fleet_watch::FleetWatch;
use crate::request::admission::AdmissionLayer;
use crate::request::answer::AnswerLayer;
use crate::request::dispatch::Dispatch;
use crate::request::intake::IntakeLayer;
use crate::request::permit::Desk;
use crate::request::stream_open::StreamOpenLayer;
use crate::upstream::Upstream;
use crate::{admin, health};
use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Json};
use axum::routing::{MethodRouter, get, post_service};
use http::Response;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};
use tidegate_telemetry::metrics::RouterMetrics;
use tidegate_wire::openai::{Model, ModelList};
use tokio_util::sync::CancellationToken;
use tower::ServiceBuilder;

/// What the paths of a running router share. Clones are cheap.
#[derive(Debug, Clone)]
pub struct Shared {
    /// The flags, checked.
    pub config: Arc<Config>,
    /// The ledger and the guards' duties.
    pub desk: Arc<Desk>,
    /// Which pool serves which model.
    pub catalogue: Catalogue,
    /// Connections to backends.
    pub upstream: Upstream,
    /// The last look at the whole fleet.
    pub fleet: FleetWatch,
    /// What this router counts.
    pub metrics: Arc<RouterMetrics>,
    /// Cancelled once this router drains.
    pub draining: CancellationToken,
    /// Unix seconds of the start: what `created` says of models.
    pub started: u64,
}

/// Unix seconds now.
pub fn unix_seconds() -> u64 {
    #[expect(clippy::disallowed_methods, reason = "the API shows wall-clock time; no logic hangs on it")]
    let now = SystemTime::now();
    now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// All paths for clients. The door around them (request id, span, header limit) is `tidegate_serve::door`.
pub fn client_paths(shared: Shared) -> axum::Router {
    let app = axum::Router::new()
        .route("/v1/chat/completions", way("/v1/chat/completions", &shared))
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

/// The way of a request that needs a slot.
fn way(route: &'static str, shared: &Shared) -> MethodRouter<Shared> {
    let config = &shared.config;
    let service = ServiceBuilder::new()
        // Whatever goes wrong below becomes an answer, and every answer is counted.
        .layer(AnswerLayer {
            route,
            overload_status: config.overload_status,
            metrics: shared.metrics.clone(),
        })
        // Bytes become a job. Before admission, so that a bad request never costs a slot.
        .layer(IntakeLayer {
            catalogue: shared.catalogue.clone(),
            draining: shared.draining.clone(),
            request_timeout: config.request_timeout,
            max_body_size: config.max_body_size,
            max_priority: config.max_client_priority,
        })
        // A stream that waits long is opened here, outside admission, because waiting is what it has to bridge.
        .layer(StreamOpenLayer { keep_alive: config.keep_alive })
        // A slot, a ticket or a refusal; the permit goes down with the job and ends inside the body.
        .layer(AdmissionLayer { desk: shared.desk.clone() })
        // One attempt on the backend of the slot.
        .service(Dispatch { upstream: shared.upstream.clone(), keep_alive: config.keep_alive });
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
