//! What a router counts with every request of a pool, looked up once for all of them: finding a counter by its labels costs more
//! than counting.

use std::sync::{PoisonError, RwLock};

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;

use super::bucket::Traced;

/// One pool's.
#[derive(Debug)]
pub(super) struct PoolCounters {
    pub(super) running: Gauge,
    pub(super) latency: Traced,
    pub(super) first_token: Traced,
    pub(super) queue_time: Histogram,
    /// By route and status.
    pub(super) answers: Counters<(&'static str, u16)>,
    /// By priority.
    pub(super) admissions: Counters<&'static str>,
}

impl PoolCounters {
    /// Those of the pool that is shown as `pool`.
    pub(super) fn new(
        pool: String,
        running: Gauge,
        [latency, first_token]: [Traced; 2],
        queue_time: Histogram,
    ) -> Self {
        let (answers, admissions) = (Counters::new(pool.clone()), Counters::new(pool));
        Self { running, latency, first_token, queue_time, answers, admissions }
    }
}

/// Counters that differ in one more label, of which a pool has a handful.
#[derive(Debug)]
pub(super) struct Counters<L> {
    pool: String,
    known: RwLock<Vec<(L, Counter)>>,
}

impl<L: PartialEq + Copy> Counters<L> {
    fn new(pool: String) -> Self {
        Self { pool, known: RwLock::default() }
    }

    /// Counts one more under `label`; `make` finds the counter where this is the first one.
    pub(super) fn count(&self, label: L, make: impl FnOnce(String) -> Counter) {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, counter)) = known.iter().find(|(other, _)| *other == label) {
            counter.inc();
            return;
        }
        drop(known);
        let counter = make(self.pool.clone());
        counter.inc();
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        // Two threads may both have found it missing: they have the same counter.
        if known.iter().all(|(other, _)| *other != label) {
            known.push((label, counter));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_counted_apart_and_looked_up_once() {
        let (counters, mut made) = (Counters::new("m".to_owned()), Vec::new());
        for label in [200, 200, 429, 200] {
            counters.count(label, |pool| {
                assert_eq!(pool, "m");
                let counter = Counter::default();
                made.push((label, counter.clone()));
                counter
            });
        }
        let counted: Vec<(i32, u64)> = made.iter().map(|(label, counter)| (*label, counter.get())).collect();
        assert_eq!(counted, [(200, 3), (429, 1)]);
    }
}
