//! From named weights to a decoder: which tensor goes where, with the shape that config.json calls for.

use std::collections::BTreeMap;

use candle_core::Tensor;

use super::config::DecoderConfig;
use super::decoder::{Decoder, Layer};
use super::error::LoadError;
use super::linear::{Linear, Weight};
use super::quantize::{Quantization, Role, type_name};
use super::rope::Rope;
use super::weights::{Placement, Weights};

/// Builds decoders, and counts the parameters on the way.
pub(crate) struct Assembler<'a> {
    weights: &'a Weights,
    config: &'a DecoderConfig,
    to: Placement<'a>,
    /// What matrices are kept as; `None`: as they are in the file.
    quantization: Option<Quantization>,
    parameters: u64,
    /// Elements in each type that is quantised.
    quantized: BTreeMap<String, u64>,
}

/// Layers with the same input that are computed as one: the names that a file has for them, and their outputs.
type Parts<'a> = &'a [(&'a str, usize)];

impl<'a> Assembler<'a> {
    pub(crate) fn new(
        weights: &'a Weights,
        config: &'a DecoderConfig,
        to: Placement<'a>,
        quantization: Option<Quantization>,
    ) -> Self {
        Self { weights, config, to, quantization, parameters: 0, quantized: BTreeMap::new() }
    }

    /// Elements of all tensors taken so far.
    pub(crate) fn parameters(&self) -> u64 {
        self.parameters
    }

    /// The types that weights are quantised in, the one of the most first: `q4_k+q6_k`.
    pub(crate) fn quantization(&self) -> Option<String> {
        let mut kinds: Vec<_> = self.quantized.iter().collect();
        kinds.sort_by_key(|(_, elements)| std::cmp::Reverse(**elements));
        let names: Vec<&str> = kinds.into_iter().map(|(name, _)| name.as_str()).collect();
        (!names.is_empty()).then(|| names.join("+"))
    }

    /// Takes every weight that the configuration calls for.
    pub(crate) fn decoder(&mut self) -> Result<Decoder, LoadError> {
        let config = self.config;
        let (vocab, hidden) = (config.vocab_size, config.hidden_size);
        let embedding = self.matrix("model.embed_tokens.weight", [vocab, hidden], Role::Table)?;
        let layers = (0..config.layers).map(|index| self.layer(index)).collect::<Result<Vec<_>, _>>()?;
        let norm = self.norm("model.norm", hidden)?;
        // Some checkpoints say "not tied" and leave the output out, or the other way round: config.json decides.
        let output = if config.tied_embeddings {
            embedding.clone()
        } else {
            self.matrix("lm_head.weight", [vocab, hidden], Role::Table)?
        };
        let window_rope = config.window_rope.as_ref();
        Ok(Decoder {
            rope: Rope::new(&config.rope, config.head_dim),
            window_rope: window_rope.map(|rope| Rope::new(rope, config.head_dim)),
            dtype: self.to.dtype,
            device: self.to.device.clone(),
            output: join("the output", vec![output], None)?,
            embedding,
            layers,
            norm,
            config: config.clone(),
        })
    }

    fn layer(&mut self, index: usize) -> Result<Layer, LoadError> {
        let config = self.config;
        let (hidden, head) = (config.hidden_size, config.head_dim);
        let prefix = format!("model.layers.{index}");
        let name = |part: &str| format!("{prefix}.{part}");
        // Where both sides are normed, the name of the norm in front of the feed-forward part is that of the one
        // behind attention.
        let both = config.norms.sandwich;
        let second = if both { "pre_feedforward_layernorm" } else { "post_attention_layernorm" };
        let (output, down) = ([("self_attn.o_proj", hidden)], [("mlp.down_proj", hidden)]);
        let output_bias = config.biases.attention_output;
        Ok(Layer {
            attention_norm: self.norm(&name("input_layernorm"), hidden)?,
            qkv: self.qkv(&prefix)?,
            query_norm: self.norm_if(config.norms.heads, &name("self_attn.q_norm"), head)?,
            key_norm: self.norm_if(config.norms.heads, &name("self_attn.k_norm"), head)?,
            attention_output: self.linear(&prefix, &output, config.query_width(), output_bias)?,
            attention_output_norm: self.norm_if(both, &name("post_attention_layernorm"), hidden)?,
            feed_forward_norm: self.norm(&name(second), hidden)?,
            gate_up: self.gate_up(&prefix)?,
            down: self.linear(&prefix, &down, config.intermediate_size, config.biases.mlp)?,
            feed_forward_output_norm: self.norm_if(both, &name("post_feedforward_layernorm"), hidden)?,
        })
    }

    fn qkv(&mut self, prefix: &str) -> Result<Linear, LoadError> {
        let config = self.config;
        let (query, kv) = (config.query_width(), config.kv_width());
        let parts: Parts<'_> = match config.fused_weights {
            true => &[("self_attn.qkv_proj", query + 2 * kv)],
            false => &[("self_attn.q_proj", query), ("self_attn.k_proj", kv), ("self_attn.v_proj", kv)],
        };
        self.linear(prefix, parts, config.hidden_size, config.biases.qkv)
    }

    fn gate_up(&mut self, prefix: &str) -> Result<Linear, LoadError> {
        let (config, inner) = (self.config, self.config.intermediate_size);
        let parts: Parts<'_> = match config.fused_weights {
            true => &[("mlp.gate_up_proj", 2 * inner)],
            false => &[("mlp.gate_proj", inner), ("mlp.up_proj", inner)],
        };
        self.linear(prefix, parts, config.hidden_size, config.biases.mlp)
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
            .map(|(name, outputs)| (format!("{prefix}.{name}.weight"), [*outputs, inputs]))
            .map(|(name, shape)| self.matrix(&name, shape, Role::Layer));
        let weights = weights.collect::<Result<Vec<_>, _>>()?;
        let biases = parts
            .iter()
            .filter(|_| bias)
            .map(|(name, outputs)| self.vector(&format!("{prefix}.{name}.bias"), *outputs));
        let biases = biases.collect::<Result<Vec<_>, _>>()?;
        join(prefix, weights, (!biases.is_empty()).then_some(biases))
    }

    fn matrix(&mut self, name: &str, shape: [usize; 2], role: Role) -> Result<Weight, LoadError> {
        let mut weight = self.weights.matrix(name, shape, self.to)?;
        if let Some(quantization) = self.quantization {
            let kept = quantization.apply(weight, role, self.to.dtype);
            weight = kept.map_err(|source| LoadError::Compute { what: name.to_owned(), source })?;
        }
        let elements = (shape[0] * shape[1]) as u64;
        self.parameters += elements;
        if let Some(kind) = weight.quantized_type() {
            *self.quantized.entry(type_name(kind)).or_default() += elements;
        }
        Ok(weight)
    }

    fn vector(&mut self, name: &str, width: usize) -> Result<Tensor, LoadError> {
        self.parameters += width as u64;
        self.weights.vector(name, width, self.to)
    }

    fn norm(&mut self, name: &str, width: usize) -> Result<Tensor, LoadError> {
        let weight = self.vector(&format!("{name}.weight"), width)?;
        if !self.config.norms.add_one {
            return Ok(weight);
        }
        (weight + 1.0).map_err(|source| LoadError::Compute { what: name.to_owned(), source })
    }

    fn norm_if(&mut self, there: bool, name: &str, width: usize) -> Result<Option<Tensor>, LoadError> {
        there.then(|| self.norm(name, width)).transpose()
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
