//! The forward pass of the BERT family over packed texts: the tokens of all texts are rows of one matrix, without any
//! padding; only attention knows which text a row belongs to.
//!
//! Because no text is padded and each row's arithmetic is its own, a text gives on the CPU bit for bit what it gives alone.

mod assemble;
mod config;
mod layer;

use candle_core::{DType, Device, Result, Tensor, bail};

use super::linear::Weight;
pub(crate) use assemble::encoder;
pub(crate) use config::{EncoderConfig, Matryoshka, is_encoder, names};
use layer::{Layer, LayerNorm};

/// An encoder's weights.
#[derive(Debug)]
pub(crate) struct Encoder {
    config: EncoderConfig,
    dtype: DType,
    device: Device,
    /// `[vocab, hidden]`.
    words: Weight,
    /// `[positions, hidden]`.
    positions: Tensor,
    /// `[1, hidden]`: what is added to every token of a text that stands alone.
    kind: Option<Tensor>,
    norm: LayerNorm,
    layers: Vec<Layer>,
}

impl Encoder {
    /// The model's shape.
    pub(crate) fn config(&self) -> &EncoderConfig {
        &self.config
    }

    /// The state of every token after the last layer, `[tokens of all texts, hidden]`, text after text.
    ///
    /// # Errors
    /// When the device fails, or a text is empty or longer than [`EncoderConfig::max_tokens`].
    pub(crate) fn forward(&self, texts: &[&[u32]]) -> Result<Tensor> {
        let lengths: Vec<usize> = texts.iter().map(|text| text.len()).collect();
        if lengths.iter().any(|length| !(1..=self.config.max_tokens()).contains(length)) {
            bail!("texts of {lengths:?} tokens; from 1 to {} are possible", self.config.max_tokens());
        }
        let mut x = self.embed(texts)?;
        for layer in &self.layers {
            x = layer.forward(&x, &lengths, &self.config)?;
        }
        Ok(x)
    }

    fn embed(&self, texts: &[&[u32]]) -> Result<Tensor> {
        let tokens: Vec<u32> = texts.iter().copied().flatten().copied().collect();
        let positions: Vec<u32> = texts.iter().flat_map(|text| self.config.positions(text)).collect();
        let words = self.words.rows(&Tensor::new(tokens, &self.device)?, self.dtype)?;
        let positions = self.positions.index_select(&Tensor::new(positions, &self.device)?, 0)?;
        let sum = match &self.kind {
            Some(kind) => words.broadcast_add(kind)?.add(&positions)?,
            None => words.add(&positions)?,
        };
        self.norm.forward(&sum)
    }
}
