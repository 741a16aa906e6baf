//! Cheap rejection: under pressure a router refuses from its last view of a pool, so that ten times the load does not mean ten
//! times the work in Redis.
//!
//! A refusal by Redis puts the pool under pressure for a second. Then the first request that finds the view too old looks again,
//! and those that come meanwhile wait for that look: at most one look each [`MAX_AGE`], twenty a second.

use std::{
    collections::BTreeMap,
    future::Future,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tidegate_admission::{
    Asked, Limits, Numbers, Reason, Refusal, View,
    stale::{MAX_AGE, refuse_unasked},
};
use tokio::time::Instant;

/// How long a refusal keeps a pool under pressure.
const PRESSURE: Duration = Duration::from_secs(1);

/// What one router last saw of one pool.
#[derive(Debug, Default)]
pub(super) struct Glance {
    state: Mutex<State>,
    /// Held by the request that looks again.
    looking: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct State {
    /// The last view, and when it was asked for.
    seen: Option<(View, Instant)>,
    /// When it was last asked for in vain.
    tried: Option<Instant>,
    /// Until then requests are answered from the view where it says no.
    pressed_until: Option<Instant>,
    /// Refusals that Redis has not been told of.
    untold: BTreeMap<Reason, u32>,
}

impl Glance {
    /// Redis has refused a request that was asked for at `asked_at`, and has told how the account stands: as good as a look.
    pub(super) fn pressed(&self, view: View, asked_at: Instant) {
        let mut state = self.lock();
        state.pressed_until = Some(Instant::now() + PRESSURE);
        state.seen = Some((view, asked_at));
    }

    /// The refusal that the last view stands for, if it does; `look` asks for a new one, telling what was refused since.
    pub(super) async fn refuses<L>(
        &self,
        limits: &Limits,
        asked: &Asked,
        look: impl Fn(Vec<(Reason, u32)>) -> L,
    ) -> Option<(Refusal, Numbers)>
    where
        L: Future<Output = Option<View>>,
    {
        if self.lock().pressed_until.is_none_or(|until| until < Instant::now()) {
            return None;
        }
        let (view, age) = match self.fresh() {
            Some(seen) => seen,
            None => self.look_again(look).await?,
        };
        let refusal = refuse_unasked(&view, age, limits, asked)?;
        let mut state = self.lock();
        *state.untold.entry(refusal.0.reason).or_default() += 1;
        state.pressed_until = Some(Instant::now() + PRESSURE);
        Some(refusal)
    }

    /// The last view, with its age in microseconds, where it is young enough.
    fn fresh(&self) -> Option<(View, u64)> {
        let (view, at) = self.lock().seen?;
        let age = u64::try_from(at.elapsed().as_micros()).ok().filter(|age| *age <= MAX_AGE)?;
        Some((view, age))
    }

    /// Asks for a new view, once for all that want one now.
    async fn look_again<L>(&self, look: impl Fn(Vec<(Reason, u32)>) -> L) -> Option<(View, u64)>
    where
        L: Future<Output = Option<View>>,
    {
        let _looking = self.looking.lock().await;
        if let Some(seen) = self.fresh() {
            return Some(seen);
        }
        let asked_at = Instant::now();
        let untold = {
            let mut state = self.lock();
            // Where a look fails, the requests go to Redis themselves, and find out what is wrong.
            let failed_lately =
                state.tried.is_some_and(|tried| tried + Duration::from_micros(MAX_AGE) > asked_at);
            if failed_lately {
                return None;
            }
            state.tried = Some(asked_at);
            std::mem::take(&mut state.untold)
        };
        let view = look(untold.into_iter().collect()).await?;
        let mut state = self.lock();
        state.seen = Some((view, asked_at));
        state.tried = None;
        drop(state);
        self.fresh()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use tidegate_admission::{Priority, Time, estimate::Estimate};

    use super::*;

    fn full() -> View {
        View {
            at: Time(0),
            slots: 2,
            free: false,
            running: 2,
            abandoned: 0,
            queued: [0, 40, 0],
            estimate: Estimate { samples: 9.0, mean: 10.0, p90: 10.0, ..Estimate::default() },
            backend_seen: Time(0),
            backend_slots: 2,
        }
    }

    fn asked() -> Asked {
        Asked { priority: Priority::Normal, remaining: 60.0, length: None, draw: 0.5, jitter: 0.5 }
    }

    struct Counter {
        glance: Glance,
        looks: AtomicU32,
        told: AtomicU32,
    }

    impl Counter {
        fn new() -> Counter {
            Counter { glance: Glance::default(), looks: AtomicU32::new(0), told: AtomicU32::new(0) }
        }

        async fn refuses(&self) -> bool {
            let look = |told: Vec<(Reason, u32)>| {
                self.looks.fetch_add(1, Ordering::Relaxed);
                self.told.fetch_add(told.iter().map(|(_, many)| many).sum(), Ordering::Relaxed);
                async {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                    Some(full())
                }
            };
            self.glance.refuses(&Limits::default(), &asked(), look).await.is_some()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn without_pressure_redis_is_asked() {
        let counter = Counter::new();
        assert!(!counter.refuses().await);
        assert_eq!(counter.looks.load(Ordering::Relaxed), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn ten_seconds_of_pressure_cost_twenty_looks_a_second() {
        let counter = Counter::new();
        counter.glance.pressed(full(), Instant::now());
        assert!(counter.refuses().await);
        assert_eq!(counter.looks.load(Ordering::Relaxed), 0, "the refusal has told how the account stands");
        for _ in 0..5_000 {
            let (one, two) = tokio::join!(counter.refuses(), counter.refuses());
            assert!(one && two);
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        let looks = counter.looks.load(Ordering::Relaxed);
        assert!((150..=200).contains(&looks), "{looks}");
        let told = counter.told.load(Ordering::Relaxed);
        assert!((9_900..10_000).contains(&told), "all but the last are told of: {told}");
    }

    #[tokio::test(start_paused = true)]
    async fn pressure_ends() {
        let counter = Counter::new();
        counter.glance.pressed(full(), Instant::now());
        tokio::time::sleep(PRESSURE + Duration::from_millis(1)).await;
        assert!(!counter.refuses().await);
    }
}
