//! The forward pass of the Llama family over a packed step: the tokens of all sequences, decodes and chunks of
//! prompts alike, are rows of one matrix; only attention knows which sequence a row belongs to.

mod fused;
mod heads;
mod layer;
mod pieces;

use candle_core::{DType, Device, Result, Tensor, bail};

use super::attention::{Geometry, Span, StepAttention};
use super::cache::{BLOCK_TOKENS, KvCache, Targets};
use super::config::DecoderConfig;
use super::cuda::{Chosen, Draw};
use super::linear::{Linear, Weight};
use super::rope::{Angles, Rope};
pub(crate) use fused::Fused;
pub(crate) use layer::Layer;
use layer::Pass;
use pieces::rms_norm;

/// A model's weights and how to step them.
#[derive(Debug)]
pub struct Decoder {
    pub(super) config: DecoderConfig,
    pub(super) dtype: DType,
    pub(super) device: Device,
    /// `[vocab, hidden]`.
    pub(super) embedding: Weight,
    pub(super) layers: Vec<Layer>,
    pub(super) norm: Tensor,
    pub(super) output: Linear,
    pub(super) rope: Rope,
    /// For layers with a window, where they turn otherwise than the rest.
    pub(super) window_rope: Option<Rope>,
    /// Kernels of ours for the device, where there are any; else candle's pieces.
    pub(super) fused: Option<Fused>,
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
    angles: Angles,
    window_angles: Option<Angles>,
    targets: Targets,
}

impl Step<'_> {
    /// How far a layer of this window turns its heads.
    fn angles(&self, window: Option<usize>) -> &Angles {
        self.window_angles.as_ref().filter(|_| window.is_some()).unwrap_or(&self.angles)
    }
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
        if chunks.is_empty() || chunks.iter().any(|chunk| chunk.tokens.is_empty()) {
            bail!("a step of nothing");
        }
        let tokens: Vec<u32> = chunks.iter().flat_map(|chunk| chunk.tokens).copied().collect();
        let tokens = Tensor::new(tokens, &self.device)?;
        let mut x = self.embed(&tokens)?;
        if let Some(fused) = &self.fused {
            return self.forward_fused(fused, cache, chunks, x);
        }
        let spans: Vec<_> = chunks.iter().map(Chunk::span).collect();
        let step = self.step(cache, &spans)?;
        for (index, layer) in self.layers.iter().enumerate() {
            x = Pass { config: &self.config, step: &step, cache, index }.forward(layer, &x)?;
        }
        let Some(rows) = wanted_rows(chunks) else { return Ok(None) };
        self.logits(&x.index_select(&Tensor::new(rows, &self.device)?, 0)?).map(Some)
    }

    /// Chooses one token for each row of logits on the device.
    ///
    /// # Errors
    /// Where [`Decoder::has_kernels`] is false, and when the device fails.
    pub(crate) fn choose(&self, logits: &Tensor, draws: &[Draw]) -> Result<Vec<Chosen>> {
        match &self.fused {
            Some(fused) => fused.kernels.choose(logits, draws),
            None => bail!("there are no kernels for this device"),
        }
    }

    /// Whether Tidegate's own kernels run on the device, which then chooses tokens, too.
    #[must_use]
    pub fn has_kernels(&self) -> bool {
        self.fused.is_some()
    }

    fn embed(&self, tokens: &Tensor) -> Result<Tensor> {
        let x = self.embedding.rows(tokens, self.dtype)?;
        match self.config.scales.embedding {
            1.0 => Ok(x),
            scale => x * scale,
        }
    }

    fn logits(&self, x: &Tensor) -> Result<Tensor> {
        let x = rms_norm(x, &self.norm, self.config.norms.eps)?;
        self.cap(&self.output.forward(&x)?)
    }

    /// The output's rows in f32, capped where the model does.
    fn cap(&self, logits: &Tensor) -> Result<Tensor> {
        let logits = logits.to_dtype(DType::F32)?;
        match self.config.scales.logit_cap {
            Some(cap) => (logits / cap)?.tanh()? * cap,
            None => Ok(logits),
        }
    }

    fn step<'a>(&self, cache: &KvCache, spans: &'a [Span<'a>]) -> Result<Step<'a>> {
        let positions: Vec<u32> = spans.iter().flat_map(|s| s.start as u32..s.end() as u32).collect();
        let slots = spans.iter().flat_map(|span| span.slots(span.start, span.end())).collect();
        let angles = |rope: &Rope| rope.angles(&positions, self.dtype, &self.device);
        Ok(Step {
            attention: StepAttention::new(self.geometry(), spans),
            angles: angles(&self.rope)?,
            window_angles: self.window_rope.as_ref().map(angles).transpose()?,
            targets: cache.targets(slots)?,
        })
    }

    pub(super) fn geometry(&self) -> Geometry {
        let &DecoderConfig { heads, kv_heads, head_dim, .. } = &self.config;
        let softcap = self.config.scales.attention_cap.map(|cap| cap as f32);
        let scale = self.config.scales.attention as f32;
        Geometry { heads, kv_heads, head_dim, scale, softcap, window: None }
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
