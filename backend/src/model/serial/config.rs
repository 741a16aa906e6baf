//! config.json of the models that run one sequence at a time: brought into the form that candle-transformers reads, and refused
//! where it would ignore a setting.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::model::config::TokenIds;
use crate::model::error::LoadError;

/// An architecture of candle-transformers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    Mixtral,
    Qwen3Moe,
    Phi,
    Olmo2,
}

const FAMILIES: [(&str, Family); 4] = [
    ("MixtralForCausalLM", Family::Mixtral),
    ("Qwen3MoeForCausalLM", Family::Qwen3Moe),
    ("PhiForCausalLM", Family::Phi),
    ("Olmo2ForCausalLM", Family::Olmo2),
];

/// What loading needs of the file.
#[derive(Debug)]
pub(super) struct SerialConfig {
    pub(super) family: Family,
    pub(super) architecture: &'static str,
    pub(super) vocab_size: usize,
    pub(super) context_length: usize,
    pub(super) bos_token_id: Option<u32>,
    pub(super) eos_token_ids: Vec<u32>,
    /// The file as candle-transformers reads it.
    pub(super) settings: Value,
}

#[derive(Deserialize)]
struct Raw {
    vocab_size: usize,
    hidden_size: usize,
    num_attention_heads: usize,
    max_position_embeddings: usize,
    head_dim: Option<usize>,
    bos_token_id: Option<TokenIds>,
    eos_token_id: Option<TokenIds>,
}

/// Whether a config.json is of one of these architectures.
pub(crate) fn is_serial(config: &Value) -> bool {
    family_of(config).is_some()
}

/// The architectures, for errors.
pub(crate) fn names() -> String {
    FAMILIES.map(|(architecture, _)| architecture).join(", ")
}

fn family_of(config: &Value) -> Option<(&'static str, Family)> {
    let named = config.get("architectures")?.get(0)?.as_str()?;
    FAMILIES.into_iter().find(|(architecture, _)| *architecture == named)
}

impl SerialConfig {
    /// Reads config.json; `file` is its name in errors.
    pub(super) fn parse(mut value: Value, file: &str) -> Result<Self, LoadError> {
        let malformed = |problem: String| LoadError::Malformed { file: file.to_owned(), problem };
        let (architecture, family) =
            family_of(&value).ok_or_else(|| malformed(format!("no architecture of these: {}", names())))?;
        let raw = Raw::deserialize(&value).map_err(|error| malformed(error.to_string()))?;
        let settings = value.as_object_mut().ok_or_else(|| malformed("not an object".to_owned()))?;
        settings.retain(|_, value| !value.is_null());
        take_rope(settings, file)?;
        // Transformers 5 writes the name that all mixtures of experts share.
        if let Some(experts) = settings.get("num_local_experts").cloned() {
            settings.entry("num_experts").or_insert(experts);
        }
        let own_head_dim = raw.head_dim.filter(|dim| dim * raw.num_attention_heads != raw.hidden_size);
        let positions = raw.max_position_embeddings;
        refuse_ignored(family, settings, own_head_dim, positions, file)?;
        for (setting, value) in family.needed(positions) {
            settings.entry(setting).or_insert(value);
        }
        let ids = |ids: Option<TokenIds>| ids.map(TokenIds::into_vec).unwrap_or_default();
        Ok(Self {
            family,
            architecture,
            vocab_size: raw.vocab_size,
            context_length: positions,
            bos_token_id: ids(raw.bos_token_id).first().copied(),
            eos_token_ids: ids(raw.eos_token_id),
            settings: value,
        })
    }
}

/// Transformers 5 writes one section for what stood beside the other settings before. Scaled positions are not known here.
fn take_rope(settings: &mut Map<String, Value>, file: &str) -> Result<(), LoadError> {
    for section in ["rope_parameters", "rope_scaling"] {
        let Some(Value::Object(rope)) = settings.remove(section) else { continue };
        let kind = rope.get("rope_type").or_else(|| rope.get("type")).and_then(Value::as_str);
        if let Some(kind) = kind.filter(|kind| *kind != "default") {
            return Err(unsupported(file, "rope_type", kind, "default"));
        }
        for setting in ["rope_theta", "partial_rotary_factor"] {
            if let Some(value) = rope.get(setting) {
                settings.insert(setting.to_owned(), value.clone());
            }
        }
    }
    Ok(())
}

impl Family {
    /// Settings that the architecture's code would ignore, and the one value that is as if it did not.
    fn ignored(self) -> Vec<(&'static str, Value)> {
        match self {
            Self::Mixtral => vec![("tie_word_embeddings", json!(false))],
            Self::Qwen3Moe => vec![("use_sliding_window", json!(false)), ("mlp_only_layers", json!([]))],
            Self::Phi => vec![("tie_word_embeddings", json!(false)), ("qk_layernorm", json!(false))],
            Self::Olmo2 => Vec::new(),
        }
    }

    /// Settings that the architecture's code does not do without.
    fn needed(self, positions: usize) -> Vec<(&'static str, Value)> {
        match self {
            // Wider than any distance: no window.
            Self::Mixtral => vec![("sliding_window", json!(positions)), ("use_flash_attn", json!(false))],
            Self::Qwen3Moe => vec![
                ("use_sliding_window", json!(false)),
                ("max_window_layers", json!(0)),
                ("attention_bias", json!(false)),
                ("tie_word_embeddings", json!(false)),
            ],
            Self::Phi => vec![("tie_word_embeddings", json!(false)), ("qk_layernorm", json!(false))],
            Self::Olmo2 => vec![("attention_bias", json!(false)), ("tie_word_embeddings", json!(false))],
        }
    }
}

/// Refuses what the architecture's code would ignore.
fn refuse_ignored(
    family: Family,
    settings: &Map<String, Value>,
    own_head_dim: Option<usize>,
    positions: usize,
    file: &str,
) -> Result<(), LoadError> {
    for (setting, expected) in family.ignored() {
        if let Some(found) = settings.get(setting).filter(|found| **found != expected) {
            return Err(unsupported(file, setting, &found.to_string(), &expected.to_string()));
        }
    }
    if let Some(found) = settings.get("clip_qkv") {
        return Err(unsupported(file, "clip_qkv", &found.to_string(), "null"));
    }
    if let Some(found) = own_head_dim.filter(|_| family != Family::Qwen3Moe) {
        return Err(unsupported(file, "head_dim", &found.to_string(), "hidden_size / num_attention_heads"));
    }
    let window = settings.get("sliding_window").and_then(Value::as_u64).filter(|_| family == Family::Mixtral);
    match window.filter(|window| *window < positions as u64) {
        Some(window) => Err(unsupported(file, "sliding_window", &window.to_string(), "null")),
        None => Ok(()),
    }
}

fn unsupported(file: &str, setting: &str, found: &str, supported: &str) -> LoadError {
    LoadError::Unsupported {
        file: file.to_owned(),
        setting: setting.to_owned(),
        found: found.to_owned(),
        supported: format!("supported: {supported}"),
    }
}
