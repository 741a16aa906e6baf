//! What this router has learnt of how long requests take: one history for each pool.
//!
//! A request brings the length of its kind to its decision, see [`tidegate_admission::history`]; what it takes itself is
//! learnt where its slot is given back.

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
    pools: Mutex<HashMap<String, History>>,
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

    /// A request was answered to its last byte; it held its slot for so long.
    pub fn finished(&self, pool: &str, class: Class, took: Duration) {
        self.learn(pool, |history, now| history.finished(now, class, micros(took)));
    }

    /// A request was stopped when its time was over, after so long on its slot.
    pub fn ran_out(&self, pool: &str, class: Class, took: Duration) {
        self.learn(pool, |history, now| history.ran_out(now, class, micros(took)));
    }

    fn learn(&self, pool: &str, learn: impl FnOnce(&mut History, Time)) {
        let now = self.now();
        let mut pools = self.pools();
        match pools.get_mut(pool) {
            Some(history) => learn(history, now),
            None => learn(pools.entry(pool.to_owned()).or_default(), now),
        }
    }

    fn now(&self) -> Time {
        Time(micros(self.opened.elapsed()))
    }

    fn pools(&self) -> MutexGuard<'_, HashMap<String, History>> {
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
        for _ in 0..ENOUGH as u32 {
            lengths.finished("a", class, Duration::from_secs(3));
            lengths.ran_out("b", class, Duration::from_secs(9));
        }
        let (a, b) = (lengths.of("a", class).unwrap(), lengths.of("b", class).unwrap());
        assert!(a < 4.0 && b > 6.0, "{a} and {b}");
        assert_eq!((lengths.of("c", class), lengths.of("a", Class::of(None))), (None, None));
        tokio::time::advance(Duration::from_micros(FORGET_AFTER + 1)).await;
        assert_eq!(lengths.of("a", class), None);
    }
}
