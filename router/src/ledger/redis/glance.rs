//! Cheap rejection: under pressure a router refuses from its last view of a pool, so that ten times the load does not mean ten
//! times the work in Redis.
//!
//! A refusal by Redis puts the pool under pressure for a second, and brings a view along. Once that is too old, the next
//! request asks for all: those that come meanwhile wait for its answer, and if that is a refusal too, it is theirs. So Redis
//! refuses about once each [`MAX_AGE`], twenty times a second, and nobody ever calls it only to look.

use std::{
    collections::BTreeMap,
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
    /// Held by the request that asks for all.
    asking: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct State {
    /// The last view, and when it was asked for.
    seen: Option<(View, Instant)>,
    /// Until then requests are answered from the view where it says no.
    pressed_until: Option<Instant>,
    /// Refusals that Redis has not been told of.
    untold: BTreeMap<Reason, u32>,
}

/// What a request does next.
#[derive(Debug)]
pub(super) enum Turn<'a> {
    /// Nothing: the last view says no.
    Refused(Refusal, Numbers),
    /// It asks Redis, and holds this until it has the answer if others wait for it.
    Ask { _for_all: Option<tokio::sync::MutexGuard<'a, ()>> },
}

impl Glance {
    /// Redis has refused a request that was asked for at `asked_at`, and has told how the account stands.
    pub(super) fn pressed(&self, view: View, asked_at: Instant) {
        let mut state = self.lock();
        state.pressed_until = Some(Instant::now() + PRESSURE);
        state.seen = Some((view, asked_at));
    }

    /// Whether a request is refused from the last view, or asks. It waits at most for the answer to one other request.
    pub(super) async fn turn(&self, limits: &Limits, asked: &Asked) -> Turn<'_> {
        if self.lock().pressed_until.is_none_or(|until| until < Instant::now()) {
            return Turn::Ask { _for_all: None };
        }
        let mut for_all = None;
        if self.fresh().is_none() {
            match self.asking.try_lock() {
                Ok(first) => for_all = Some(first),
                Err(_) => drop(self.asking.lock().await),
            }
        }
        match self.refuses(limits, asked) {
            Some((refusal, numbers)) => Turn::Refused(refusal, numbers),
            None => Turn::Ask { _for_all: for_all },
        }
    }

    /// What was refused from views since this was last asked: to be told to Redis, so that the fleet's counts are whole.
    pub(super) fn take_untold(&self) -> Vec<(Reason, u32)> {
        std::mem::take(&mut self.lock().untold).into_iter().collect()
    }

    /// The refusal that the last view stands for, if it does.
    fn refuses(&self, limits: &Limits, asked: &Asked) -> Option<(Refusal, Numbers)> {
        let (view, age) = self.fresh()?;
        let refused = refuse_unasked(&view, age, limits, asked)?;
        let mut state = self.lock();
        *state.untold.entry(refused.0.reason).or_default() += 1;
        state.pressed_until = Some(Instant::now() + PRESSURE);
        Some(refused)
    }

    /// The last view, with its age in microseconds, where it is young enough.
    fn fresh(&self) -> Option<(View, u64)> {
        let (view, at) = self.lock().seen?;
        let age = u64::try_from(at.elapsed().as_micros()).ok().filter(|age| *age <= MAX_AGE)?;
        Some((view, age))
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
        asks: AtomicU32,
    }

    impl Counter {
        fn new() -> Counter {
            Counter { glance: Glance::default(), asks: AtomicU32::new(0) }
        }

        /// A request that Redis would refuse after a millisecond; whether it was refused without asking.
        async fn refuses(&self) -> bool {
            let Turn::Ask { .. } = self.glance.turn(&Limits::default(), &asked()).await else { return true };
            self.asks.fetch_add(1, Ordering::Relaxed);
            false
        }

        /// The same, with the answer.
        async fn refused_at_last(&self) {
            let asked_at = Instant::now();
            let turn = self.glance.turn(&Limits::default(), &asked()).await;
            if matches!(turn, Turn::Ask { .. }) {
                self.asks.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(Duration::from_millis(1)).await;
                self.glance.pressed(full(), asked_at);
            }
        }

        fn asks(&self) -> u32 {
            self.asks.load(Ordering::Relaxed)
        }
    }

    #[tokio::test(start_paused = true)]
    async fn without_pressure_redis_is_asked() {
        let counter = Counter::new();
        assert!(!counter.refuses().await);
        assert!(!counter.refuses().await);
    }

    #[tokio::test(start_paused = true)]
    async fn ten_seconds_of_pressure_cost_twenty_calls_a_second() {
        let counter = Counter::new();
        counter.glance.pressed(full(), Instant::now());
        let mut told = 0;
        for _ in 0..5_000 {
            tokio::join!(counter.refused_at_last(), counter.refused_at_last());
            told += counter.glance.take_untold().iter().map(|(_, many)| many).sum::<u32>();
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        let asks = counter.asks();
        assert!((150..=200).contains(&asks), "{asks}");
        assert_eq!(told, 10_000 - asks, "whoever did not ask is told of");
    }

    #[tokio::test(start_paused = true)]
    async fn those_who_wait_for_a_request_that_is_let_in_ask_all_at_once() {
        let counter = Counter::new();
        counter.glance.pressed(full(), Instant::now());
        tokio::time::sleep(Duration::from_micros(MAX_AGE) + Duration::from_millis(1)).await;
        let first = counter.glance.turn(&Limits::default(), &asked()).await;
        let others = async { tokio::join!(counter.refuses(), counter.refuses()) };
        let answer = async {
            tokio::time::sleep(Duration::from_millis(1)).await;
            assert_eq!(counter.asks(), 0, "they wait");
            drop(first);
        };
        let (others, ()) = tokio::join!(others, answer);
        assert_eq!((others, counter.asks()), ((false, false), 2));
    }

    #[tokio::test(start_paused = true)]
    async fn pressure_ends() {
        let counter = Counter::new();
        counter.glance.pressed(full(), Instant::now());
        tokio::time::sleep(PRESSURE + Duration::from_millis(1)).await;
        assert!(!counter.refuses().await);
    }
}
