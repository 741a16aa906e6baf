//! What a decision is made from: the counts and estimates of one pool at one instant.

use crate::{estimate::Estimate, priority::Priority, time::Time};

/// A pool's counts and estimates.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct View {
    /// The ledger's clock when this was seen.
    pub at: Time,
    /// Slots over live backends that are not draining; 0 means that the pool is cold.
    pub slots: u32,
    /// Whether a live backend has a free slot.
    pub free: bool,
    /// Requests that run.
    pub running: u32,
    /// Slots whose request was given up and whose work is not confirmed to have stopped.
    pub abandoned: u32,
    /// Tickets by [`Priority::rank`].
    pub queued: [u32; 3],
    /// What has been measured.
    pub estimate: Estimate,
    /// When a backend last registered or renewed; when the pool was opened, if none ever did.
    pub backend_seen: Time,
    /// Slots of the backend that registered last: what one more backend would bring. 0 where none ever did.
    pub backend_slots: u32,
}

impl View {
    /// Whether requests wait although no backend is live: one was seen lately, or is expected.
    pub fn holds(&self, pool_memory: u64) -> bool {
        self.at.since(self.backend_seen) < pool_memory
    }

    /// Tickets of all priorities.
    pub fn queued_total(&self) -> u32 {
        self.queued.iter().sum()
    }

    /// Tickets that would be served before a new one of this priority.
    pub fn ahead(&self, priority: Priority) -> u32 {
        self.queued.iter().take(priority.rank() + 1).sum()
    }

    /// Tickets of higher priorities that were lately taken, decaying.
    pub fn taken_above(&self, priority: Priority) -> f64 {
        match priority {
            Priority::High => 0.0,
            Priority::Normal => self.estimate.taken_high,
            Priority::Low => self.estimate.taken_high + self.estimate.taken_normal,
        }
    }
}
