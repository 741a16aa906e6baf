//! The clock of a ledger that is kept in this process.

#[cfg(test)]
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};
use std::time::Duration;

use tidegate_admission::Time;
use tokio::time::Instant;

/// Microseconds since the ledger was opened.
#[derive(Debug, Clone)]
pub(super) enum Clock {
    /// tokio's time, which stands still where it is paused.
    Running(Instant),
    /// A test's time, which stands still until the test moves it.
    #[cfg(test)]
    Manual(Arc<AtomicU64>),
}

impl Clock {
    /// A clock that starts now.
    pub(super) fn start() -> Clock {
        Clock::Running(Instant::now())
    }

    /// The present instant.
    pub(super) fn now(&self) -> Time {
        match self {
            Clock::Running(origin) => {
                let micros = Instant::now().saturating_duration_since(*origin).as_micros();
                Time(u64::try_from(micros).unwrap_or(u64::MAX))
            }
            #[cfg(test)]
            Clock::Manual(now) => Time(now.load(Ordering::SeqCst)),
        }
    }

    /// How long it takes until `time`.
    pub(super) fn until(&self, time: Time) -> Duration {
        Duration::from_micros(time.since(self.now()))
    }
}
