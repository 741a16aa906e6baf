//! The forward pass through a device's own kernels: between two matrix products one kernel, where candle's pieces would be several,
//! and keys and values written and read in the cache's blocks.

use candle_core::{Device, Result, Tensor};

use super::{Chunk, Decoder, Layer, wanted_rows};
use crate::model::attention::{Geometry, Span};
use crate::model::cache::KvCache;
use crate::model::cuda::{HeadNorms, Kernels, Plan};
use crate::model::rope::{Angles, Rope};

/// A device's kernels, and what they need of the model besides its weights.
#[derive(Debug)]
pub(crate) struct Fused {
    pub(crate) kernels: Kernels,
    frequencies: Tensor,
    window_frequencies: Option<Tensor>,
}

impl Fused {
    pub(crate) fn new(
        kernels: Kernels,
        rope: &Rope,
        window_rope: Option<&Rope>,
        device: &Device,
    ) -> Result<Self> {
        let window_frequencies = window_rope.map(|rope| rope.frequencies_on(device)).transpose()?;
        Ok(Self { kernels, frequencies: rope.frequencies_on(device)?, window_frequencies })
    }
}

/// How far logits may be apart, as a share of their length: 16-bit numbers that are rounded at other places differ by some hundredths
/// after many layers, and what is wrong by about 1.
const APART: f64 = 0.2;

/// The length of the difference over the length of the second.
fn apart(ours: &[f32], theirs: &[f32]) -> f64 {
    let square = |x: f64| x * x;
    let difference: f64 = ours.iter().zip(theirs).map(|(a, b)| square(f64::from(a - b))).sum();
    let length: f64 = theirs.iter().map(|b| square(f64::from(*b))).sum();
    // What is no number is infinitely far.
    if difference.is_finite() && length > 0.0 { (difference / length).sqrt() } else { f64::INFINITY }
}

/// The stream between two layers: what is still to be added to it, and the norm that this goes through before.
struct Stream<'a> {
    x: Tensor,
    added: Option<(Tensor, Option<&'a Tensor>)>,
}

impl Stream<'_> {
    fn added(&self) -> Option<(&Tensor, Option<&Tensor>)> {
        self.added.as_ref().map(|(added, norm)| (added, *norm))
    }
}

/// A step at work.
struct Step<'a> {
    decoder: &'a Decoder,
    kernels: &'a Kernels,
    cache: &'a KvCache,
    plan: Plan,
    angles: Angles,
    window_angles: Option<Angles>,
}

impl Decoder {
    /// From now on through the kernels for the decoder's device, where there are any and they compute what candle's pieces
    /// compute: no two GPUs and drivers are alike, and a wrong answer looks like any other.
    pub(crate) fn use_kernels(&mut self) -> Result<()> {
        if let Some(kernels) = Kernels::open(&self.device, self.dtype, self.geometry())? {
            self.fuse(kernels)?;
        }
        Ok(())
    }

    /// Uses these kernels, or says in the log why not.
    pub(in crate::model) fn fuse(&mut self, kernels: Kernels) -> Result<()> {
        let ours = Fused::new(kernels, &self.rope, self.window_rope.as_ref(), &self.device)?;
        let theirs = self.sample_of_steps();
        self.fused = Some(ours);
        let theirs = match theirs {
            Ok(theirs) => theirs,
            // What candle's pieces cannot do on this device is no reason to do without ours.
            Err(error) => {
                tracing::warn!(%error, "the GPU's kernels cannot be held against candle's");
                return Ok(());
            }
        };
        let apart = apart(&self.sample_of_steps()?, &theirs);
        if apart <= APART {
            tracing::info!(apart, "the GPU's kernels agree with candle's");
        } else {
            tracing::error!(
                apart,
                "the GPU's kernels do not agree with candle's, which are used in their place"
            );
            self.fused = None;
        }
        Ok(())
    }

