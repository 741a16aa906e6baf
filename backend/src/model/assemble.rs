//! From named weights to a decoder: which tensor goes where, with the shape that config.json calls for.

use candle_core::Tensor;

use super::DeviceKernels;
use super::config::DecoderConfig;
use super::decoder::{Decoder, Layer};
use super::error::LoadError;
use super::intake::{Intake, Parts, join, lay_out};
use super::linear::Linear;
use super::quantize::Role;
use super::rope::Rope;

/// Builds decoders.
pub(crate) struct Assembler<'a, 'w> {
    intake: &'a mut Intake<'w>,
    config: &'a DecoderConfig,
}

impl<'a, 'w> Assembler<'a, 'w> {
    pub(crate) fn new(intake: &'a mut Intake<'w>, config: &'a DecoderConfig) -> Self {
        Self { intake, config }
    }

    /// Takes every weight that the configuration calls for.
    pub(crate) fn decoder(&mut self, kernels: DeviceKernels) -> Result<Decoder, LoadError> {
        let config = self.config;
        let (vocab, hidden) = (config.vocab_size, config.hidden_size);
        let mut embedding = self.intake.matrix("model.embed_tokens.weight", [vocab, hidden], Role::Table)?;
        let layers = (0..config.layers).map(|index| self.layer(index)).collect::<Result<Vec<_>, _>>()?;
        let norm = self.norm("model.norm", hidden)?;
        // Some checkpoints say "not tied" and leave the output out, or the other way round: config.json decides.
        let output = if config.tied_embeddings {
            embedding = lay_out("the embedding", embedding)?;
            embedding.clone()
        } else {
            self.intake.matrix("lm_head.weight", [vocab, hidden], Role::Table)?
        };
        let window_rope = config.window_rope.as_ref();
        let mut decoder = Decoder {
            fused: None,
            rope: Rope::new(&config.rope, config.head_dim),
            window_rope: window_rope.map(|rope| Rope::new(rope, config.head_dim)),
            dtype: self.intake.to.dtype,
            device: self.intake.to.device.clone(),
            output: join("the output", vec![output], None)?,
            embedding,
            layers,
            norm,
            config: config.clone(),
        };
        if kernels == DeviceKernels::Own {
            let what = || "the GPU's kernels".to_owned();
            decoder.use_kernels().map_err(|source| LoadError::Compute { what: what(), source })?;
        }
        Ok(decoder)
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
            attention_output: self.intake.linear(&prefix, &output, config.query_width(), output_bias)?,
            attention_output_norm: self.norm_if(both, &name("post_attention_layernorm"), hidden)?,
            feed_forward_norm: self.norm(&name(second), hidden)?,
            gate_up: self.gate_up(&prefix)?,
            down: self.intake.linear(&prefix, &down, config.intermediate_size, config.biases.mlp)?,
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
        self.intake.linear(prefix, parts, config.hidden_size, config.biases.qkv)
    }

    fn gate_up(&mut self, prefix: &str) -> Result<Linear, LoadError> {
        let (config, inner) = (self.config, self.config.intermediate_size);
        let parts: Parts<'_> = match config.fused_weights {
            true => &[("mlp.gate_up_proj", 2 * inner)],
            false => &[("mlp.gate_proj", inner), ("mlp.up_proj", inner)],
        };
        self.intake.linear(prefix, parts, config.hidden_size, config.biases.mlp)
    }

    fn norm(&mut self, name: &str, width: usize) -> Result<Tensor, LoadError> {
        let weight = self.intake.vector(&format!("{name}.weight"), width)?;
        if !self.config.norms.add_one {
            return Ok(weight);
        }
        (weight + 1.0).map_err(|source| LoadError::Compute { what: name.to_owned(), source })
    }

    fn norm_if(&mut self, there: bool, name: &str, width: usize) -> Result<Option<Tensor>, LoadError> {
        there.then(|| self.norm(name, width)).transpose()
    }
}
