//! The last look at the whole fleet, so that `/health`, `/fleet` and `/metrics` answer at once whatever the ledger does.

use crate::ledger::{Fleet, Ledger, LedgerMode};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

/// How long a fresh look may take before the last one is shown: `/health` answers within 100 ms.
const PATIENCE: Duration = Duration::from_millis(80);

/// Looks at the fleet. Clones share the last look.
#[derive(Debug, Clone)]
pub struct FleetWatch {
    ledger: Ledger,
    last: Arc<RwLock<Option<Arc<Fleet>>>>,
}

impl FleetWatch {
    /// No look yet.
    pub fn new(ledger: Ledger) -> Self {
        Self { ledger, last: Arc::default() }
    }

    /// The fleet now, or as it was last seen where the ledger does not answer in time.
    pub async fn look(&self) -> Arc<Fleet> {
        match tokio::time::timeout(PATIENCE, self.ledger.fleet()).await {
            Ok(Ok(fleet)) => {
                let fleet = Arc::new(fleet);
                *self.last.write().unwrap_or_else(PoisonError::into_inner) = Some(fleet.clone());
                fleet
            }
            _ => self.last_seen(),
        }
    }

    fn last_seen(&self) -> Arc<Fleet> {
        let last = self.last.read().unwrap_or_else(PoisonError::into_inner).clone();
        let (pools, routers) =
            last.map_or_else(Default::default, |fleet| (fleet.pools.clone(), fleet.routers.clone()));
        Arc::new(Fleet { pools, routers, ledger: LedgerMode::Degraded })
    }
}
