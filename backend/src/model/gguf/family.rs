//! The architectures of GGUF files that the decoder runs, and in what they differ where the metadata does not say it: as
//! llama.cpp reads and writes them (`convert_hf_to_gguf.py`, `src/llama-model.cpp`).

use super::Gguf;
use crate::model::error::LoadError;

/// An architecture of the Llama family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    Llama,
    Qwen2,
    Qwen3,
    Phi3,
    Gemma2,
    Gemma3,
}

/// `general.architecture`, and what it means.
const FAMILIES: [(&str, Family); 6] = [
    ("llama", Family::Llama),
    ("qwen2", Family::Qwen2),
    ("qwen3", Family::Qwen3),
    ("phi3", Family::Phi3),
    ("gemma2", Family::Gemma2),
    ("gemma3", Family::Gemma3),
];

/// Names within a layer, between its number and `.weight` or `.bias`: Hugging Face's and GGUF's.
type Names = &'static [(&'static str, &'static str)];

/// What all have whose parts are normed in front only.
const LLAMA: Names = &[
    ("input_layernorm", "attn_norm"),
    ("self_attn.q_proj", "attn_q"),
    ("self_attn.k_proj", "attn_k"),
    ("self_attn.v_proj", "attn_v"),
    ("self_attn.o_proj", "attn_output"),
    ("post_attention_layernorm", "ffn_norm"),
    ("mlp.gate_proj", "ffn_gate"),
    ("mlp.up_proj", "ffn_up"),
    ("mlp.down_proj", "ffn_down"),
];
const HEAD_NORMS: Names = &[("self_attn.q_norm", "attn_q_norm"), ("self_attn.k_norm", "attn_k_norm")];
const GEMMA: Names = &[
    ("input_layernorm", "attn_norm"),
    ("self_attn.q_proj", "attn_q"),
    ("self_attn.k_proj", "attn_k"),
    ("self_attn.v_proj", "attn_v"),
    ("self_attn.o_proj", "attn_output"),
    ("post_attention_layernorm", "post_attention_norm"),
    ("pre_feedforward_layernorm", "ffn_norm"),
    ("mlp.gate_proj", "ffn_gate"),
    ("mlp.up_proj", "ffn_up"),
    ("mlp.down_proj", "ffn_down"),
    ("post_feedforward_layernorm", "post_ffw_norm"),
];
const PHI3: Names = &[
    ("input_layernorm", "attn_norm"),
    ("self_attn.qkv_proj", "attn_qkv"),
    ("self_attn.o_proj", "attn_output"),
    ("post_attention_layernorm", "ffn_norm"),
    ("mlp.gate_up_proj", "ffn_up"),
    ("mlp.down_proj", "ffn_down"),
];

impl Family {
    /// What the file says it is.
    pub(super) fn of(gguf: &Gguf) -> Result<Self, LoadError> {
        let name = gguf.architecture()?;
        let known = FAMILIES.iter().find(|(known, _)| *known == name);
        let all = || FAMILIES.map(|(name, _)| name).join(", ");
        known.map(|(_, family)| *family).ok_or_else(|| gguf.unsupported("general.architecture", name, &all()))
    }

    /// Names within a layer.
    pub(super) fn layer_names(self) -> impl Iterator<Item = &'static (&'static str, &'static str)> {
        let names = match self {
            Self::Llama | Self::Qwen2 | Self::Qwen3 => LLAMA,
            Self::Phi3 => PHI3,
            Self::Gemma2 | Self::Gemma3 => GEMMA,
        };
        names.iter().chain(if self.has_head_norms() { HEAD_NORMS } else { &[] })
    }

    /// Embeddings are scaled, both sides of a part are normed, the gate is another. Norms have had their one added.
    pub(super) fn is_gemma(self) -> bool {
        matches!(self, Self::Gemma2 | Self::Gemma3)
    }

    /// Queries and keys are normed head by head.
    pub(super) fn has_head_norms(self) -> bool {
        matches!(self, Self::Qwen3 | Self::Gemma3)
    }

    /// Rows of queries and keys lie so that neighbours are turned together.
    pub(super) fn is_interleaved(self) -> bool {
        self == Self::Llama
    }

    /// Of so many layers with a window one sees everything: the last of them.
    pub(super) fn window_pattern(self) -> usize {
        match self {
            Self::Gemma2 => 2,
            Self::Gemma3 => 6,
            _ => usize::MAX,
        }
    }

    /// Layers of the model whose scores are scaled by the width of the stream over the heads, not by that of a head: the one
    /// with 27 billion parameters, which is told by nothing else.
    pub(super) fn layers_of_27b(self) -> Option<usize> {
        match self {
            Self::Gemma2 => Some(46),
            Self::Gemma3 => Some(62),
            _ => None,
        }
    }
}
