//! One block of the decoder: attention and the feed-forward part, each with its norms, added to the stream.

use candle_core::{Result, Tensor};

use super::Step;
use super::pieces::{add, gated, rms_norm};
use crate::model::cache::KvCache;
use crate::model::config::DecoderConfig;
use crate::model::linear::Linear;

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
        let x = add(x, self.optional_norm(attended, layer.attention_output_norm.as_ref())?)?;
        let fed = self.feed_forward(layer, &self.norm(&x, &layer.feed_forward_norm)?)?;
        add(&x, self.optional_norm(fed, layer.feed_forward_output_norm.as_ref())?)
    }

    fn attend(&self, layer: &Layer, x: &Tensor) -> Result<Tensor> {
        let window = self.config.windows[self.index];
        let queries = self.place(layer, &layer.qkv.forward(x)?, self.step.angles(window))?;
        let (keys, values) = self.cache.layer(self.index);
        layer.attention_output.forward(&self.step.attention.forward(window, &queries, keys, values)?)
    }

    fn feed_forward(&self, layer: &Layer, x: &Tensor) -> Result<Tensor> {
        layer.down.forward(&gated(&layer.gate_up.forward(x)?, self.config.activation)?)
    }

    fn norm(&self, x: &Tensor, weight: &Tensor) -> Result<Tensor> {
        rms_norm(x, weight, self.config.norms.eps)
    }

    fn optional_norm(&self, x: Tensor, weight: Option<&Tensor>) -> Result<Tensor> {
        match weight {
            Some(weight) => self.norm(&x, weight),
            None => Ok(x),
        }
    }
}
