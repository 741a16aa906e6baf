//! The forward pass of the Llama architecture over a packed step: the tokens of all sequences, decodes and
//! chunks of prompts alike, are rows of one matrix; only attention knows which sequence a row belongs to.

use candle_core::{DType, Device, Result, Tensor, bail};
use candle_nn::ops::{rms_norm, silu};
use candle_nn::rotary_emb::rope_thd;

use super::attention::{Geometry, Span, StepAttention};
use super::cache::{BLOCK_TOKENS, KvCache};
use super::config::DecoderConfig;
use super::linear::Linear;
use super::rope::Rope;

/// A model's weights and how to step them.
#[derive(Debug)]
pub struct Decoder {
    pub(super) config: DecoderConfig,
    pub(super) dtype: DType,
    pub(super) device: Device,
    /// `[vocab, hidden]`.
    pub(super) embedding: Tensor,
    pub(super) layers: Vec<Layer>,
    pub(super) norm: Tensor,
    pub(super) output: Linear,
    pub(super) rope: Rope,
}

/// One block of the decoder.
#[derive(Debug)]
pub(super) struct Layer {
    pub(super) attention_norm: Tensor,
    /// Queries, keys and values in one product.
    pub(super) qkv: Linear,
    pub(super) attention_output: Linear,
    pub(super) feed_forward_norm: Tensor,
    /// Gate and up in one product.
    pub(super) gate_up: Linear,
    pub(super) down: Linear,
}

/// Consecutive tokens of one sequence to compute in a step.
#[derive(Clone, Copy, Debug)]
pub struct Chunk<'a> {
    /// The tokens; at least one.
    pub tokens: &'a [u32],
    /// Position of the first of them: how many tokens of the sequence are in the cache.
    pub start: usize,
    /// The sequence's blocks, enough for `start + tokens.len()` positions.
    pub blocks: &'a [u32],
    /// Whether the last token's logits are wanted.
    pub logits: bool,
}

/// What all layers of a step share.
struct Step<'a> {
    attention: StepAttention<'a>,
    cosines: Tensor,
    sines: Tensor,
    targets: Tensor,
}

impl Decoder {
    /// The model's shape.
    #[must_use]
    pub fn config(&self) -> &DecoderConfig {
        &self.config
    }

    /// Where the weights are.
    #[must_use]
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Bytes of cache that one block takes over all layers.
    #[must_use]
    pub fn block_bytes(&self) -> usize {
        2 * self.config.layers * BLOCK_TOKENS * self.config.kv_width() * self.dtype.size_in_bytes()
    }

    /// A cache of this many blocks on the model's device.
    ///
    /// # Errors
    /// When the device has no room.
    pub fn new_cache(&self, blocks: usize) -> Result<KvCache> {
        KvCache::new(&self.config, blocks, self.dtype, &self.device)
    }

    /// Computes all chunks in one pass and writes their keys and values to the cache. Gives logits in f32,
    /// `[chunks that want them, vocab]`, in the order of the chunks; `None` where no chunk wants any.
    ///
    /// # Errors
    /// When the device fails; the cache rows of these chunks are then undefined.
    pub fn forward(&self, cache: &KvCache, chunks: &[Chunk<'_>]) -> Result<Option<Tensor>> {
        let spans: Vec<_> = chunks.iter().map(Chunk::span).collect();
        let step = self.step(cache, &spans)?;
        let tokens: Vec<u32> = chunks.iter().flat_map(|chunk| chunk.tokens).copied().collect();
        let tokens = Tensor::new(tokens, &self.device)?;
        let mut x = self.embedding.index_select(&tokens, 0)?;
        for (index, layer) in self.layers.iter().enumerate() {
            x = (&x + self.attend(index, layer, cache, &step, &x)?)?;
            x = (&x + self.feed_forward(layer, &x)?)?;
        }
        let Some(rows) = wanted_rows(chunks) else { return Ok(None) };
        let x = x.index_select(&Tensor::new(rows, &self.device)?, 0)?;
        let logits = self.output.forward(&self.normed(&x, &self.norm)?)?;
        logits.to_dtype(DType::F32).map(Some)
    }

    fn step<'a>(&self, cache: &KvCache, spans: &'a [Span<'a>]) -> Result<Step<'a>> {
        if spans.is_empty() || spans.iter().any(|span| span.tokens == 0) {
            bail!("a step of nothing");
        }
        let positions: Vec<u32> = spans.iter().flat_map(|s| s.start as u32..s.end() as u32).collect();
        let slots = spans.iter().flat_map(|span| span.slots(span.start, span.end())).collect();
        let (cosines, sines) = self.rope.angles(&positions, self.dtype, &self.device)?;
        let targets = cache.targets(slots, &self.device)?;
        Ok(Step { attention: StepAttention::new(self.geometry(), spans), cosines, sines, targets })
    }

    fn geometry(&self) -> Geometry {
        let &DecoderConfig { heads, kv_heads, head_dim, .. } = &self.config;
        Geometry { heads, kv_heads, head_dim, scale: 1.0 / (head_dim as f32).sqrt() }
    }

    fn attend(
        &self,
        index: usize,
        layer: &Layer,
        cache: &KvCache,
        step: &Step<'_>,
        x: &Tensor,
    ) -> Result<Tensor> {
        let (query_width, kv_width) = (self.config.query_width(), self.config.kv_width());
        let qkv = layer.qkv.forward(&self.normed(x, &layer.attention_norm)?)?;
        let queries = self.rotate(&qkv.narrow(1, 0, query_width)?, step)?;
        let keys = self.rotate(&qkv.narrow(1, query_width, kv_width)?, step)?;
        let values = qkv.narrow(1, query_width + kv_width, kv_width)?.contiguous()?;
        cache.write(index, &step.targets, &keys, &values)?;
        let (keys, values) = cache.layer(index);
        layer.attention_output.forward(&step.attention.forward(&queries, keys, values)?)
    }

    /// Turns `[tokens, heads * head_dim]` by each token's position.
    fn rotate(&self, x: &Tensor, step: &Step<'_>) -> Result<Tensor> {
        let (tokens, width) = x.dims2()?;
        let heads =
            x.contiguous()?.reshape((1, tokens, width / self.config.head_dim, self.config.head_dim))?;
        rope_thd(&heads, &step.cosines, &step.sines)?.reshape((tokens, width))
    }

    fn feed_forward(&self, layer: &Layer, x: &Tensor) -> Result<Tensor> {
        let width = self.config.intermediate_size;
        let both = layer.gate_up.forward(&self.normed(x, &layer.feed_forward_norm)?)?;
        let gate = silu(&both.narrow(1, 0, width)?.contiguous()?)?;
        layer.down.forward(&(gate * both.narrow(1, width, width)?.contiguous()?)?)
    }

    fn normed(&self, x: &Tensor, weight: &Tensor) -> Result<Tensor> {
        rms_norm(x, weight, self.config.norm_eps as f32)
    }
}

impl<'a> Chunk<'a> {
    fn span(&self) -> Span<'a> {
        Span { blocks: self.blocks, start: self.start, tokens: self.tokens.len() }
    }
}

/// The rows of the packed step whose logits are wanted.
fn wanted_rows(chunks: &[Chunk<'_>]) -> Option<Vec<u32>> {
    let mut end = 0;
    let mut rows = Vec::new();
    for chunk in chunks {
        end += chunk.tokens.len() as u32;
        if chunk.logits {
            rows.push(end - 1);
        }
    }
    (!rows.is_empty()).then_some(rows)
}
