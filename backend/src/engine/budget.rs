//! How many blocks the cache gets.

use candle_core::Device;

use super::{EngineError, EngineOptions};
use crate::model::Decoder;
use crate::model::cache::BLOCK_TOKENS;

/// Taken where the free memory cannot be asked for.
const UNKNOWN_MEMORY: u64 = 8 << 30;

/// What of a GPU's memory that the weights have left goes to the cache; the rest is for the numbers of a step.
const DEVICE_SHARE: f64 = 0.9;

/// Blocks for as many bytes as the options say, or as the device can spare.
pub(super) fn cache_blocks(decoder: &Decoder, options: &EngineOptions) -> Result<usize, EngineError> {
    let bytes = match options.kv_cache_bytes {
        Some(bytes) => expect_free(decoder.device(), bytes)?,
        None => spare_bytes(decoder, options.max_sequences),
    };
    let blocks = usize::try_from(bytes / decoder.block_bytes() as u64).unwrap_or(usize::MAX);
    // A slot's number must fit 32 bits.
    match blocks.min(u32::MAX as usize / BLOCK_TOKENS) {
        0 => Err(EngineError::Options(format!(
            "a key/value cache of {bytes} bytes has no room for one block of {} bytes (--kv-cache-memory)",
            decoder.block_bytes()
        ))),
        blocks => Ok(blocks),
    }
}

/// On a GPU nearly all that is left. A CPU's memory is for others too: full contexts for all sequences, and never more
/// than half of what is free.
fn spare_bytes(decoder: &Decoder, max_sequences: usize) -> u64 {
    if let Some(left) = left_on_gpu(decoder.device()) {
        return (left as f64 * DEVICE_SHARE) as u64;
    }
    let context =
        decoder.config().context_length.div_ceil(BLOCK_TOKENS).saturating_mul(decoder.block_bytes());
    let wanted = max_sequences.saturating_mul(context) as u64;
    wanted.min(free_memory().unwrap_or(UNKNOWN_MEMORY) / 2).max(decoder.block_bytes() as u64)
}

/// A system that has no such memory would kill the process only once it is used.
fn expect_free(device: &Device, bytes: u64) -> Result<u64, EngineError> {
    match free_memory().filter(|_| device.is_cpu()) {
        Some(free) if bytes > free => Err(EngineError::Options(format!(
            "a key/value cache of {bytes} bytes was asked for (--kv-cache-memory), but only {free} bytes are free"
        ))),
        _ => Ok(bytes),
    }
}

/// Bytes of the GPU that nothing uses yet; none where there is no such GPU.
fn left_on_gpu(device: &Device) -> Option<usize> {
    #[cfg(feature = "cuda")]
    if let Device::Cuda(device) = device {
        return device.cuda_stream().context().mem_get_info().ok().map(|(free, _total)| free);
    }
    let _ = device;
    None
}

/// Bytes that Linux would give without swapping.
fn free_memory() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok().map(|kibibytes| kibibytes << 10)
}
