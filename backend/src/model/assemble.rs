//! From named weights to a decoder: which tensor goes where, with the shape that config.json calls for.

use candle_core::{DType, Device, Tensor};

use super::config::DecoderConfig;
use super::decoder::{Decoder, Layer};
use super::error::LoadError;
use super::linear::Linear;
use super::rope::Rope;
use super::weights::Weights;

/// Builds decoders, and counts the parameters on the way.
pub(crate) struct Assembler<'a> {
    pub(crate) weights: &'a Weights,
    pub(crate) dtype: DType,
    pub(crate) device: &'a Device,
    /// Elements of all tensors taken so far.
    pub(crate) parameters: u64,
}

impl Assembler<'_> {
    /// Takes every weight that the configuration calls for.
    pub(crate) fn decoder(&mut self, config: DecoderConfig) -> Result<Decoder, LoadError> {
        let (vocab, hidden) = (config.vocab_size, config.hidden_size);
        let embedding = self.tensor("model.embed_tokens.weight", &[vocab, hidden])?;
        let layers =
            (0..config.layers).map(|index| self.layer(&config, index)).collect::<Result<Vec<_>, _>>()?;
        let norm = self.tensor("model.norm.weight", &[hidden])?;
        // Some checkpoints say "not tied" and leave the output out, or the other way round: config.json decides.
        let output = if config.tied_embeddings {
            embedding.clone()
        } else {
            self.tensor("lm_head.weight", &[vocab, hidden])?
        };
        Ok(Decoder {
            rope: Rope::new(&config.rope, config.head_dim),
            dtype: self.dtype,
            device: self.device.clone(),
            output: Linear::new(output, None),
            embedding,
            layers,
            norm,
            config,
        })
    }

    fn layer(&mut self, config: &DecoderConfig, index: usize) -> Result<Layer, LoadError> {
        let prefix = format!("model.layers.{index}");
        let (hidden, query, kv) = (config.hidden_size, config.query_width(), config.kv_width());
        let inner = config.intermediate_size;
        let (attention, mlp) = (config.attention_bias, config.mlp_bias);
        let qkv = [("self_attn.q_proj", query), ("self_attn.k_proj", kv), ("self_attn.v_proj", kv)];
        let gate_up = [("mlp.gate_proj", inner), ("mlp.up_proj", inner)];
        Ok(Layer {
            attention_norm: self.tensor(&format!("{prefix}.input_layernorm.weight"), &[hidden])?,
            qkv: self.joined(&prefix, &qkv, hidden, attention)?,
            attention_output: self.joined(&prefix, &[("self_attn.o_proj", hidden)], query, attention)?,
            feed_forward_norm: self
                .tensor(&format!("{prefix}.post_attention_layernorm.weight"), &[hidden])?,
            gate_up: self.joined(&prefix, &gate_up, hidden, mlp)?,
            down: self.joined(&prefix, &[("mlp.down_proj", hidden)], inner, mlp)?,
        })
    }

    /// Several linear layers with the same input as one: their weights one below the other.
    fn joined(
        &mut self,
        prefix: &str,
        parts: &[(&str, usize)],
        inputs: usize,
        bias: bool,
    ) -> Result<Linear, LoadError> {
        let mut take = |kind: &str, shape: fn(usize, usize) -> Vec<usize>| {
            let tensors = parts.iter().map(|(name, outputs)| {
                self.tensor(&format!("{prefix}.{name}.{kind}"), &shape(*outputs, inputs))
            });
            let tensors = tensors.collect::<Result<Vec<_>, _>>()?;
            join(&tensors).map_err(|source| LoadError::Compute { what: format!("joining {prefix}"), source })
        };
        let weight = take("weight", |outputs, inputs| vec![outputs, inputs])?;
        let bias = if bias { Some(take("bias", |outputs, _| vec![outputs])?) } else { None };
        Ok(Linear::new(weight, bias))
    }

    fn tensor(&mut self, name: &str, shape: &[usize]) -> Result<Tensor, LoadError> {
        let tensor = self.weights.get(name, shape, self.dtype, self.device)?;
        self.parameters += tensor.elem_count() as u64;
        Ok(tensor)
    }
}

fn join(tensors: &[Tensor]) -> candle_core::Result<Tensor> {
    match tensors {
        [single] => Ok(single.clone()),
        several => Tensor::cat(several, 0),
    }
}
