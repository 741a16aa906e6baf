//! The key/value cache: per layer one pool of token slots, cut into blocks that sequences hold.
//!
//! A block is [`BLOCK_TOKENS`] neighbouring slots. Which sequence holds which block is the engine's affair
//! (`engine::blocks`); here a block is a number.

use candle_core::{DType, Device, Result, Tensor, bail};

use super::config::DecoderConfig;
use super::cpu;
use super::cuda::Pools;

/// Tokens in a block.
pub const BLOCK_TOKENS: usize = 16;

/// Keys and values of all layers.
#[derive(Debug)]
pub struct KvCache {
    /// Per layer, `[blocks * BLOCK_TOKENS, kv_width]`.
    keys: Vec<Tensor>,
    values: Vec<Tensor>,
    width: usize,
}

impl KvCache {
    pub(crate) fn new(config: &DecoderConfig, blocks: usize, dtype: DType, device: &Device) -> Result<Self> {
        let shape = (blocks * BLOCK_TOKENS, config.kv_width());
        let pools =
            || (0..config.layers).map(|_| Tensor::zeros(shape, dtype, device)).collect::<Result<Vec<_>>>();
        Ok(Self { keys: pools()?, values: pools()?, width: config.kv_width() })
    }

    /// The same for kernels of ours.
    pub(crate) fn pools(&self, layer: usize) -> Pools<'_> {
        Pools { keys: &self.keys[layer], values: &self.values[layer] }
    }

    /// A layer's keys and values.
    pub(crate) fn layer(&self, layer: usize) -> (&Tensor, &Tensor) {
        (&self.keys[layer], &self.values[layer])
    }

    /// Where a step's tokens go.
    pub(crate) fn targets(&self, slots: Vec<u32>) -> Result<Targets> {
        let pool = &self.keys[0];
        if cpu::takes(pool) {
            return Ok(Targets { slots, spread: None });
        }
        let tokens = slots.len();
        let spread =
            Tensor::from_slice(&slots, (tokens, 1), pool.device())?.broadcast_as((tokens, self.width))?;
        Ok(Targets { slots, spread: Some(spread.contiguous()?) })
    }

    /// Writes a step's keys and values, `[tokens, kv_width]` each, to their slots.
    pub(crate) fn write(
        &self,
        layer: usize,
        targets: &Targets,
        keys: &Tensor,
        values: &Tensor,
    ) -> Result<()> {
        let Some(spread) = &targets.spread else { bail!("the cache's kernel writes these slots") };
        self.keys[layer].scatter_set(spread, keys, 0)?;
        self.values[layer].scatter_set(spread, values, 0)
    }
}

/// The slots of a step's tokens.
#[derive(Debug)]
pub(crate) struct Targets {
    /// One for each token.
    pub(crate) slots: Vec<u32>,
    /// `[tokens, kv_width]`, as candle's operations take them; none where a kernel of ours writes.
    spread: Option<Tensor>,
}
