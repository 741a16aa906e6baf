//! The ledger's clock in this process.

use tidegate_admission::Time;
use tokio::time::Instant;

/// Microseconds since the ledger was opened; stands still where tokio's time is paused.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    origin: Instant,
}

impl Clock {
    /// A clock that starts now.
    pub(super) fn start() -> Clock {
        Clock { origin: Instant::now() }
    }

    /// The present instant.
    pub(super) fn now(&self) -> Time {
        let micros = Instant::now().saturating_duration_since(self.origin).as_micros();
        Time(u64::try_from(micros).unwrap_or(u64::MAX))
    }

    /// The instant at which tokio's time reaches `time`.
    pub(super) fn instant(&self, time: Time) -> Instant {
        self.origin + std::time::Duration::from_micros(time.0)
    }
}
