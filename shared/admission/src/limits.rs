//! The thresholds of admission, as a router's flags set them. Ranges are checked where the flags are read.

use std::fmt;

use crate::{
    priority::Priority,
    time::{SECOND, seconds},
};

/// Thresholds that one router decides by. They hold per pool, for the fleet as a whole.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits {
    /// Tickets that may wait at most, over all routers (`--max-queue-size`).
    pub max_queue_size: u32,
    /// Part of the queue that normal priority may fill, 0 to 1 (`--queue-rejection-threshold`).
    pub queue_rejection_threshold: f64,
    /// Part of the capacity at which rejection may begin, 0 to 1 (`--vllm-rejection-threshold`).
    pub rejection_start: f64,
    /// Part of its time that a request may spend waiting, 0 to 1; 1 lifts the bound (`--wait-share`).
    pub wait_share: f64,
    /// Microseconds for which a pool without a live backend keeps its requests waiting (`--pool-memory`); [`FOREVER`] for a
    /// pool that the router was told of (`--pool`).
    pub pool_memory: u64,
}

/// Longer than anything here lasts (35 years), and exact as a double.
pub const FOREVER: u64 = 1 << 50;

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            max_queue_size: 50,
            queue_rejection_threshold: 0.8,
            rejection_start: 0.7,
            wait_share: 0.15,
            pool_memory: 60 * SECOND,
        }
    }
}

impl Limits {
    /// Part of the queue that a priority may fill: high all of it, normal the threshold, low half of that.
    pub fn share(&self, priority: Priority) -> f64 {
        match priority {
            Priority::High => 1.0,
            Priority::Normal => self.queue_rejection_threshold,
            Priority::Low => self.queue_rejection_threshold * 0.5,
        }
    }

    /// Tickets (of all priorities) at which one more of this priority is refused.
    pub fn queue_limit(&self, priority: Priority) -> f64 {
        (f64::from(self.max_queue_size) * self.share(priority)).floor()
    }
}

impl fmt::Display for Limits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "max_queue_size={} queue_rejection_threshold={} vllm_rejection_threshold={} wait_share={} pool_memory={}",
            self.max_queue_size,
            self.queue_rejection_threshold,
            self.rejection_start,
            self.wait_share,
            seconds(self.pool_memory)
        )
    }
}
