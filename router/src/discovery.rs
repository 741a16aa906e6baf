//! Which backends there are: the listed ones, which are asked each second, and those that registered in Redis.

pub mod heard;
mod listed;
mod registered;

pub use listed::{look_listed, watch_listed};
pub use registered::RegistrationWatch;

use crate::catalogue::Catalogue;
use crate::confirm::Confirmer;
use crate::ledger::{Backend, Ledger};
use heard::Heard;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

/// What all watchers tell: the ledger for slots, the catalogue for names. Clones share both.
#[derive(Debug, Clone)]
pub struct Discovery {
    /// The account of slots.
    pub ledger: Ledger,
    /// The table of names.
    pub catalogue: Catalogue,
    /// Asks backends for their reports.
    pub confirmer: Confirmer,
    /// When each backend was last heard.
    pub heard: Heard,
    known: Arc<Mutex<BTreeSet<String>>>,
}

impl Discovery {
    /// No backend known yet.
    pub fn new(ledger: Ledger, catalogue: Catalogue, confirmer: Confirmer, heard: Heard) -> Self {
        Self { ledger, catalogue, confirmer, heard, known: Arc::default() }
    }

    /// Enters a backend, or renews it. The first of its `models` names its pool.
    pub async fn put(&self, models: &[String], backend: Backend) {
        let Some(pool) = models.first() else { return };
        let (id, url, slots, draining) =
            (backend.id.clone(), backend.url.clone(), backend.slots, backend.draining);
        if let Err(conflict) = self.catalogue.put(&id, models) {
            tracing::error!(%conflict, "a backend was refused");
            return;
        }
        if let Err(error) = self.ledger.put_backend(pool, backend).await {
            tracing::warn!(%error, backend = %id, "a backend could not be entered in the ledger");
            return;
        }
        if self.known().insert(id.clone()) {
            tracing::info!(backend = %id, %url, model = %pool, slots, draining, "backend joined");
        }
    }

    /// Takes a backend out of every table.
    pub async fn remove(&self, id: &str) {
        let pool = self.catalogue.pool_of_backend(id);
        self.catalogue.remove(id);
        self.heard.forget(id);
        if let Some(pool) = pool
            && let Err(error) = self.ledger.remove_backend(&pool, id).await
        {
            tracing::warn!(%error, backend = %id, "a backend could not be taken out of the ledger; its lease will");
        }
        if self.known().remove(id) {
            tracing::warn!(backend = %id, "backend left");
        }
    }

    fn known(&self) -> std::sync::MutexGuard<'_, BTreeSet<String>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
