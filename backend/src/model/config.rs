//! config.json: the shape of a model, and the refusal of every setting that would change the answer unseen.
//!
//! Parsed by ourselves because a setting that is silently ignored gives wrong text, not an error: transformers
//! 4 writes `rope_theta` and `rope_scaling`, transformers 5 `rope_parameters`.

use serde::Deserialize;
use serde_json::Value;

use super::error::LoadError;
use super::rope::{RopeConfig, RopeScaling};

pub(crate) const FILE: &str = "config.json";
const ARCHITECTURES: &[&str] = &["LlamaForCausalLM"];

/// The shape of a decoder of the Llama family.
#[derive(Clone, Debug, PartialEq)]
pub struct DecoderConfig {
    /// As the file names it.
    pub architecture: String,
    /// Rows of the embedding and of the output.
    pub vocab_size: usize,
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Width inside the feed-forward part.
    pub intermediate_size: usize,
    /// Blocks.
    pub layers: usize,
    /// Query heads.
    pub heads: usize,
    /// Key/value heads; `heads` is a multiple.
    pub kv_heads: usize,
    /// Width of a head, which need not be `hidden_size / heads`.
    pub head_dim: usize,
    /// Positions that the model was made for.
    pub context_length: usize,
    /// Added to the mean square before the root.
    pub norm_eps: f64,
    /// Rotary positions.
    pub rope: RopeConfig,
    /// The output shares the embedding's weights.
    pub tied_embeddings: bool,
    /// Biases on q, k, v and o.
    pub attention_bias: bool,
    /// Biases in the feed-forward part.
    pub mlp_bias: bool,
    /// Begins a text.
    pub bos_token_id: Option<u32>,
    /// End an answer.
    pub eos_token_ids: Vec<u32>,
}

/// A token id, or several (`eos_token_id` may be either).
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum TokenIds {
    One(u32),
    Many(Vec<u32>),
}

impl TokenIds {
    pub(crate) fn into_vec(self) -> Vec<u32> {
        match self {
            Self::One(id) => vec![id],
            Self::Many(ids) => ids,
        }
    }
}

/// The file as it stands.
#[derive(Debug, Deserialize)]
struct Raw {
    architectures: Option<Vec<String>>,
    model_type: Option<String>,
    vocab_size: usize,
    hidden_size: usize,
    intermediate_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    num_key_value_heads: Option<usize>,
    head_dim: Option<usize>,
    max_position_embeddings: usize,
    rms_norm_eps: Option<f64>,
    hidden_act: Option<String>,
    rope_theta: Option<f64>,
    rope_scaling: Option<RopeScaling>,
    rope_parameters: Option<RopeScaling>,
    tie_word_embeddings: Option<bool>,
    attention_bias: Option<bool>,
    mlp_bias: Option<bool>,
    sliding_window: Option<Value>,
    quantization_config: Option<Value>,
    bos_token_id: Option<TokenIds>,
    eos_token_id: Option<TokenIds>,
}

impl DecoderConfig {
    /// Reads config.json; `file` is its name in errors.
    ///
    /// # Errors
    /// When it is no such JSON, calls for something that is not implemented, or contradicts itself.
    pub fn parse(text: &[u8], file: &str) -> Result<Self, LoadError> {
        let value: Value = serde_json::from_slice(text).map_err(|error| malformed(file, error))?;
        check_architecture(&value, file)?;
        let raw: Raw = serde_json::from_value(value).map_err(|error| malformed(file, error))?;
        raw.refuse_unsupported(file)?;
        let config = raw.into_config(file)?;
        config.check(file)?;
        Ok(config)
    }

    /// Width of all query heads together.
    #[must_use]
    pub fn query_width(&self) -> usize {
        self.heads * self.head_dim
    }

    /// Width of all key (or value) heads together: what the cache keeps per token, layer and side.
    #[must_use]
    pub fn kv_width(&self) -> usize {
        self.kv_heads * self.head_dim
    }