    /// Logits of a chunk and a single token of two sequences, then of the next token of both.
    fn sample_of_steps(&self) -> Result<Vec<f32>> {
        let cache = self.new_cache(3)?;
        let token = |i: usize| (i * 7919 % self.config.vocab_size) as u32;
        let tokens: Vec<u32> = (0..20).map(token).collect();
        let mut logits = Vec::new();
        for (first, second) in [(0..18, 18..19), (18..19, 19..20)] {
            let sequence = |range: std::ops::Range<usize>, start, blocks| Chunk {
                tokens: &tokens[range],
                start,
                blocks,
                logits: true,
            };
            let at = second.start - 18;
            let chunks = [sequence(first.clone(), first.start, &[2, 0]), sequence(second, at, &[1])];
            let rows = self.forward(&cache, &chunks)?;
            logits.extend(rows.map_or(Ok(Vec::new()), |rows| rows.flatten_all()?.to_vec1::<f32>())?);
        }
        Ok(logits)
    }

    /// As [`Decoder::forward`], which has checked the chunks and looked the tokens up: `x [tokens, hidden]`.
    pub(super) fn forward_fused(
        &self,
        fused: &Fused,
        cache: &KvCache,
        chunks: &[Chunk<'_>],
        x: Tensor,
    ) -> Result<Option<Tensor>> {
        let spans: Vec<Span<'_>> = chunks.iter().map(Chunk::span).collect();
        let kernels = &fused.kernels;
        let plan = kernels.plan(&spans)?;
        let window = self.window_rope.as_ref().zip(fused.window_frequencies.as_ref());
        let window_angles =
            window.map(|(rope, frequencies)| kernels.angles(&plan, rope, frequencies)).transpose()?;
        let angles = kernels.angles(&plan, &self.rope, &fused.frequencies)?;
        let step = Step { decoder: self, kernels, cache, plan, angles, window_angles };
        let mut stream = Stream { x, added: None };
        for (index, layer) in self.layers.iter().enumerate() {
            stream = step.layer(layer, index, &stream)?;
        }
        let Some(rows) = wanted_rows(chunks) else { return Ok(None) };
        let rows = Tensor::new(rows, &self.device)?;
        let x = stream.x.index_select(&rows, 0)?;
        let chosen = |(added, norm): (Tensor, _)| added.index_select(&rows, 0).map(|added| (added, norm));
        let last = Stream { x, added: stream.added.map(chosen).transpose()? };
        let (_, normed) = step.add_norm(&last, &self.norm)?;
        self.cap(&kernels.linear(&self.output, &normed)?).map(Some)
    }
}

impl Step<'_> {
    fn layer<'a>(&self, layer: &'a Layer, index: usize, stream: &Stream<'_>) -> Result<Stream<'a>> {
        let (x, normed) = self.add_norm(stream, &layer.attention_norm)?;
        let attended = self.attend(layer, index, &normed)?;
        let added = Some((attended, layer.attention_output_norm.as_ref()));
        let (x, normed) = self.add_norm(&Stream { x, added }, &layer.feed_forward_norm)?;
        let gated = self
            .kernels
            .gate(&self.kernels.linear(&layer.gate_up, &normed)?, self.decoder.config.activation)?;
        let fed = self.kernels.linear(&layer.down, &gated)?;
        Ok(Stream { x, added: Some((fed, layer.feed_forward_output_norm.as_ref())) })
    }

    fn attend(&self, layer: &Layer, index: usize, x: &Tensor) -> Result<Tensor> {
        let config = &self.decoder.config;
        let window = config.windows[index];
        let angles = self.window_angles.as_ref().filter(|_| window.is_some()).unwrap_or(&self.angles);
        let norms = HeadNorms {
            queries: layer.query_norm.as_ref(),
            keys: layer.key_norm.as_ref(),
            eps: config.norms.eps as f32,
        };
        let pools = self.cache.pools(index);
        let qkv = self.kernels.linear(&layer.qkv, x)?;
        let queries = self.kernels.take_apart(&self.plan, &qkv, norms, angles, pools)?;
        let geometry = Geometry { window, ..self.decoder.geometry() };
        let attended = self.kernels.attend(&self.plan, geometry, &queries, pools)?;
        self.kernels.linear(&layer.attention_output, &attended)
    }

    fn add_norm(&self, stream: &Stream<'_>, weight: &Tensor) -> Result<(Tensor, Tensor)> {
        let eps = self.decoder.config.norms.eps as f32;
        self.kernels.add_norm(&stream.x, stream.added(), weight, eps)
    }
}
