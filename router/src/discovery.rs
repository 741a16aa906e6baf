//! Which backends there are: the listed ones, which are asked each second, and those that registered in Redis.

pub mod heard;
mod listed;
mod registered;

pub use listed::{look_listed, watch_listed};
pub use registered::RegistrationWatch;

use crate::catalogue::Catalogue;
use crate::confirm::Confirmer;
use crate::drained::Drained;
use crate::ledger::{Backend, Ledger};
use crate::shared::Shared;
use heard::Heard;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use tidegate_telemetry::metrics::RouterMetrics;

/// What all watchers tell: the ledger for slots, the catalogue for names. Clones share both.
#[derive(Debug, Clone)]
pub struct Discovery {
    /// The account of slots.
    pub ledger: Ledger,
    /// The table of names.
    pub catalogue: Catalogue,
    /// Asks backends for their reports.
    pub confirmer: Confirmer,
    /// Counts backends that are lost.
    pub metrics: Arc<RouterMetrics>,
    /// When each backend was last heard.
    pub heard: Heard,
    /// Backends that an operator takes out.
    pub drained: Drained,
    /// Backends by id, and whether each said last that it drains.
    known: Arc<Mutex<BTreeMap<String, bool>>>,
}

impl Discovery {
    /// No backend known yet.
    pub fn new(shared: &Shared) -> Self {
        Self {
            ledger: shared.desk.ledger.clone(),
            catalogue: shared.catalogue.clone(),
            confirmer: shared.desk.confirmer.clone(),
            metrics: shared.metrics.clone(),
            heard: shared.heard.clone(),
            drained: shared.drained.clone(),
            known: Arc::default(),
        }
    }

    /// Enters a backend, or renews it. The first of its `models` names its pool.
    pub async fn put(&self, models: &[String], mut backend: Backend) {
        let Some(pool) = models.first() else { return };
        backend.draining |= self.drained.holds(&backend.id);
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
        if self.known().insert(id.clone(), draining).is_none() {
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
        if self.known().remove(id).is_some() {
            tracing::warn!(backend = %id, "backend left");
        }
    }

    /// Counts a backend that stopped answering or renewing, unless it said before that it drains.
    fn lost(&self, id: &str) {
        let drained = self.known().get(id).copied();
        if let (Some(false), Some(pool)) = (drained, self.catalogue.pool_of_backend(id)) {
            self.metrics.backend_lost(&pool);
        }
    }

    fn known(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, bool>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
