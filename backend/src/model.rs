//! Models: from a folder, or from the bytes compiled in, to a decoder that is ready to step.
//!
//! Reading order: [`config`] (what config.json says, and what is refused), `files` and `mapped` (where bytes
//! come from), `weights` (tensors by name), `assemble` (tensors to layers), `tokenizer` and `generation` (the
//! other files), [`decoder`] (the forward pass over a packed step), `linear`, `attention`, [`rope`] and
//! [`cache`] (its parts), `cpu` (kernels), `device` (where it runs), [`error`] (why a model is refused).

mod assemble;
mod attention;
pub mod cache;
pub mod config;
mod cpu;
pub mod decoder;
#[cfg(feature = "demo-model")]
mod demo;
mod device;
pub mod error;
mod files;
mod generation;
mod linear;
mod mapped;
pub mod rope;
mod tokenizer;
mod weights;

use std::path::PathBuf;
use std::sync::Arc;

use candle_core::DType;
pub use decoder::{Chunk, Decoder};
pub use device::DeviceChoice;
pub use error::LoadError;
pub use generation::SamplingDefaults;
pub use tokenizers::Tokenizer;

use crate::chat_template::ChatTemplate;
use assemble::Assembler;
use config::DecoderConfig;
use files::ModelFiles;
use generation::GenerationConfig;
use weights::Weights;

/// Where a model comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ModelSource {
    /// A folder as Hugging Face lays it out: `config.json`, `tokenizer.json`, `*.safetensors`.
    Folder(PathBuf),
    /// The model that is compiled in.
    #[cfg(feature = "demo-model")]
    Demo,
}

/// How a model is loaded.
#[derive(Clone, Debug, Default)]
pub struct LoadOptions {
    /// Where it runs.
    pub device: DeviceChoice,
    /// What weights and cache are kept in: f32, f16 or bf16. `None`: f32 on the CPU, bf16 on a GPU.
    pub dtype: Option<DType>,
}

/// A model that is ready to run.
#[derive(Debug)]
pub struct LoadedModel {
    /// Goes to [`crate::engine::Engine::start`].
    pub decoder: Decoder,
    /// Text to tokens. A rendered chat prompt holds its special tokens already: encode it with
    /// `add_special_tokens` false, a plain prompt with true.
    pub tokenizer: Arc<Tokenizer>,
    /// Messages to a prompt; `None` where the model ships no template.
    pub chat_template: Option<ChatTemplate>,
    /// What to tell people about the model.
    pub info: ModelInfo,
}

/// What to tell people about a model.
#[derive(Clone, Debug)]
pub struct ModelInfo {
    /// As config.json names it, such as `LlamaForCausalLM`.
    pub architecture: String,
    /// Weights, counted once where the output shares the input's.
    pub parameters: u64,
    /// `f32`, `f16` or `bf16`.
    pub dtype: String,
    /// `cpu`, `cuda:0`, `metal`.
    pub device: String,
    /// Positions that the model was made for.
    pub context_length: usize,
    /// Rows of the output, which may exceed what the tokenizer knows.
    pub vocab_size: usize,
    /// Tokens that end an answer, from generation_config.json, else config.json.
    pub eos_token_ids: Vec<u32>,
    /// The token that begins a text.
    pub bos_token_id: Option<u32>,
    /// What generation_config.json proposes where a request says nothing.
    pub sampling: SamplingDefaults,
}

/// Loads a model: checks all its files, then maps the weights and brings them to the device. Blocking.
///
/// # Errors
/// Names the file, and where it applies the tensor or the setting, that cannot be used.
pub fn load(source: &ModelSource, options: &LoadOptions) -> Result<LoadedModel, LoadError> {
    let files = ModelFiles::open(source)?;
    let config = files.require(config::FILE, "the model's shape")?;
    let config = DecoderConfig::parse(&config, &files.name(config::FILE))?;
    let generation = GenerationConfig::read(&files)?;
    let tokenizer = tokenizer::load_tokenizer(&files, &config)?;
    let chat_template = tokenizer::load_chat_template(&files, &config, &tokenizer)?;
    let (device, chosen) = options.device.open()?;
    let dtype = device::dtype_for(&device, options.dtype)?;
    let weights = Weights::open(&files)?;
    let mut assembler =
        Assembler { weights: &weights, config: &config, dtype, device: &device, parameters: 0 };
    let decoder = assembler.decoder()?;
    let info = ModelInfo {
        parameters: assembler.parameters,
        dtype: dtype.as_str().to_owned(),
        device: chosen.to_string(),
        context_length: config.context_length,
        vocab_size: config.vocab_size,
        eos_token_ids: generation.eos_token_ids().unwrap_or(config.eos_token_ids),
        bos_token_id: generation.bos_token_id().or(config.bos_token_id),
        sampling: generation.sampling(),
        architecture: config.architecture,
    };
    Ok(LoadedModel { decoder, tokenizer: Arc::new(tokenizer), chat_template, info })
}
