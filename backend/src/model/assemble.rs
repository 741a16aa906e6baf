//! From named weights to a decoder: which tensor goes where, with the shape that config.json calls for.

use candle_core::{DType, Device, Tensor};

use super::config::DecoderConfig;
use super::decoder::{Decoder, Layer};
use super::error::LoadError;
use super::linear::{Linear, Weight};
use super::rope::Rope;
use super::weights::Weights;

/// Builds decoders, and counts the parameters on the way.
pub(crate) struct Assembler<'a> {
    pub(crate) weights: &'a Weights,
    pub(crate) config: &'a DecoderConfig,
    pub(crate) dtype: DType,
    pub(crate) device: &'a Device,
    /// Elements of all tensors taken so far.
    pub(crate) parameters: u64,
}

/// Layers with the same input that are computed as one: the names that a file has for them, and their outputs.
type Parts<'a> = &'a [(&'a str, usize)];

impl Assembler<'_> {
    /// Takes every weight that the configuration calls for.
    pub(crate) fn decoder(&mut self) -> Result<Decoder, LoadError> {
        let config = self.config;
        let (vocab, hidden) = (config.vocab_size, config.hidden_size);
        let embedding = self.matrix("model.embed_tokens.weight", [vocab, hidden])?;
        let layers = (0..config.layers).map(|index| self.layer(index)).collect::<Result<Vec<_>, _>>()?;
        let norm = self.norm("model.norm", hidden)?;
        // Some checkpoints say "not tied" and leave the output out, or the other way round: config.json decides.
        let output = if config.tied_embeddings {
            embedding.clone()
        } else {
            self.matrix("lm_head.weight", [vocab, hidden])?
        };
        let window_rope = config.window_rope.as_ref();
        Ok(Decoder {
            rope: Rope::new(&config.rope, config.head_dim),
            window_rope: window_rope.map(|rope| Rope::new(rope, config.head_dim)),
            dtype: self.dtype,
            device: self.device.clone(),
            output: join("the output", vec![output], None)?,
            embedding,
            layers,
            norm,
            config: config.clone(),
        })
    }

    fn layer(&mut self, index: usize) -> Result<Layer, LoadError> {
        let config = self.config;
        let prefix = format!("model.layers.{index}");
        let (hidden, query, inner) = (config.hidden_size, config.query_width(), config.intermediate_size);
        let norm = |name: &str| format!("{prefix}.{name}");
        let (feed_forward_norm, output_norms) = match config.sandwich_norms {
            false => ("post_attention_layernorm", [None, None]),
            true => (
                "pre_feedforward_layernorm",
                [Some("post_attention_layernorm"), Some("post_feedforward_layernorm")],
            ),
        };
        let head_norms = [
            config.head_norms.then_some("self_attn.q_norm"),
            config.head_norms.then_some("self_attn.k_norm"),
        ];
        let [query_norm, key_norm] =
            head_norms.map(|name| self.optional_norm(name.map(norm), config.head_dim));
        let [after_attention, after_feed_forward] =
            output_norms.map(|name| self.optional_norm(name.map(norm), hidden));
        Ok(Layer {
            attention_norm: self.norm(&norm("input_layernorm"), hidden)?,
            qkv: self.qkv(&prefix)?,
            query_norm: query_norm?,
            key_norm: key_norm?,
            attention_output: self.linear(
                &prefix,
                &[("self_attn.o_proj", hidden)],
                query,
                config.attention_output_bias,
            )?,
            attention_output_norm: after_attention?,
            feed_forward_norm: self.norm(&norm(feed_forward_norm), hidden)?,
            gate_up: self.gate_up(&prefix)?,
            down: self.linear(&prefix, &[("mlp.down_proj", hidden)], inner, config.mlp_bias)?,
            feed_forward_output_norm: after_feed_forward?,
        })
    }

    fn qkv(&mut self, prefix: &str) -> Result<Linear, LoadError> {
        let config = self.config;
        let (query, kv) = (config.query_width(), config.kv_width());
        let parts: Parts<'_> = match config.fused_weights {
            true => &[("self_attn.qkv_proj", query + 2 * kv)],
            false => &[("self_attn.q_proj", query), ("self_attn.k_proj", kv), ("self_attn.v_proj", kv)],
        };
        self.linear(prefix, parts, config.hidden_size, config.qkv_bias)
    }

    fn gate_up(&mut self, prefix: &str) -> Result<Linear, LoadError> {
        let (config, inner) = (self.config, self.config.intermediate_size);
        let parts: Parts<'_> = match config.fused_weights {
            true => &[("mlp.gate_up_proj", 2 * inner)],
            false => &[("mlp.gate_proj", inner), ("mlp.up_proj", inner)],
        };
        self.linear(prefix, parts, config.hidden_size, config.mlp_bias)
    }

    fn linear(
        &mut self,
        prefix: &str,
        parts: Parts<'_>,
        inputs: usize,
        bias: bool,
    ) -> Result<Linear, LoadError> {
        let weights = parts
            .iter()
            .map(|(name, outputs)| self.matrix(&format!("{prefix}.{name}.weight"), [*outputs, inputs]));
        let weights = weights.collect::<Result<Vec<_>, _>>()?;
        let biases = parts
            .iter()
            .filter(|_| bias)
            .map(|(name, outputs)| self.vector(&format!("{prefix}.{name}.bias"), *outputs));
        let biases = biases.collect::<Result<Vec<_>, _>>()?;
        join(prefix, weights, (!biases.is_empty()).then_some(biases))
    }

    fn matrix(&mut self, name: &str, shape: [usize; 2]) -> Result<Weight, LoadError> {
        let weight = self.weights.matrix(name, shape, self.dtype, self.device)?;
        self.parameters += weight.elements() as u64;
        Ok(weight)
    }

    fn vector(&mut self, name: &str, width: usize) -> Result<Tensor, LoadError> {
        let tensor = self.weights.tensor(name, &[width], self.dtype, self.device)?;
        self.parameters += width as u64;
        Ok(tensor)
    }

    fn norm(&mut self, name: &str, width: usize) -> Result<Tensor, LoadError> {
        let weight = self.vector(&format!("{name}.weight"), width)?;
        if !self.config.norms_add_one {
            return Ok(weight);
        }
        (weight + 1.0).map_err(|source| LoadError::Compute { what: name.to_owned(), source })
    }

    fn optional_norm(&mut self, name: Option<String>, width: usize) -> Result<Option<Tensor>, LoadError> {
        name.map(|name| self.norm(&name, width)).transpose()
    }
}

/// Several linear layers with the same input as one: their weights one below the other.
fn join(what: &str, weights: Vec<Weight>, biases: Option<Vec<Tensor>>) -> Result<Linear, LoadError> {
    let joined = || {
        let bias = biases.map(|biases| Tensor::cat(&biases, 0)).transpose()?;
        Linear::joined(weights, bias)
    };
    joined().map_err(|source| LoadError::Compute { what: format!("joining {what}"), source })
}
