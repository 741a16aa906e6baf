//! The architectures that the decoder runs, and in what they differ where config.json does not say it.

use serde_json::Value;

use super::unsupported;
use crate::model::error::LoadError;
use crate::model::{encoder, serial};

/// An architecture of the Llama family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    Llama,
    Mistral,
    Qwen2,
    Qwen3,
    Phi3,
    Gemma2,
    Gemma3,
}

/// `architectures`, `model_type`, and what they mean.
const FAMILIES: [(&str, &str, Family); 7] = [
    ("LlamaForCausalLM", "llama", Family::Llama),
    ("MistralForCausalLM", "mistral", Family::Mistral),
    ("Qwen2ForCausalLM", "qwen2", Family::Qwen2),
    ("Qwen3ForCausalLM", "qwen3", Family::Qwen3),
    ("Phi3ForCausalLM", "phi3", Family::Phi3),
    ("Gemma2ForCausalLM", "gemma2", Family::Gemma2),
    ("Gemma3ForCausalLM", "gemma3_text", Family::Gemma3),
];

impl Family {
    /// The family, and the name that the file gives it.
    pub(super) fn of(config: &Value, file: &str) -> Result<(Self, String), LoadError> {
        let named = config.get("architectures").and_then(|list| list.get(0)).and_then(Value::as_str);
        let kind = config.get("model_type").and_then(Value::as_str);
        let known = FAMILIES.iter().find(|(architecture, model_type, _)| match named {
            Some(name) => name == *architecture,
            None => kind == Some(*model_type),
        });
        if let Some((architecture, _, family)) = known {
            return Ok((*family, (*architecture).to_owned()));
        }
        let found = named.or(kind).unwrap_or("missing");
        let generate = FAMILIES.map(|(architecture, _, _)| architecture).join(", ");
        let (serial, embed) = (serial::names(), encoder::names());
        let supported = format!("{generate}; one sequence at a time {serial}; for embeddings {embed}");
        Err(unsupported(file, "architectures", found, &supported))
    }

    /// Gemma: embeddings are scaled, norms count from one, and both sides of a part are normed.
    pub(super) fn is_gemma(self) -> bool {
        matches!(self, Self::Gemma2 | Self::Gemma3)
    }

    /// Queries and keys are normed head by head.
    pub(super) fn has_head_norms(self) -> bool {
        matches!(self, Self::Qwen3 | Self::Gemma3)
    }

    /// What transformers takes where the file says nothing, for settings whose absence is not the same as null.
    fn defaults(self) -> &'static [(&'static str, f64)] {
        match self {
            Self::Llama => &[],
            Self::Mistral => &[("sliding_window", 4096.0)],
            Self::Qwen2 => &[("max_window_layers", 28.0)],
            Self::Qwen3 => &[("max_window_layers", 28.0), ("head_dim", 128.0)],
            Self::Phi3 => &[("rms_norm_eps", 1e-5)],
            Self::Gemma2 => &[
                ("attn_logit_softcapping", 50.0),
                ("final_logit_softcapping", 30.0),
                ("query_pre_attn_scalar", 256.0),
                ("head_dim", 256.0),
                ("sliding_window", 4096.0),
            ],
            Self::Gemma3 => &[
                ("query_pre_attn_scalar", 256.0),
                ("head_dim", 256.0),
                ("sliding_window", 4096.0),
                ("sliding_window_pattern", 6.0),
                ("rope_theta", 1_000_000.0),
                ("rope_local_base_freq", 10_000.0),
            ],
        }
    }

    /// Writes the defaults into a file that leaves them out.
    pub(super) fn fill_in(self, config: &mut Value) {
        let Some(settings) = config.as_object_mut() else { return };
        for (setting, value) in self.defaults() {
            let whole = value.fract() == 0.0;
            let value = if whole { Value::from(*value as u64) } else { Value::from(*value) };
            settings.entry(*setting).or_insert(value);
        }
    }
}
