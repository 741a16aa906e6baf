//! What can be seen of the engine from outside.

use std::time::Duration;

/// A reading of the engine's counters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EngineStats {
    /// Sequences in the batch, prefilling ones included.
    pub running: usize,
    /// Sequences that wait in the engine for a place or for cache blocks.
    pub waiting: usize,
    /// Steps made since the start.
    pub steps: u64,
    /// While there is work: how long ago the last step ended (or the work arrived, where none has ended since).
    /// `None` while there is nothing to do. Grows without end when the device hangs.
    pub since_last_step: Option<Duration>,
    /// Prompt tokens computed since the start.
    pub prompt_tokens: u64,
    /// Tokens generated since the start.
    pub generated_tokens: u64,
    /// Sequences that ended by themselves.
    pub finished: u64,
    /// Sequences whose reader left before the end.
    pub cancelled: u64,
    /// Sequences that a failed step ended.
    pub failed: u64,
    /// Blocks of the cache that sequences hold.
    pub cache_blocks_used: usize,
    /// Blocks of the cache.
    pub cache_blocks_total: usize,
}
