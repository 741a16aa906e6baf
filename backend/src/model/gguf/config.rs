//! A GGUF file's metadata to the shape of a decoder.
//!
//! Keys as <https://github.com/ggml-org/ggml/blob/master/docs/gguf.md> lists them.

use super::Gguf;
use super::weights::{EMBEDDING, OUTPUT, ROPE_FACTORS};
use crate::model::config::{Activation, Biases, DecoderConfig, Norms, Scales};
use crate::model::error::LoadError;
use crate::model::rope::{RopeConfig, RopeKind};

const ARCHITECTURES: [&str; 3] = ["llama", "qwen2", "qwen3"];

/// The shape that the metadata describes.
///
/// # Errors
/// When the architecture or a setting is not implemented, or a key is missing.
pub(crate) fn decoder_config(gguf: &Gguf) -> Result<DecoderConfig, LoadError> {
    let architecture = gguf.architecture()?;
    if !ARCHITECTURES.contains(&architecture) {
        return Err(gguf.unsupported("general.architecture", architecture, &ARCHITECTURES.join(", ")));
    }
    let metadata = Metadata { gguf, architecture };
    metadata.refuse_unsupported()?;
    let config = metadata.config()?;
    config.check(&gguf.file)?;
    Ok(config)
}

struct Metadata<'a> {
    gguf: &'a Gguf,
    architecture: &'a str,
}

impl Metadata<'_> {
    fn key(&self, name: &str) -> String {
        format!("{}.{name}", self.architecture)
    }

    fn count(&self, name: &str) -> Result<Option<usize>, LoadError> {
        self.gguf.count(&self.key(name))
    }

    fn need(&self, name: &str) -> Result<usize, LoadError> {
        self.count(name)?.ok_or_else(|| self.gguf.missing(&self.key(name)))
    }

    fn config(&self) -> Result<DecoderConfig, LoadError> {
        let (gguf, layers, heads) =
            (self.gguf, self.need("block_count")?, self.need("attention.head_count")?);
        let hidden_size = self.need("embedding_length")?;
        let head_dim = self.head_dim(hidden_size, heads)?;
        Ok(DecoderConfig {
            architecture: self.architecture.to_owned(),
            vocab_size: self.vocab_size()?,
            hidden_size,
            intermediate_size: self.need("feed_forward_length")?,
            layers,
            heads,
            kv_heads: self.count("attention.head_count_kv")?.unwrap_or(heads),
            head_dim,
            context_length: self.need("context_length")?,
            norms: self.norms()?,
            biases: self.biases(),
            scales: scales(head_dim),
            rope: self.rope(head_dim)?,
            window_rope: None,
            windows: vec![None; layers],
            tied_embeddings: !gguf.has_tensor(OUTPUT),
            activation: Activation::Silu,
            fused_weights: false,
            bos_token_id: gguf.count("tokenizer.ggml.bos_token_id")?.map(|id| id as u32),
            eos_token_ids: super::eos_token_ids(gguf)?,
        })
    }

    fn norms(&self) -> Result<Norms, LoadError> {
        let key = self.key("attention.layer_norm_rms_epsilon");
        let eps = self.gguf.float(&key)?.ok_or_else(|| self.gguf.missing(&key))?;
        Ok(Norms { eps, heads: self.architecture == "qwen3", sandwich: false, add_one: false })
    }

    /// The metadata does not say it: the first layer has them or not.
    fn biases(&self) -> Biases {
        let bias = |layer: &str| self.gguf.has_tensor(&format!("blk.0.{layer}.bias"));
        Biases { qkv: bias("attn_q"), attention_output: bias("attn_output"), mlp: bias("ffn_up") }
    }

    fn head_dim(&self, hidden_size: usize, heads: usize) -> Result<usize, LoadError> {
        let keys = self.count("attention.key_length")?;
        let values = self.count("attention.value_length")?.or(keys);
        match (keys, hidden_size.checked_rem(heads)) {
            (Some(keys), _) if Some(keys) == values => Ok(keys),
            (Some(keys), _) => {
                let key = self.key("attention.value_length");
                Err(self.gguf.unsupported(&key, format!("{values:?}"), &format!("key_length, {keys}")))
            }
            (None, Some(0)) => Ok(hidden_size / heads),
            (None, _) => Err(self.gguf.malformed("embedding_length is no multiple of head_count")),
        }
    }

    /// Rows of the embedding.
    fn vocab_size(&self) -> Result<usize, LoadError> {
        let info = self.gguf.content.tensor_infos.get(EMBEDDING);
        let rows = info.and_then(|info| info.shape.dims().first());
        rows.copied().ok_or_else(|| self.gguf.malformed(format!("tensor {EMBEDDING} is missing")))
    }

    fn rope(&self, head_dim: usize) -> Result<RopeConfig, LoadError> {
        if let Some(turned) = self.count("rope.dimension_count")?.filter(|turned| *turned != head_dim) {
            let whole = format!("{head_dim}, the width of a head");
            return Err(self.gguf.unsupported(&self.key("rope.dimension_count"), turned, &whole));
        }
        let theta = self.gguf.float(&self.key("rope.freq_base"))?.unwrap_or(10_000.0);
        let kind = self.rope_kind(head_dim)?;
        Ok(RopeConfig { theta, kind, partial: 1.0, amplitude: 1.0, limit: None })
    }

    fn rope_kind(&self, head_dim: usize) -> Result<RopeKind, LoadError> {
        let key = self.key("rope.scaling.type");
        let factor = self.gguf.float(&self.key("rope.scaling.factor"))?.filter(|factor| *factor > 0.0);
        match self.gguf.text(&key)? {
            None | Some("none") if self.gguf.has_tensor(ROPE_FACTORS) => {
                let factors = super::weights::floats(self.gguf, ROPE_FACTORS, head_dim / 2)?;
                Ok(RopeKind::Factors(factors))
            }
            None | Some("none") => Ok(RopeKind::Default),
            Some("linear") if !self.gguf.has_tensor(ROPE_FACTORS) => {
                let factor = factor.ok_or_else(|| self.gguf.missing(&self.key("rope.scaling.factor")))?;
                Ok(RopeKind::Linear { factor })
            }
            Some(other) => Err(self.gguf.unsupported(&key, other, "none, linear")),
        }
    }

    fn refuse_unsupported(&self) -> Result<(), LoadError> {
        for name in ["expert_count", "attention.sliding_window"] {
            if let Some(found) = self.count(name)?.filter(|found| *found > 0) {
                return Err(self.gguf.unsupported(&self.key(name), found, "0"));
            }
        }
        let old = self.key("rope.scale_linear");
        match self.gguf.float(&old)? {
            Some(scale) if scale != 1.0 => Err(self.gguf.unsupported(&old, scale, "1.0")),
            _ => super::weights::refuse_unknown(self.gguf),
        }
    }
}

fn scales(head_dim: usize) -> Scales {
    let attention = (head_dim as f64).sqrt().recip();
    Scales { embedding: 1.0, attention, attention_cap: None, logit_cap: None }
}
