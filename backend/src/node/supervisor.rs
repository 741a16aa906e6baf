//! What a backend does beside answering: reset the abandoned count, and notice an engine that has stopped stepping.

use super::Backend;
use std::{sync::atomic::Ordering, time::Duration};
use tokio::time::{Instant, MissedTickBehavior};

/// Longest time between two looks at the engine.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// The engine has made no step for too long while it had work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the engine has made no step for {} s while it had work (--engine-stall-timeout)", .silent.as_secs_f32())]
pub struct Stalled {
    /// Time since its last step.
    pub silent: Duration,
}

impl Backend {
    /// Watches the engine and resets the abandoned count, for as long as the backend lives. It ends only when the engine
    /// has stalled: the backend is unready from then on, and its process should exit non-zero to be restarted.
    pub async fn supervise(&self) -> Stalled {
        tokio::select! {
            stalled = self.watch_engine() => stalled,
            never = self.reset_periodically() => match never {},
        }
    }

    async fn watch_engine(&self) -> Stalled {
        let limit = self.settings().engine_stall_timeout;
        let stalled = until_silent(limit, || self.engine().stats().since_last_step).await;
        self.inner.stalled.store(true, Ordering::Relaxed);
        stalled
    }

    async fn reset_periodically(&self) -> std::convert::Infallible {
        let interval = self.settings().reset_interval;
        loop {
            let next = Instant::now() + interval;
            self.inner.next_reset.send_replace(Some(next));
            tokio::time::sleep_until(next).await;
            self.reset_abandoned();
        }
    }

    /// Sets the abandoned count to what provably still runs; says so where that differs from what was counted.
    fn reset_abandoned(&self) {
        let stats = self.engine().stats();
        let freed = self.slots().reset(stats.running == 0 && stats.waiting == 0);
        if freed > 0 {
            let left = self.slots().counts().abandoned;
            tracing::warn!(freed, left, "abandoned slots were held by work that has stopped; reset");
        }
    }
}

/// Looks again and again how long a busy engine has made no step, until that is `limit` or more.
async fn until_silent(limit: Duration, since_last_step: impl Fn() -> Option<Duration>) -> Stalled {
    let mut look = tokio::time::interval(LOOK_INTERVAL.min(limit / 2));
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        look.tick().await;
        if let Some(silent) = since_last_step().filter(|silent| *silent >= limit) {
            return Stalled { silent };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;
    use tokio::time::{Instant, timeout};

    #[tokio::test(start_paused = true)]
    async fn an_engine_that_is_idle_or_steps_is_never_stalled() {
        let looks = Cell::new(0);
        let read = || {
            looks.set(looks.get() + 1);
            (looks.get() % 2 == 0).then_some(Duration::from_millis(59_999))
        };
        let hour = timeout(Duration::from_secs(3600), until_silent(Duration::from_secs(60), read)).await;
        assert!(hour.is_err(), "{hour:?}");
        assert!(looks.get() > 3000);
    }

    #[tokio::test(start_paused = true)]
    async fn a_busy_engine_without_steps_is_noticed_within_a_second_of_the_limit() {
        let start = Instant::now();
        let stalled = until_silent(Duration::from_secs(60), || Some(start.elapsed())).await;
        assert!(start.elapsed() <= Duration::from_secs(61), "{:?}", start.elapsed());
        assert!(stalled.silent >= Duration::from_secs(60));
        assert!(stalled.to_string().contains("--engine-stall-timeout"), "{stalled}");
    }
}
