//! The budget of retries: so many of a pool's requests may be sent a second time, so that a fleet in trouble is not asked twice
//! for everything.

use foldhash::fast::RandomState;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tower::retry::budget::{Budget, TpsBudget};

/// Retries as a share of the requests of the last [`WINDOW`].
pub const SHARE: f32 = 0.2;
/// Retries per second that are allowed besides, so that a quiet router may retry too.
pub const FLOOR: u32 = 10;
/// How long a request counts.
pub const WINDOW: Duration = Duration::from_secs(10);

/// The budgets of all pools.
#[derive(Debug, Default)]
pub struct Retries {
    /// Pools come from backends and flags, not from clients.
    pools: Mutex<HashMap<String, Arc<TpsBudget>, RandomState>>,
}

impl Retries {
    /// A request is sent for the first time.
    pub fn sent(&self, pool: &str) {
        self.of(pool).deposit();
    }

    /// Whether one more retry is in the budget; then it is spent.
    pub fn allowed(&self, pool: &str) -> bool {
        self.of(pool).withdraw()
    }

    fn of(&self, pool: &str) -> Arc<TpsBudget> {
        let mut pools = self.pools.lock().unwrap_or_else(PoisonError::into_inner);
        match pools.get(pool) {
            Some(budget) => Arc::clone(budget),
            None => {
                let budget = Arc::new(TpsBudget::new(WINDOW, FLOOR, SHARE));
                pools.insert(pool.to_owned(), Arc::clone(&budget));
                budget
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn spend_all(retries: &Retries, pool: &str) -> u32 {
        (0..10_000).take_while(|_| retries.allowed(pool)).count() as u32
    }

    #[tokio::test(start_paused = true)]
    async fn a_quiet_pool_has_the_floor_and_pools_do_not_share() {
        let retries = Retries::default();
        let floor = FLOOR * WINDOW.as_secs() as u32;
        assert_eq!(spend_all(&retries, "a"), floor);
        assert_eq!(spend_all(&retries, "b"), floor);
        assert!(!retries.allowed("a"));
        tokio::time::advance(WINDOW * 2).await;
        assert!(retries.allowed("a"), "what was spent is forgotten after a while");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(50))]
        #[test]
        fn a_fifth_of_the_requests_may_be_retried_above_the_floor(requests in 0u32..5000) {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
            let allowed = runtime.block_on(async {
                let retries = Retries::default();
                (0..requests).for_each(|_| retries.sent("m"));
                spend_all(&retries, "m")
            });
            prop_assert_eq!(allowed, FLOOR * WINDOW.as_secs() as u32 + requests / 5);
        }
    }
}
