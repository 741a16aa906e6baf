//! A GGUF file's metadata to the shape of a decoder.
//!
//! Keys as <https://github.com/ggml-org/ggml/blob/master/docs/gguf.md> lists them.

use super::Gguf;
use super::family::Family;
use super::weights::{EMBEDDING, LONG_ROPE_FACTORS, OUTPUT, ROPE_FACTORS, SHORT_ROPE_FACTORS};
use crate::model::config::{Activation, Biases, DecoderConfig, Norms, Scales};
use crate::model::error::LoadError;
use crate::model::rope::{RopeConfig, RopeKind};

const DEFAULT_THETA: f64 = 10_000.0;
/// Of Gemma 3's layers with a window; no key says it.
const WINDOW_THETA: f64 = 10_000.0;

/// The shape that the metadata describes.
///
/// # Errors
/// When the architecture or a setting is not implemented, or a key is missing.
pub(crate) fn decoder_config(gguf: &Gguf) -> Result<DecoderConfig, LoadError> {
    let metadata = Metadata { gguf, architecture: gguf.architecture()?, family: Family::of(gguf)? };
    metadata.refuse_unsupported()?;
    let config = metadata.config()?;
    config.check(&gguf.file)?;
    Ok(config)
}

struct Metadata<'a> {
    gguf: &'a Gguf,
    architecture: &'a str,
    family: Family,
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
            scales: self.scales(Sizes { hidden_size, layers, heads, head_dim })?,
            rope: self.rope(head_dim)?,
            window_rope: (self.family == Family::Gemma3).then(|| plain_rope(WINDOW_THETA)),
            windows: self.windows(layers)?,
            tied_embeddings: !gguf.has_tensor(OUTPUT),
            activation: if self.family.is_gemma() { Activation::GeluTanh } else { Activation::Silu },
            fused_weights: self.family == Family::Phi3,
            bos_token_id: gguf.count("tokenizer.ggml.bos_token_id")?.map(|id| id as u32),
            eos_token_ids: super::eos_token_ids(gguf)?,
        })
    }

    fn norms(&self) -> Result<Norms, LoadError> {
        let key = self.key("attention.layer_norm_rms_epsilon");
        let eps = self.gguf.float(&key)?.ok_or_else(|| self.gguf.missing(&key))?;
        let family = self.family;
        Ok(Norms { eps, heads: family.has_head_norms(), sandwich: family.is_gemma(), add_one: false })
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

    fn scales(&self, sizes: Sizes) -> Result<Scales, LoadError> {
        let Sizes { hidden_size, layers, heads, head_dim } = sizes;
        let width = match self.family.layers_of_27b() {
            Some(known) if known == layers => hidden_size / heads,
            _ => head_dim,
        };
        let cap = |name: &str| match self.family {
            Family::Gemma2 => self.gguf.float(&self.key(name)),
            _ => Ok(None),
        };
        Ok(Scales {
            embedding: if self.family.is_gemma() { (hidden_size as f64).sqrt() } else { 1.0 },
            attention: (width as f64).sqrt().recip(),
            attention_cap: cap("attn_logit_softcapping")?,
            logit_cap: cap("final_logit_softcapping")?,
        })
    }

    fn windows(&self, layers: usize) -> Result<Vec<Option<usize>>, LoadError> {
        let key = self.key("attention.sliding_window");
        let window = self.count("attention.sliding_window")?.filter(|window| *window > 0);
        match (self.family, window) {
            (Family::Gemma2 | Family::Gemma3, None) => Err(self.gguf.missing(&key)),
            (_, None) => Ok(vec![None; layers]),
            (Family::Qwen2 | Family::Qwen3, Some(window)) => Err(self.gguf.unsupported(&key, window, "0")),
            (family, window) => {
                let sees_all = |layer: usize| (layer + 1).is_multiple_of(family.window_pattern());
                Ok((0..layers).map(|layer| window.filter(|_| !sees_all(layer))).collect())
            }
        }
    }

    fn rope(&self, head_dim: usize) -> Result<RopeConfig, LoadError> {
        let turned = self.count("rope.dimension_count")?.unwrap_or(head_dim);
        if turned != head_dim && (self.family != Family::Phi3 || turned > head_dim) {
            let whole = format!("{head_dim}, the width of a head");
            return Err(self.gguf.unsupported(&self.key("rope.dimension_count"), turned, &whole));
        }
        let theta = self.gguf.float(&self.key("rope.freq_base"))?.unwrap_or(DEFAULT_THETA);
        let plain = RopeConfig { partial: turned as f64 / head_dim as f64, ..plain_rope(theta) };
        match self.family {
            Family::Phi3 if self.gguf.has_tensor(LONG_ROPE_FACTORS) => self.long_rope(turned, &plain),
            _ => Ok(RopeConfig { kind: self.rope_kind(head_dim)?, ..plain }),
        }
    }

    /// As from config.json: within the original context, with the factors for it.
    fn long_rope(&self, turned: usize, plain: &RopeConfig) -> Result<RopeConfig, LoadError> {
        let limit = self.need("rope.scaling.original_context_length")?;
        let factors = super::weights::floats(self.gguf, SHORT_ROPE_FACTORS, turned / 2)?;
        let amplitude = self.gguf.float(&self.key("rope.scaling.attn_factor"))?.unwrap_or(1.0);
        Ok(RopeConfig { kind: RopeKind::Factors(factors), amplitude, limit: Some(limit), ..plain.clone() })
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
        if let Some(found) = self.count("expert_count")?.filter(|found| *found > 0) {
            return Err(self.gguf.unsupported(&self.key("expert_count"), found, "0"));
        }
        let old = self.key("rope.scale_linear");
        match self.gguf.float(&old)? {
            Some(scale) if scale != 1.0 => Err(self.gguf.unsupported(&old, scale, "1.0")),
            _ => super::weights::refuse_unknown(self.gguf, self.family),
        }
    }
}

/// What the scales depend on.
#[derive(Clone, Copy)]
struct Sizes {
    hidden_size: usize,
    layers: usize,
    heads: usize,
    head_dim: usize,
}

fn plain_rope(theta: f64) -> RopeConfig {
    RopeConfig { theta, kind: RopeKind::Default, partial: 1.0, amplitude: 1.0, limit: None }
}
