//! One layer of an encoder: attention within each text, then the feed-forward part, each normed behind its sum.
//!
//! Source: Devlin et al., BERT: Pre-training of Deep Bidirectional Transformers, 2018.

use candle_core::{D, Result, Tensor};
use candle_nn::ops::{layer_norm, softmax_last_dim};

use super::config::{Activation, EncoderConfig};
use crate::model::linear::Linear;

/// Scores that are held at once: a text of 8192 tokens has a thousand million in twelve heads.
const MAX_SCORES: usize = 1 << 24;

/// Mean and variance of a row to 0 and 1, times a weight, plus a bias.
#[derive(Debug)]
pub(super) struct LayerNorm {
    pub(super) weight: Tensor,
    pub(super) bias: Tensor,
    pub(super) eps: f32,
}

impl LayerNorm {
    pub(super) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        layer_norm(x, &self.weight, &self.bias, self.eps)
    }
}

/// A layer's weights.
#[derive(Debug)]
pub(super) struct Layer {
    pub(super) qkv: Linear,
    pub(super) attention_output: Linear,
    pub(super) attention_norm: LayerNorm,
    pub(super) up: Linear,
    pub(super) down: Linear,
    pub(super) output_norm: LayerNorm,
}

impl Layer {
    /// `x [tokens, hidden]`, of texts of these lengths.
    pub(super) fn forward(&self, x: &Tensor, lengths: &[usize], config: &EncoderConfig) -> Result<Tensor> {
        let qkv = self.qkv.forward(x)?;
        let mut start = 0;
        let texts = lengths.iter().map(|length| {
            let rows = qkv.narrow(0, start, *length)?;
            start += length;
            attention(&rows, config.heads)
        });
        let attended = Tensor::cat(&texts.collect::<Result<Vec<_>>>()?, 0)?;
        let x = self.attention_norm.forward(&self.attention_output.forward(&attended)?.add(x)?)?;
        let inner = activate(&self.up.forward(&x)?, config.activation)?;
        self.output_norm.forward(&self.down.forward(&inner)?.add(&x)?)
    }
}

fn activate(x: &Tensor, activation: Activation) -> Result<Tensor> {
    match activation {
        Activation::Gelu => x.gelu_erf(),
        Activation::GeluTanh => x.gelu(),
        Activation::Relu => x.relu(),
    }
}

/// Every token of one text with every other: `qkv [tokens, 3 * hidden]` to `[tokens, hidden]`.
fn attention(qkv: &Tensor, heads: usize) -> Result<Tensor> {
    let (tokens, width) = qkv.dims2()?;
    let head_dim = width / 3 / heads;
    let parts = qkv.reshape((tokens, 3, heads, head_dim))?.permute((1, 2, 0, 3))?;
    let part = |index| parts.get(index)?.contiguous();
    let (query, key, value) = ((part(0)? / (head_dim as f64).sqrt())?, part(1)?, part(2)?);
    let key = key.transpose(1, 2)?;
    let rows = (MAX_SCORES / (heads * tokens)).max(1);
    let pieces = (0..tokens).step_by(rows).map(|start| {
        let scores = query.narrow(1, start, rows.min(tokens - start))?.matmul(&key)?;
        softmax_last_dim(&scores)?.matmul(&value)
    });
    // [heads, tokens, head_dim]
    let mixed = Tensor::cat(&pieces.collect::<Result<Vec<_>>>()?, 1)?;
    mixed.transpose(0, 1)?.contiguous()?.flatten(1, D::Minus1)
}
