//! The last look at the whole fleet, so that `/health`, `/fleet` and `/metrics` answer at once whatever the ledger does.

use crate::ledger::{Fleet, Ledger, LedgerMode};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

/// How long a fresh look may take before the last one is shown: `/health` answers within 100 ms.
const PATIENCE: Duration = Duration::from_millis(80);

/// Between two comparisons of the routers' flags.
const COMPARE_EVERY: Duration = Duration::from_secs(10);

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

    /// Says whenever the routers begin or cease to decide by different flags. Does not end.
    pub async fn compare_flags(self) {
        let mut ticks = tokio::time::interval(COMPARE_EVERY);
        let mut differ = false;
        loop {
            ticks.tick().await;
            let fleet = self.look().await;
            let sets = fleet.flag_sets();
            if (sets.len() > 1) != differ {
                differ = sets.len() > 1;
                if differ {
                    tracing::warn!(
                        ?sets,
                        "the routers of this fleet decide by different flags, each by its own"
                    );
                } else {
                    tracing::info!("all routers of this fleet decide by the same flags");
                }
            }
        }
    }

    fn last_seen(&self) -> Arc<Fleet> {
        let last = self.last.read().unwrap_or_else(PoisonError::into_inner).clone();
        let (pools, routers) =
            last.map_or_else(Default::default, |fleet| (fleet.pools.clone(), fleet.routers.clone()));
        Arc::new(Fleet { pools, routers, ledger: LedgerMode::Degraded })
    }
}
