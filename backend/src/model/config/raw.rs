//! config.json as it stands, and how it becomes a [`DecoderConfig`].

use serde::Deserialize;
use serde_json::Value;

use super::family::Family;
use super::rope::{RopeParameters, Section, ropes};
use super::windows::windows;
use super::{Activation, Biases, DecoderConfig, Norms, Scales, TokenIds, malformed, unsupported};
use crate::model::error::LoadError;

/// What the files of all families together may hold.
#[derive(Debug, Deserialize)]
pub(super) struct Raw {
    vocab_size: usize,
    pub(super) hidden_size: usize,
    intermediate_size: usize,
    pub(super) num_hidden_layers: usize,
    pub(super) num_attention_heads: usize,
    num_key_value_heads: Option<usize>,
    head_dim: Option<usize>,
    pub(super) max_position_embeddings: usize,
    pub(super) original_max_position_embeddings: Option<usize>,
    rms_norm_eps: Option<f64>,
    hidden_act: Option<String>,
    hidden_activation: Option<String>,
    pub(super) rope_theta: Option<f64>,
    pub(super) rope_local_base_freq: Option<f64>,
    pub(super) rope_scaling: Option<Section>,
    pub(super) rope_parameters: Option<RopeParameters>,
    pub(super) partial_rotary_factor: Option<f64>,
    pub(super) sliding_window: Option<usize>,
    pub(super) use_sliding_window: Option<bool>,
    pub(super) max_window_layers: Option<usize>,
    pub(super) sliding_window_pattern: Option<usize>,
    pub(super) layer_types: Option<Vec<String>>,
    query_pre_attn_scalar: Option<f64>,
    attn_logit_softcapping: Option<f64>,
    final_logit_softcapping: Option<f64>,
    use_bidirectional_attention: Option<bool>,
    tie_word_embeddings: Option<bool>,
    attention_bias: Option<bool>,
    mlp_bias: Option<bool>,
    quantization_config: Option<Value>,
    bos_token_id: Option<TokenIds>,
    eos_token_id: Option<TokenIds>,
}

impl Raw {
    pub(super) fn into_config(
        self,
        family: Family,
        architecture: String,
        file: &str,
    ) -> Result<DecoderConfig, LoadError> {
        self.refuse_unsupported(family, file)?;
        let (rope, window_rope) = ropes(&self, family, file)?;
        let head_dim = self.head_dim(file)?;
        Ok(DecoderConfig {
            architecture,
            vocab_size: self.vocab_size,
            hidden_size: self.hidden_size,
            intermediate_size: self.intermediate_size,
            layers: self.num_hidden_layers,
            heads: self.num_attention_heads,
            kv_heads: self.num_key_value_heads.unwrap_or(self.num_attention_heads),
            head_dim,
            context_length: self.max_position_embeddings.min(rope.limit.unwrap_or(usize::MAX)),
            norms: self.norms(family),
            biases: self.biases(family),
            scales: self.scales(family, head_dim),
            rope,
            window_rope,
            windows: windows(&self, family, file)?,
            tied_embeddings: self.tie_word_embeddings.unwrap_or(family.is_gemma()),
            activation: self.activation(family, file)?,
            fused_weights: family == Family::Phi3,
            bos_token_id: self.bos_token_id.and_then(|ids| ids.into_vec().first().copied()),
            eos_token_ids: self.eos_token_id.map(TokenIds::into_vec).unwrap_or_default(),
        })
    }

    fn refuse_unsupported(&self, family: Family, file: &str) -> Result<(), LoadError> {
        if let Some(quantization) = self.quantization_config.as_ref().filter(|value| !value.is_null()) {
            let method = quantization.get("quant_method").and_then(Value::as_str).unwrap_or("set");
            return Err(unsupported(file, "quantization_config", method, "f32, f16 or bf16 weights"));
        }
        if self.use_bidirectional_attention == Some(true) {
            return Err(unsupported(file, "use_bidirectional_attention", "true", "false"));
        }
        // These families' own code has no such setting: whoever wrote one meant something else.
        let foreign = [
            (
                "attention_bias",
                matches!(family, Family::Mistral | Family::Phi3),
                self.attention_bias == Some(true),
            ),
            ("mlp_bias", family != Family::Llama, self.mlp_bias == Some(true)),
            ("query_pre_attn_scalar", !family.is_gemma(), self.query_pre_attn_scalar.is_some()),
            ("attn_logit_softcapping", family != Family::Gemma2, self.attn_logit_softcapping.is_some()),
            ("final_logit_softcapping", !family.is_gemma(), self.final_logit_softcapping.is_some()),
            ("layer_types", matches!(family, Family::Mistral | Family::Phi3), self.layer_types.is_some()),
        ];
        match foreign.iter().find(|(_, unknown, set)| *unknown && *set) {
            Some((setting, ..)) => Err(unsupported(file, setting, "set", "none in this architecture")),
            None => Ok(()),
        }
    }

    fn norms(&self, family: Family) -> Norms {
        let eps = self.rms_norm_eps.unwrap_or(1e-6);
        Norms { eps, heads: family.has_head_norms(), sandwich: family.is_gemma(), add_one: family.is_gemma() }
    }

    /// Qwen2 has no setting for its biases, and none on the output.
    fn biases(&self, family: Family) -> Biases {
        let attention = self.attention_bias.unwrap_or(false);
        Biases {
            qkv: family == Family::Qwen2 || attention,
            attention_output: family != Family::Qwen2 && attention,
            mlp: self.mlp_bias.unwrap_or(false),
        }
    }

    fn scales(&self, family: Family, head_dim: usize) -> Scales {
        Scales {
            embedding: if family.is_gemma() { (self.hidden_size as f64).sqrt() } else { 1.0 },
            attention: self.query_pre_attn_scalar.unwrap_or(head_dim as f64).sqrt().recip(),
            attention_cap: self.attn_logit_softcapping,
            logit_cap: self.final_logit_softcapping,
        }
    }

    fn head_dim(&self, file: &str) -> Result<usize, LoadError> {
        let whole = self.hidden_size.checked_rem(self.num_attention_heads) == Some(0);
        match self.head_dim {
            Some(head_dim) => Ok(head_dim),
            None if whole => Ok(self.hidden_size / self.num_attention_heads),
            None => Err(malformed(file, "hidden_size is no multiple of num_attention_heads")),
        }
    }

    /// Gemma's files name the activation twice, of which `hidden_activation` counts.
    fn activation(&self, family: Family, file: &str) -> Result<Activation, LoadError> {
        let (setting, value) = match family.is_gemma() {
            true => ("hidden_activation", self.hidden_activation.as_deref().unwrap_or("gelu_pytorch_tanh")),
            false => ("hidden_act", self.hidden_act.as_deref().unwrap_or("silu")),
        };
        match value {
            "silu" | "swish" => Ok(Activation::Silu),
            "gelu_pytorch_tanh" => Ok(Activation::GeluTanh),
            other => Err(unsupported(file, setting, other, "silu, gelu_pytorch_tanh")),
        }
    }
}
