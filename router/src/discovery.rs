//! Which backends there are: those that the router was told of (flags, a file, a name in DNS), which are asked each second, and
//! those that registered in Redis.

pub mod dns;
pub mod file;
pub mod heard;
mod listed;
mod listing;
mod registered;
mod target;
mod verdicts;

pub use listing::{Listing, Sources};
pub use registered::RegistrationWatch;
pub use target::{Target, base_url};
pub use verdicts::VerdictExchange;

use crate::catalogue::Catalogue;
use crate::confirm::Confirmer;
use crate::drained::Drained;
use crate::ledger::{Backend, Ledger};
use crate::roster::{Membership, Roster};
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
    /// How backends stand with this router.
    pub roster: Roster,
    /// Backends that an operator takes out.
    pub drained: Drained,
    /// Backends by id.
    known: Arc<Mutex<BTreeMap<String, Entered>>>,
}

/// A backend as it was last entered, with its pool.
#[derive(Debug, Clone)]
struct Entered {
    pool: String,
    backend: Backend,
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
            roster: shared.desk.roster.clone(),
            drained: shared.drained.clone(),
            known: Arc::default(),
        }
    }

    /// Enters a backend that registered itself, or renews it. The first of its `models` names its pool.
    pub async fn put(&self, models: &[String], backend: Backend) {
        let target = Target::new(backend.url.clone(), backend.slots, self.confirmer.upstream.http2());
        self.put_target(models, backend, &target).await;
    }

    /// The same for a backend that the router was told of.
    async fn put_target(&self, models: &[String], mut backend: Backend, target: &Target) {
        let Some(pool) = models.first() else { return };
        backend.draining |= self.drained.holds(&backend.id);
        if let Err(conflict) = self.catalogue.put(&backend.id, models) {
            tracing::error!(%conflict, "a backend was refused");
            return;
        }
        let (slots, draining) = (backend.slots, backend.draining);
        let (pool_name, epoch) = (pool.clone(), backend.epoch.clone());
        let (weight, key, http2) = (target.weight, target.key.clone(), target.http2);
        let membership = Membership { pool: pool_name, epoch, slots, weight, draining, key, http2 };
        self.roster.enter(&backend.id, membership);
        if !self.tell_ledger(pool, &backend).await {
            return;
        }
        let entered = Entered { pool: pool.clone(), backend: backend.clone() };
        if self.known().insert(backend.id.clone(), entered).is_none() {
            let Backend { id, url, .. } = &backend;
            tracing::info!(backend = %id, %url, model = %pool, slots, draining, "backend joined");
        }
    }

    /// Enters a backend in the ledger as it stands with this router; false where that did not succeed.
    async fn tell_ledger(&self, pool: &str, backend: &Backend) -> bool {
        let told = self.ledger.put_backend(pool, self.roster.as_it_stands(backend.clone())).await;
        if let Err(error) = &told {
            tracing::warn!(%error, backend = %backend.id, "a backend could not be entered in the ledger");
        }
        told.is_ok()
    }

    /// Tells the ledger of each backend that was ejected or is back, as soon as that is so, until the task is dropped. What
    /// only time brings about, the end of a pause, is told at the backend's next look.
    pub async fn tell_changes(self) {
        loop {
            for id in self.roster.changes().await {
                let entered = self.known().get(&id).cloned();
                if let Some(Entered { pool, backend }) = entered {
                    self.tell_ledger(&pool, &backend).await;
                }
            }
        }
    }

    /// Takes a backend out of every table.
    pub async fn remove(&self, id: &str) {
        let pool = self.catalogue.pool_of_backend(id);
        self.catalogue.remove(id);
        self.heard.forget(id);
        // Before the ledger is told, so that no change is told for a backend that has left.
        let known = self.known().remove(id).is_some();
        self.roster.remove(id);
        if let Some(pool) = pool
            && let Err(error) = self.ledger.remove_backend(&pool, id).await
        {
            tracing::warn!(%error, backend = %id, "a backend could not be taken out of the ledger; its lease will");
        }
        if known {
            tracing::warn!(backend = %id, "backend left");
        }
    }

    /// Counts a backend that stopped answering or renewing, unless it said before that it drains.
    fn lost(&self, id: &str) {
        let entered = self.known().get(id).cloned();
        if let Some(Entered { pool, backend }) = entered
            && !backend.draining
        {
            self.metrics.backend_lost(&pool);
        }
    }

    fn known(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Entered>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
