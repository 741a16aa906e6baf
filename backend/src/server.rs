//! The backend's HTTP service: every path of port 8100, behind the door that all of Tidegate's requests pass.

pub(crate) mod loading;

use crate::{
    api::{chat, completions, embeddings, models, tally},
    health, metrics,
    node::Backend,
};
use axum::{
    Router,
    middleware::from_fn_with_state,
    routing::{get, post},
};
use tidegate_serve::door;
use tidegate_wire::{
    health::HEALTH_PATH,
    node::NODE_PATH,
    openai::{CHAT_PATH, COMPLETIONS_PATH, EMBEDDINGS_PATH, MODELS_PATH},
};

impl Backend {
    /// All paths of a backend, ready to be served or called in-process.
    pub fn service(&self) -> Router {
        let calls = Router::new()
            .route(CHAT_PATH, post(chat::create))
            .route(COMPLETIONS_PATH, post(completions::create))
            .route(EMBEDDINGS_PATH, post(embeddings::create))
            // Counts refusals: whole answers and streams count themselves when their last byte is made.
            .layer(from_fn_with_state(self.clone(), tally::refusals));
        let paths = Router::new()
            .route(MODELS_PATH, get(models::list))
            .route(&format!("{MODELS_PATH}/{{*id}}"), get(models::retrieve))
            .route(HEALTH_PATH, get(health::health))
            .route("/livez", get(health::livez))
            .route("/readyz", get(health::readyz))
            .route("/metrics", get(metrics::metrics))
            .route(NODE_PATH, get(health::node))
            .merge(calls)
            .with_state(self.clone());
        door::guard(paths)
    }
}
