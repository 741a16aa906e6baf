//! What a model consists of before it is on a device, read from a folder or from a GGUF file and what lies beside it.

use std::path::Path;

use tokenizers::Tokenizer;

use super::ModelSource;
use super::config::{self, DecoderConfig};
use super::error::LoadError;
use super::files::ModelFiles;
use super::generation::GenerationConfig;
use super::gguf::{self, Gguf, GgufWeights};
use super::tokenizer::{SpecialIds, TOKENIZER, load_chat_template, load_tokenizer};
use super::weights::{Safetensors, Weights};
use crate::chat_template::ChatTemplate;

/// All files of a model, checked, its weights mapped.
pub(crate) struct Parts {
    pub(crate) config: DecoderConfig,
    pub(crate) generation: GenerationConfig,
    pub(crate) tokenizer: Tokenizer,
    pub(crate) chat_template: Option<ChatTemplate>,
    pub(crate) weights: Weights,
}

impl Parts {
    pub(crate) fn read(source: &ModelSource) -> Result<Self, LoadError> {
        let files = ModelFiles::open(source)?;
        match source {
            ModelSource::Gguf(path) => Self::from_gguf(path, &files),
            _ => Self::from_folder(&files),
        }
    }

    fn from_folder(files: &ModelFiles) -> Result<Self, LoadError> {
        let config = files.require(config::FILE, "the model's shape")?;
        let config = DecoderConfig::parse(&config, &files.name(config::FILE))?;
        let generation = GenerationConfig::read(files)?;
        let tokenizer = load_tokenizer(files, config.vocab_size)?;
        let chat_template = load_chat_template(files, None, ids(&config), &tokenizer)?;
        let weights = Weights::Safetensors(Safetensors::open(files)?);
        Ok(Self { config, generation, tokenizer, chat_template, weights })
    }

    /// The tokenizer and the chat template beside the file come before those within, which may be approximations.
    fn from_gguf(path: &Path, beside: &ModelFiles) -> Result<Self, LoadError> {
        let gguf = Gguf::open(path)?;
        let config = gguf::decoder_config(&gguf)?;
        let generation = GenerationConfig::read(beside)?;
        let tokenizer = match beside.read(TOKENIZER)? {
            Some(_) => load_tokenizer(beside, config.vocab_size)?,
            None => gguf::tokenizer(&gguf)?,
        };
        let within = gguf::chat_template(&gguf)?;
        let chat_template = load_chat_template(beside, within, ids(&config), &tokenizer)?;
        let weights = Weights::Gguf(GgufWeights::new(gguf, config.head_dim)?);
        Ok(Self { config, generation, tokenizer, chat_template, weights })
    }
}

fn ids(config: &DecoderConfig) -> SpecialIds {
    SpecialIds { bos: config.bos_token_id, eos: config.eos_token_ids.first().copied() }
}
