//! Models: from a folder, or from the bytes compiled in, to a decoder that is ready to step.
//!
//! Reading order: [`error`] (why a model is refused).

pub mod error;

use std::path::PathBuf;
use std::sync::Arc;

use candle_core::DType;
pub use error::LoadError;
pub use tokenizers::Tokenizer;

use crate::chat_template::ChatTemplate;

/// Where a model comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ModelSource {
    /// A folder as Hugging Face lays it out: `config.json`, `tokenizer.json`, `*.safetensors`.
    Folder(PathBuf),
    /// The model that is compiled in.
    #[cfg(feature = "demo-model")]
    Demo,
}

/// Where the model runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeviceChoice {
    /// The first GPU that this build can use, else the CPU.
    #[default]
    Auto,
    /// The CPU.
    Cpu,
    /// The CUDA device of this number.
    Cuda(usize),
    /// The Metal device.
    Metal,
}

impl std::str::FromStr for DeviceChoice {
    type Err = String;

    fn from_str(_text: &str) -> Result<Self, String> {
        Ok(Self::Cpu)
    }
}

/// How a model is loaded.
#[derive(Clone, Debug, Default)]
pub struct LoadOptions {
    /// Where it runs.
    pub device: DeviceChoice,
    /// What weights and cache are kept in: f32, f16 or bf16. `None`: f32 on the CPU, bf16 on a GPU.
    pub dtype: Option<DType>,
}

/// The model's weights and how to step them.
#[derive(Debug)]
pub struct Decoder;

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

/// Sampling that a model proposes (generation_config.json); `None` where it says nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct SamplingDefaults {
    /// 0 where the file says `do_sample: false`.
    pub temperature: Option<f32>,
    /// Nucleus of the most likely tokens.
    pub top_p: Option<f32>,
}

/// Loads a model: checks all its files, then maps the weights and brings them to the device. Blocking.
///
/// # Errors
/// Names the file, and where it applies the tensor or the setting, that cannot be used.
pub fn load(source: &ModelSource, options: &LoadOptions) -> Result<LoadedModel, LoadError> {
    let _ = (source, options);
    Err(LoadError::NotAFolder { path: PathBuf::new() })
}
