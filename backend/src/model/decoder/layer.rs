//! One block of the decoder: attention and the feed-forward part, each with its norms, added to the stream.

use candle_core::{D, Result, Tensor};
use candle_nn::ops::{rms_norm, silu};
use candle_nn::rotary_emb::rope_thd;

use super::Step;
use crate::model::cache::KvCache;
use crate::model::config::{Activation, DecoderConfig};
use crate::model::linear::Linear;
use crate::model::rope::Angles;

/// The weights of one block. Norms that not every model has are options.
#[derive(Debug)]
pub(crate) struct Layer {
    pub(crate) attention_norm: Tensor,
    /// Queries, keys and values in one product.
    pub(crate) qkv: Linear,
    /// Over each head's queries, before they are turned.
    pub(crate) query_norm: Option<Tensor>,
    pub(crate) key_norm: Option<Tensor>,
    pub(crate) attention_output: Linear,
    /// Over what attention adds.
    pub(crate) attention_output_norm: Option<Tensor>,
    pub(crate) feed_forward_norm: Tensor,
    /// Gate and up in one product.
    pub(crate) gate_up: Linear,
    pub(crate) down: Linear,
    /// Over what the feed-forward part adds.
    pub(crate) feed_forward_output_norm: Option<Tensor>,
}

/// A block at work: which it is, and what it shares with the others.
pub(super) struct Pass<'a> {
    pub(super) config: &'a DecoderConfig,
    pub(super) step: &'a Step<'a>,
    pub(super) cache: &'a KvCache,
    /// The layer's number.
    pub(super) index: usize,
}

impl Pass<'_> {
    /// The stream `x [tokens, hidden]` after the block.
    pub(super) fn forward(&self, layer: &Layer, x: &Tensor) -> Result<Tensor> {
        let attended = self.attend(layer, &self.norm(x, &layer.attention_norm)?)?;
        let x = (x + self.optional_norm(&attended, layer.attention_output_norm.as_ref())?)?;
        let fed = self.feed_forward(layer, &self.norm(&x, &layer.feed_forward_norm)?)?;
        &x + self.optional_norm(&fed, layer.feed_forward_output_norm.as_ref())?
    }

    fn attend(&self, layer: &Layer, x: &Tensor) -> Result<Tensor> {
        let (query_width, kv_width) = (self.config.query_width(), self.config.kv_width());
        let window = self.config.windows[self.index];
        let angles = self.step.angles(window);
        let qkv = layer.qkv.forward(x)?;
        let queries = self.heads(&qkv.narrow(1, 0, query_width)?, layer.query_norm.as_ref(), angles)?;
        let keys = self.heads(&qkv.narrow(1, query_width, kv_width)?, layer.key_norm.as_ref(), angles)?;
        let values = qkv.narrow(1, query_width + kv_width, kv_width)?.contiguous()?;
        self.cache.write(self.index, &self.step.targets, &keys, &values)?;
        let (keys, values) = self.cache.layer(self.index);
        layer.attention_output.forward(&self.step.attention.forward(window, &queries, keys, values)?)
    }

    /// `[tokens, heads * head_dim]`, each head normed where the model does, and turned by its token's position.
    fn heads(&self, x: &Tensor, norm: Option<&Tensor>, angles: &Angles) -> Result<Tensor> {
        let ((tokens, width), head_dim) = (x.dims2()?, self.config.head_dim);
        let heads = x.contiguous()?.reshape((1, tokens, width / head_dim, head_dim))?;
        let heads = self.optional_norm(&heads, norm)?;
        let turned = 2 * angles.cosines.dim(D::Minus1)?;
        if turned == head_dim {
            return rope_thd(&heads, &angles.cosines, &angles.sines)?.reshape((tokens, width));
        }
        let first = heads.narrow(3, 0, turned)?.contiguous()?;
        let first = rope_thd(&first, &angles.cosines, &angles.sines)?;
        let rest = heads.narrow(3, turned, head_dim - turned)?;
        Tensor::cat(&[&first, &rest], 3)?.reshape((tokens, width))
    }

    fn feed_forward(&self, layer: &Layer, x: &Tensor) -> Result<Tensor> {
        let width = self.config.intermediate_size;
        let both = layer.gate_up.forward(x)?;
        let gate = both.narrow(1, 0, width)?.contiguous()?;
        let gate = match self.config.activation {
            Activation::Silu => silu(&gate)?,
            Activation::GeluTanh => gate.gelu()?,
        };
        layer.down.forward(&(gate * both.narrow(1, width, width)?.contiguous()?)?)
    }

    fn norm(&self, x: &Tensor, weight: &Tensor) -> Result<Tensor> {
        rms_norm(x, weight, self.config.norms.eps as f32)
    }

    fn optional_norm(&self, x: &Tensor, weight: Option<&Tensor>) -> Result<Tensor> {
        weight.map_or(Ok(x.clone()), |weight| self.norm(x, weight))
    }
}