    fn check(&self, file: &str) -> Result<(), LoadError> {
        let sizes = [
            ("vocab_size", self.vocab_size),
            ("hidden_size", self.hidden_size),
            ("intermediate_size", self.intermediate_size),
            ("num_hidden_layers", self.layers),
            ("num_attention_heads", self.heads),
            ("num_key_value_heads", self.kv_heads),
            ("head_dim", self.head_dim),
            ("max_position_embeddings", self.context_length),
        ];
        if let Some((name, _)) = sizes.iter().find(|(_, size)| *size == 0) {
            return Err(malformed(file, format!("{name} is 0")));
        }
        if !self.heads.is_multiple_of(self.kv_heads) {
            let (heads, kv_heads) = (self.heads, self.kv_heads);
            let problem =
                format!("num_attention_heads {heads} is no multiple of num_key_value_heads {kv_heads}");
            return Err(malformed(file, problem));
        }
        if !self.head_dim.is_multiple_of(2) {
            return Err(malformed(file, format!("head_dim {} is odd", self.head_dim)));
        }
        Ok(())
    }
}

/// Looked at first: another architecture's file may lack what [`Raw`] needs, and the name says more.
fn check_architecture(value: &Value, file: &str) -> Result<(), LoadError> {
    let named = value.get("architectures").and_then(|list| list.get(0)).and_then(Value::as_str);
    let family = value.get("model_type").and_then(Value::as_str);
    let supported = match named {
        Some(name) => ARCHITECTURES.contains(&name),
        None => family == Some("llama"),
    };
    if supported {
        return Ok(());
    }
    let found = named.or(family).unwrap_or("missing").to_owned();
    Err(unsupported(file, "architectures", found, &ARCHITECTURES.join(", ")))
}

impl Raw {
    fn refuse_unsupported(&self, file: &str) -> Result<(), LoadError> {
        if let Some(quantization) = self.quantization_config.as_ref().filter(|value| !value.is_null()) {
            let method = quantization.get("quant_method").and_then(Value::as_str).unwrap_or("set");
            return Err(unsupported(
                file,
                "quantization_config",
                method.to_owned(),
                "f32, f16 or bf16 weights",
            ));
        }
        if let Some(window) = self.sliding_window.as_ref().filter(|value| !value.is_null()) {
            return Err(unsupported(file, "sliding_window", window.to_string(), "null"));
        }
        match self.hidden_act.as_deref() {
            None | Some("silu" | "swish") => Ok(()),
            Some(other) => Err(unsupported(file, "hidden_act", other.to_owned(), "silu")),
        }
    }

    fn into_config(self, file: &str) -> Result<DecoderConfig, LoadError> {
        let rope_section = self.rope_parameters.or(self.rope_scaling);
        let rope = RopeConfig::new(self.rope_theta, rope_section, self.max_position_embeddings, file)?;
        let head_dim = match (self.head_dim, self.hidden_size.checked_rem(self.num_attention_heads)) {
            (Some(head_dim), _) => head_dim,
            (None, Some(0)) => self.hidden_size / self.num_attention_heads,
            (None, _) => return Err(malformed(file, "hidden_size is no multiple of num_attention_heads")),
        };
        Ok(DecoderConfig {
            architecture: architecture_name(self.architectures, self.model_type),
            vocab_size: self.vocab_size,
            hidden_size: self.hidden_size,
            intermediate_size: self.intermediate_size,
            layers: self.num_hidden_layers,
            heads: self.num_attention_heads,
            kv_heads: self.num_key_value_heads.unwrap_or(self.num_attention_heads),
            head_dim,
            context_length: self.max_position_embeddings,
            norm_eps: self.rms_norm_eps.unwrap_or(1e-6),
            rope,
            tied_embeddings: self.tie_word_embeddings.unwrap_or(false),
            attention_bias: self.attention_bias.unwrap_or(false),
            mlp_bias: self.mlp_bias.unwrap_or(false),
            bos_token_id: self.bos_token_id.and_then(|ids| ids.into_vec().first().copied()),
            eos_token_ids: self.eos_token_id.map(TokenIds::into_vec).unwrap_or_default(),
        })
    }
}

fn architecture_name(architectures: Option<Vec<String>>, model_type: Option<String>) -> String {
    architectures.into_iter().flatten().next().or(model_type).unwrap_or_default()
}

fn malformed(file: &str, problem: impl std::fmt::Display) -> LoadError {
    LoadError::Malformed { file: file.to_owned(), problem: problem.to_string() }
}

fn unsupported(file: &str, setting: &str, found: String, supported: &str) -> LoadError {
    LoadError::Unsupported {
        file: file.to_owned(),
        setting: setting.to_owned(),
        found,
        supported: format!("supported: {supported}"),
    }
}
