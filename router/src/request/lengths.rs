//! What this router has learnt of how long requests take: one history for each pool.
//!
//! A request brings the length of its kind to its decision, see [`tidegate_admission::history`]; what it takes itself is
//! learnt where its slot is given back.

use foldhash::fast::RandomState;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tidegate_admission::{Class, History, Time};
use tokio::time::Instant;

/// The histories of all pools, on this router's own clock.
#[derive(Debug)]
pub struct Lengths {
    opened: Instant,
    /// A few hundred bytes for each pool that ever served a request here; pools come from backends and flags, not from clients.
    pools: Mutex<HashMap<String, History, RandomState>>,
}

impl Default for Lengths {
    /// Nothing is known yet.
    fn default() -> Self {
        Self { opened: Instant::now(), pools: Mutex::default() }
    }
}

impl Lengths {
    /// Seconds that requests of a class take in a pool, where enough of them were seen lately.
    pub fn of(&self, pool: &str, class: Class) -> Option<f64> {
        self.pools().get(pool)?.length(self.now(), class)
    }

    /// A request was answered to its last byte; it had its slot since then.
    pub fn finished(&self, pool: &str, class: Class, since: Instant) {
        self.learn(pool, since, |history, now, took| history.finished(now, class, took));
    }

    /// A request that had its slot since then was stopped when its time was over.
    pub fn ran_out(&self, pool: &str, class: Class, since: Instant) {
        self.learn(pool, since, |history, now, took| history.ran_out(now, class, took));
    }

    fn learn(&self, pool: &str, since: Instant, learn: impl FnOnce(&mut History, Time, u64)) {
        let at = Instant::now();
        let (now, took) = (Time(micros(at - self.opened)), micros(at - since));
        let mut pools = self.pools();
        match pools.get_mut(pool) {
            Some(history) => learn(history, now, took),
            None => learn(pools.entry(pool.to_owned()).or_default(), now, took),
        }
    }

    fn now(&self) -> Time {
        Time(micros(self.opened.elapsed()))
    }

    fn pools(&self) -> MutexGuard<'_, HashMap<String, History, RandomState>> {
        self.pools.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidegate_admission::history::{ENOUGH, FORGET_AFTER};

    #[tokio::test(start_paused = true)]
    async fn pools_are_kept_apart_and_what_is_old_is_forgotten() {
        let (lengths, class) = (Lengths::default(), Class::of(Some(300)));
        let began = Instant::now();
        tokio::time::advance(Duration::from_secs(9)).await;
        for _ in 0..ENOUGH as u32 {
            lengths.finished("a", class, began + Duration::from_secs(6));
            lengths.ran_out("b", class, began);
        }
        let (a, b) = (lengths.of("a", class).unwrap(), lengths.of("b", class).unwrap());
        assert!(a < 4.0 && b > 6.0, "{a} and {b}");
        assert_eq!((lengths.of("c", class), lengths.of("a", Class::of(None))), (None, None));
        tokio::time::advance(Duration::from_micros(FORGET_AFTER + 1)).await;
        assert_eq!(lengths.of("a", class), None);
    }
}
