//! How many blocks the cache gets.

use super::{EngineError, EngineOptions};
use crate::model::Decoder;
use crate::model::cache::BLOCK_TOKENS;

/// Taken where the free memory cannot be asked for.
const UNKNOWN_MEMORY: u64 = 8 << 30;

/// Blocks for `max_sequences` full contexts, as far as the memory goes.
pub(super) fn cache_blocks(decoder: &Decoder, options: &EngineOptions) -> Result<usize, EngineError> {
    let wanted = options.max_sequences.saturating_mul(decoder.config().context_length.div_ceil(BLOCK_TOKENS));
    let bytes = options.kv_cache_bytes.unwrap_or_else(|| free_memory() / 2);
    let affordable = usize::try_from(bytes / decoder.block_bytes() as u64).unwrap_or(usize::MAX);
    match wanted.min(affordable).min(u32::MAX as usize / BLOCK_TOKENS) {
        0 => Err(EngineError::Options(format!(
            "a cache of {bytes} bytes has no room for one block of {} bytes",
            decoder.block_bytes()
        ))),
        blocks => Ok(blocks),
    }
}

/// Bytes that Linux would give without swapping.
fn free_memory() -> u64 {
    let available = std::fs::read_to_string("/proc/meminfo").ok().and_then(|text| {
        let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
        line.split_whitespace().next()?.parse::<u64>().ok()
    });
    available.map_or(UNKNOWN_MEMORY, |kibibytes| kibibytes << 10)
}
