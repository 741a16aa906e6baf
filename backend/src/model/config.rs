//! config.json: the shape of a model, and the refusal of every setting that would change the answer unseen.
//!
//! Parsed by ourselves because a setting that is silently ignored gives wrong text, not an error: transformers
//! 4 writes `rope_theta` and `rope_scaling`, transformers 5 `rope_parameters`. `family` says in what the
//! architectures differ, `raw` is the file as it stands, `rope` its rotary part, `windows` which layers look
//! back only so far.

mod family;
mod raw;
mod rope;
mod windows;

use serde::Deserialize;
use serde_json::Value;

use super::error::LoadError;
use super::rope::RopeConfig;
use family::Family;
use raw::Raw;

pub(crate) const FILE: &str = "config.json";

/// The shape of a decoder of the Llama family: one block for all of them, with what differs as a setting.
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
    /// What norms there are.
    pub norms: Norms,
    /// What has a bias.
    pub biases: Biases,
    /// What is multiplied and capped on the way.
    pub scales: Scales,
    /// Rotary positions.
    pub rope: RopeConfig,
    /// Rotary positions of the layers with a window, where they have their own.
    pub window_rope: Option<RopeConfig>,
    /// For each layer, how many positions a token sees, its own included; `None`: all of them.
    pub windows: Vec<Option<usize>>,
    /// The output shares the embedding's weights.
    pub tied_embeddings: bool,
    /// What the gate goes through.
    pub activation: Activation,
    /// The file keeps q, k and v as one matrix, and gate and up as another.
    pub fused_weights: bool,
    /// Begins a text.
    pub bos_token_id: Option<u32>,
    /// End an answer.
    pub eos_token_ids: Vec<u32>,
}

/// The norms of a decoder: roots of mean squares, times a weight.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Norms {
    /// Added to the mean square before the root.
    pub eps: f64,
    /// Queries and keys are normed head by head before they are turned.
    pub heads: bool,
    /// Attention and feed-forward part are normed behind as well as in front.
    pub sandwich: bool,
    /// Weights are kept less one.
    pub add_one: bool,
}

/// What has a bias.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Biases {
    /// Queries, keys and values.
    pub qkv: bool,
    /// The output of attention.
    pub attention_output: bool,
    /// The feed-forward part.
    pub mlp: bool,
}

/// What is multiplied and capped on the way. A capped value is `cap * tanh(value / cap)`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scales {
    /// Multiplies embeddings.
    pub embedding: f64,
    /// Multiplies the scores of attention.
    pub attention: f64,
    /// Caps the scores of attention.
    pub attention_cap: Option<f64>,
    /// Caps logits.
    pub logit_cap: Option<f64>,
}

/// What the gate of the feed-forward part goes through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// `x * sigmoid(x)`.
    Silu,
    /// GELU in its approximation by tanh.
    GeluTanh,
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

impl DecoderConfig {
    /// Reads config.json; `file` is its name in errors.
    ///
    /// # Errors
    /// When it is no such JSON, calls for something that is not implemented, or contradicts itself.
    pub fn parse(text: &[u8], file: &str) -> Result<Self, LoadError> {
        let mut value: Value = serde_json::from_slice(text).map_err(|error| malformed(file, error))?;
        // Looked at first: another architecture's file may lack what `Raw` needs, and the name says more.
        let (family, architecture) = Family::of(&value, file)?;
        family.fill_in(&mut value);
        let raw: Raw = serde_json::from_value(value).map_err(|error| malformed(file, error))?;
        let config = raw.into_config(family, architecture, file)?;
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

    /// Refuses sizes that contradict each other; `file` is the name in errors.
    pub(super) fn check(&self, file: &str) -> Result<(), LoadError> {
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
        match self.rope.rotary_dim(self.head_dim) {
            turned if turned == 0 || turned % 2 == 1 => {
                Err(malformed(file, format!("the rope settings turn {turned} of {}", self.head_dim)))
            }
            _ => Ok(()),
        }
    }
}

fn malformed(file: &str, problem: impl std::fmt::Display) -> LoadError {
    LoadError::Malformed { file: file.to_owned(), problem: problem.to_string() }
}

fn unsupported(file: &str, setting: &str, found: impl Into<String>, supported: &str) -> LoadError {
    LoadError::Unsupported {
        file: file.to_owned(),
        setting: setting.to_owned(),
        found: found.into(),
        supported: format!("supported: {supported}"),
    }
}
