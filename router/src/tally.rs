//! What this router has done in the running second, by pool: the raw material of the live page's history.
//!
//! Counters of `/metrics` only grow and their histograms are coarse; here each second stands for itself, with exact
//! percentiles of as many requests as are kept.

use foldhash::fast::RandomState;
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

/// Durations of one kind that a second keeps: the newest ones. 2,048 a second are more than percentiles need.
const MOST_KEPT: usize = 2048;

/// The running second of every pool. The pools are those that served a request: as many as there are models.
#[derive(Debug, Default)]
pub struct Tally {
    pools: RwLock<HashMap<String, Arc<PoolTally>, RandomState>>,
}

/// The running second of one pool.
#[derive(Debug, Default)]
pub struct PoolTally {
    second: Mutex<Second>,
    /// Beside the lock, because it is counted with every piece of every stream.
    tokens: AtomicU64,
}

/// One second of one pool.
#[derive(Debug, Default)]
pub struct Second {
    /// Requests that got a slot.
    pub accepted: u64,
    /// Requests refused, by error code.
    pub rejected: BTreeMap<&'static str, u64>,
    /// Requests that were let in and ended with an error before their answer began, by error code.
    pub failed: BTreeMap<&'static str, u64>,
    /// From arrival to the slot.
    pub waited: Durations,
    /// From arrival to the first byte of the answer.
    pub first_token: Durations,
    /// Pieces of streams, and tokens that whole answers say they have.
    pub tokens: u64,
}

/// The newest of many durations.
#[derive(Debug, Default)]
pub struct Durations {
    kept: Vec<Duration>,
    seen: usize,
}

/// Percentiles of durations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spread {
    /// Median.
    pub p50: Duration,
    /// 90th percentile.
    pub p90: Duration,
    /// The longest of those kept.
    pub max: Duration,
}

impl Durations {
    fn add(&mut self, duration: Duration) {
        match self.kept.get_mut(self.seen % MOST_KEPT) {
            Some(oldest) => *oldest = duration,
            None => self.kept.push(duration),
        }
        self.seen += 1;
    }

    /// Percentiles by nearest rank; `None` of nothing.
    pub fn spread(mut self) -> Option<Spread> {
        self.kept.sort_unstable();
        let rank =
            |percent: usize| self.kept.get((self.kept.len() * percent).div_ceil(100).max(1) - 1).copied();
        Some(Spread { p50: rank(50)?, p90: rank(90)?, max: rank(100)? })
    }
}

impl PoolTally {
    /// The first piece of an answer went out `took` after its request had arrived.
    pub fn first_token(&self, took: Duration) {
        self.with(|second| second.first_token.add(took));
    }

    /// So many tokens went out.
    pub fn tokens(&self, count: u64) {
        self.tokens.fetch_add(count, Ordering::Relaxed);
    }

    fn with(&self, note: impl FnOnce(&mut Second)) {
        note(&mut self.second.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn take(&self) -> Second {
        let mut second = std::mem::take(&mut *self.second.lock().unwrap_or_else(PoisonError::into_inner));
        second.tokens = self.tokens.swap(0, Ordering::Relaxed);
        second
    }
}

impl Tally {
    /// A request got a slot `waited` after it had arrived.
    pub fn accepted(&self, pool: &str, waited: Duration) {
        self.pool(pool).with(|second| {
            second.accepted += 1;
            second.waited.add(waited);
        });
    }

    /// A request was refused.
    pub fn rejected(&self, pool: &str, code: &'static str) {
        self.pool(pool).with(|second| *second.rejected.entry(code).or_default() += 1);
    }

    /// A request ended with an error before its answer began.
    pub fn failed(&self, pool: &str, code: &'static str) {
        self.pool(pool).with(|second| *second.failed.entry(code).or_default() += 1);
    }

    /// The running second of a pool.
    pub fn pool(&self, pool: &str) -> Arc<PoolTally> {
        if let Some(tally) = self.pools.read().unwrap_or_else(PoisonError::into_inner).get(pool) {
            return tally.clone();
        }
        let mut pools = self.pools.write().unwrap_or_else(PoisonError::into_inner);
        pools.entry(pool.to_owned()).or_default().clone()
    }

    /// Ends the running second of all pools and begins the next.
    pub fn take(&self) -> BTreeMap<String, Second> {
        let pools = self.pools.read().unwrap_or_else(PoisonError::into_inner);
        pools.iter().map(|(name, tally)| (name.clone(), tally.take())).collect()
    }
}

/// Events in a piece of a stream, of which each brings about one token, as far as its bytes tell without being read as JSON.
pub fn events_in(piece: &[u8]) -> u64 {
    let lines = std::iter::once(0).chain(memchr::memchr_iter(b'\n', piece).map(|end| end + 1));
    lines.filter(|line| piece[*line..].starts_with(b"data: {")).count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn millis(values: &[u64]) -> Durations {
        let mut durations = Durations::default();
        values.iter().for_each(|value| durations.add(Duration::from_millis(*value)));
        durations
    }

    proptest! {
        /// The percentiles are those of the newest durations, sorted, and the number kept is bounded.
        #[test]
        fn percentiles_are_of_the_newest(values in prop::collection::vec(0u64..100_000, 1..5000)) {
            let durations = millis(&values);
            prop_assert!(durations.kept.len() <= MOST_KEPT);
            let mut newest = values[values.len().saturating_sub(MOST_KEPT)..].to_vec();
            newest.sort_unstable();
            let at_least = |share: f64| newest[((newest.len() as f64 * share).ceil() as usize).max(1) - 1];
            let spread = durations.spread().unwrap();
            prop_assert_eq!(spread.p50.as_millis() as u64, at_least(0.5));
            prop_assert_eq!(spread.p90.as_millis() as u64, at_least(0.9));
            prop_assert_eq!(spread.max.as_millis() as u64, *newest.last().unwrap());
        }
    }

    #[test]
    fn nothing_has_no_percentiles() {
        assert_eq!(Durations::default().spread(), None);
    }

    #[test]
    fn a_second_is_taken_once() {
        let tally = Tally::default();
        tally.accepted("m", Duration::from_millis(7));
        tally.rejected("m", "capacity");
        tally.rejected("m", "capacity");
        tally.pool("m").tokens(5);
        let second = tally.take().remove("m").unwrap();
        assert_eq!((second.accepted, second.rejected["capacity"], second.tokens), (1, 2, 5));
        let next = tally.take().remove("m").unwrap();
        assert_eq!((next.accepted, next.rejected.len(), next.tokens), (0, 0, 0));
    }

    #[test]
    fn events_are_told_from_the_bytes() {
        let stream =
            b"data: {\"choices\":[]}\n\n: keep-alive\n\ndata: {\"a\":\"data: {\"}\n\ndata: [DONE]\n\n";
        assert_eq!(events_in(stream), 2);
        assert_eq!((events_in(b""), events_in(b"\xff\xff")), (0, 0));
    }
}
