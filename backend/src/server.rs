//! The backend's HTTP service: every path of port 8100, and what every request passes before it gets there.

pub(crate) mod arrival;
mod guard;
mod listener;

pub(crate) use listener::serve;

use crate::{
    api::{chat, completions, embeddings, models},
    health,
    node::Backend,
};
use axum::{
    Router,
    middleware::from_fn,
    routing::{get, post},
};
use tidegate_wire::{
    health::HEALTH_PATH,
    node::NODE_PATH,
    openai::{CHAT_PATH, COMPLETIONS_PATH, EMBEDDINGS_PATH, MODELS_PATH},
};
use tower::ServiceBuilder;
use tower_http::catch_panic::CatchPanicLayer;

impl Backend {
    /// All paths of a backend, ready to be served or called in-process.
    pub fn service(&self) -> Router {
        let layers = ServiceBuilder::new()
            // Outermost, so that every answer, refusals of the layers below included, names its request.
            .layer(from_fn(arrival::stamp))
            // A fault in one request is that request's 500 and nobody else's.
            .layer(CatchPanicLayer::custom(guard::panicked))
            // Before routing: whatever the path, such headers are no honest client's.
            .layer(from_fn(guard::limit_headers));
        Router::new()
            .route(CHAT_PATH, post(chat::create))
            .route(COMPLETIONS_PATH, post(completions::create))
            .route(EMBEDDINGS_PATH, post(embeddings::create))
            .route(MODELS_PATH, get(models::list))
            .route(&format!("{MODELS_PATH}/{{*id}}"), get(models::retrieve))
            .route(HEALTH_PATH, get(health::health))
            .route("/livez", get(health::livez))
            .route("/readyz", get(health::readyz))
            .route(NODE_PATH, get(health::node))
            .fallback(guard::unknown_path)
            .method_not_allowed_fallback(guard::wrong_method)
            .with_state(self.clone())
            .layer(layers)
    }
}
