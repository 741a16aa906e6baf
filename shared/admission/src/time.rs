//! Instants of the ledger: whole microseconds on the ledger's own clock.

/// Microseconds in one second.
pub const SECOND: u64 = 1_000_000;

/// An instant in microseconds. Its zero is the ledger's affair: the Unix epoch with Redis, the start in memory.
///
/// Every instant below 2^53 is exact as an `f64`, which is what Lua counts in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Time(pub u64);

impl Time {
    /// The instant `micros` microseconds later.
    pub fn plus(self, micros: u64) -> Time {
        Time(self.0.saturating_add(micros))
    }

    /// Microseconds from `earlier` to this instant; 0 where `earlier` is later.
    pub fn since(self, earlier: Time) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// Number of the whole second that this instant lies in.
    pub fn second(self) -> u64 {
        self.0 / SECOND
    }
}

/// Microseconds as seconds.
pub fn seconds(micros: u64) -> f64 {
    micros as f64 / SECOND as f64
}
