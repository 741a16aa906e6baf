//! Models: from a folder, or from the bytes compiled in, to a decoder that is ready to step.
//!
//! Reading order: `hub` (models by name), `parts` (what a model consists of), [`config`] (what config.json says, and what is refused),
//! `files` and `mapped` (where bytes come from), `weights` (tensors by name), `gguf` (all of these from one
//! file), `quantize` (fewer bits at load), `intake` and `assemble` (tensors to layers), `tokenizer` and `generation`
//! (the other files), [`decoder`] (the forward pass over a packed step), `linear`, `attention`, [`rope`] and
//! [`cache`] (its parts), `cpu` and `cuda` (kernels), `device` (where it runs), [`error`] (why a model is refused). Models that make
//! embeddings stand beside that: `encoder` (the forward pass over packed texts), `embedder` (what stands behind it); and so do those
//! that run one sequence at a time: `serial`. `random` makes models that only measure speed.

mod assemble;
mod attention;
pub mod cache;
pub mod config;
mod cpu;
#[cfg_attr(
    not(any(feature = "cuda", test)),
    expect(dead_code, reason = "nothing opens a GPU without the feature; the tests play one")
)]
mod cuda;
pub mod decoder;
#[cfg(feature = "demo-model")]
pub(crate) mod demo;
mod device;
mod embedder;
mod encoder;
pub mod error;
mod files;
mod generation;
mod gguf;
mod hub;
mod intake;
mod linear;
mod mapped;
mod parts;
mod quantize;
mod random;
pub mod rope;
mod serial;
mod tokenizer;
mod weights;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use candle_core::DType;
pub(crate) use cuda::{Chosen, Draw};
pub use decoder::{Chunk, Decoder};
pub use device::DeviceChoice;
pub(crate) use embedder::normalize;
pub use embedder::{Embedder, EmbeddingInfo, LoadedEmbedder};
pub use error::LoadError;
pub use generation::SamplingDefaults;
pub use hub::HubModel;
pub use quantize::Quantization;
pub use random::random;
use serde_json::Value;
pub use serial::{LoadedSerial, SerialModel};
pub use tokenizers::Tokenizer;
use tokio_util::sync::CancellationToken;

use crate::chat_template::ChatTemplate;
use assemble::Assembler;
use files::ModelFiles;
use intake::Intake;
use parts::Parts;
use weights::Placement;

/// Where a model comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ModelSource {
    /// A folder as Hugging Face lays it out: `config.json`, `tokenizer.json`, `*.safetensors`.
    Folder(PathBuf),
    /// A GGUF file. The tokenizer.json beside it counts, else what the file says about its tokenizer.
    Gguf(PathBuf),
    /// A model on the hub, by its name.
    Hub(HubModel),
    /// The model that is compiled in.
    #[cfg(feature = "demo-model")]
    Demo,
}

impl ModelSource {
    /// The model at this path: a file that is called so is GGUF. What is not there and looks like a name on the hub is
    /// one, and everything else a folder.
    #[must_use]
    pub fn at(path: &Path) -> Self {
        let gguf = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("gguf"));
        if path.exists() {
            return if gguf && !path.is_dir() {
                Self::Gguf(path.to_owned())
            } else {
                Self::Folder(path.to_owned())
            };
        }
        match path.to_str().and_then(HubModel::named) {
            _ if gguf => Self::Gguf(path.to_owned()),
            Some(model) => Self::Hub(model),
            None => Self::Folder(path.to_owned()),
        }
    }

    /// The same model where its files are on this machine. Blocking.
    fn fetched(&self) -> Result<Self, LoadError> {
        match self {
            Self::Hub(model) => model.fetch().map(Self::Folder),
            here => Ok(here.clone()),
        }
    }

    /// What the model is called where it is given no name; `None` for the one that is compiled in.
    #[must_use]
    pub fn name(&self) -> Option<String> {
        let name = match self {
            Self::Gguf(path) => path.file_stem().unwrap_or(path.as_os_str()).to_owned(),
            // The folder's own name, also of `.` and of links; what was given where there is no such folder, so
            // that the loader can say so.
            Self::Folder(folder) => {
                let real = folder.canonicalize().unwrap_or_else(|_| folder.clone());
                real.file_name().unwrap_or(real.as_os_str()).to_owned()
            }
            Self::Hub(model) => return Some(model.repository.clone()),
            #[cfg(feature = "demo-model")]
            Self::Demo => return None,
        };
        Some(name.to_string_lossy().into_owned())
    }
}

/// How a model is loaded.
#[derive(Clone, Debug, Default)]
pub struct LoadOptions {
    /// Where it runs.
    pub device: DeviceChoice,
    /// What weights and cache are kept in: f32, f16 or bf16. `None`: f32 on the CPU, bf16 on a GPU.
    pub dtype: Option<DType>,
    /// What weights are kept as. `None`: as they are in the file.
    pub quantization: Option<Quantization>,
    /// Tokens that a sequence may have, where they are to be less than what the model was made for.
    pub max_model_len: Option<usize>,
    /// Whose kernels a GPU runs.
    pub kernels: DeviceKernels,
    /// Ends the loading between two weights, with [`LoadError::Stopped`], once it is cancelled.
    pub stop: CancellationToken,
}

/// Whose kernels run on a GPU between the matrix products.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeviceKernels {
    /// Tidegate's where there are any for the device and the model, else candle's.
    #[default]
    Own,
    /// Candle's: slower, but a second opinion.
    Candle,
}

impl LoadOptions {
    /// The context of a model that was made for `trained` tokens.
    fn context_length(&self, trained: usize) -> Result<usize, LoadError> {
        match self.max_model_len {
            Some(asked) if asked > trained => {
                Err(LoadError::TooLong { setting: "--max-model-len", asked, trained })
            }
            asked => Ok(asked.unwrap_or(trained)),
        }
    }
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
    /// `f32`, `f16` or `bf16`: what is computed in, and what weights are kept in that are not quantised.
    pub dtype: String,
    /// The types that weights are quantised in, the one of the most first, such as `q4_k+q6_k`.
    pub quantization: Option<String>,
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
    /// Of a model that makes embeddings, and generates nothing: what they are.
    pub embedding: Option<EmbeddingInfo>,
    /// How many sequences share a step.
    pub batching: Batching,
}

/// How many sequences share a step of the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Batching {
    /// All that run; they join and leave between steps.
    Continuous,
    /// One; the others wait for its end.
    Serial,
}

impl std::fmt::Display for Batching {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Continuous => "continuous",
            Self::Serial => "serial",
        })
    }
}

/// A model of any kind that is ready to run.
#[derive(Debug)]
pub enum AnyModel {
    /// It generates text.
    Generator(Box<LoadedModel>),
    /// It generates text, for one sequence at a time.
    Serial(Box<LoadedSerial>),
    /// It makes embeddings.
    Embedder(Box<LoadedEmbedder>),
}

/// Loads a model of any kind, as its config.json says. Blocking.
///
/// # Errors
/// Names the file, and where it applies the tensor or the setting, that cannot be used.
pub fn open(source: &ModelSource, options: &LoadOptions) -> Result<AnyModel, LoadError> {
    let source = &source.fetched()?;
    let files = ModelFiles::open(source)?;
    let config = match source {
        ModelSource::Gguf(_) => None,
        _ => files.read(config::FILE)?,
    };
    // What is no JSON is refused where it is read in earnest.
    let config: Option<Value> = config.and_then(|config| serde_json::from_slice(&config).ok());
    if config.as_ref().is_some_and(encoder::is_encoder) {
        return embedder::load(&files, options).map(Box::new).map(AnyModel::Embedder);
    }
    if config.as_ref().is_some_and(serial::is_serial) {
        return serial::load(&files, options).map(Box::new).map(AnyModel::Serial);
    }
    load(source, options).map(Box::new).map(AnyModel::Generator)
}

/// Loads a model that generates text: checks all its files, then maps the weights and brings them to the device. Blocking.
///
/// # Errors
/// Names the file, and where it applies the tensor or the setting, that cannot be used.
pub fn load(source: &ModelSource, options: &LoadOptions) -> Result<LoadedModel, LoadError> {
    let mut parts = Parts::read(&source.fetched()?)?;
    parts.config.context_length = options.context_length(parts.config.context_length)?;
    let (device, chosen) = options.device.open()?;
    let dtype = device::dtype_for(&device, options.dtype)?;
    let to = Placement { dtype, device: &device };
    let mut intake = Intake::new(&parts.weights, to, options.quantization).until(&options.stop);
    let decoder = Assembler::new(&mut intake, &parts.config).decoder(options.kernels)?;
    device::settle(&device)?;
    let (parameters, quantization) = (intake.parameters(), intake.quantization());
    let (config, generation) = (parts.config, parts.generation);
    let info = ModelInfo {
        parameters,
        dtype: dtype.as_str().to_owned(),
        quantization,
        device: chosen.to_string(),
        context_length: config.context_length,
        vocab_size: config.vocab_size,
        eos_token_ids: generation.eos_token_ids().unwrap_or(config.eos_token_ids),
        bos_token_id: generation.bos_token_id().or(config.bos_token_id),
        sampling: generation.sampling(),
        embedding: None,
        batching: Batching::Continuous,
        architecture: config.architecture,
    };
    let (tokenizer, chat_template) = (Arc::new(parts.tokenizer), parts.chat_template);
    Ok(LoadedModel { decoder, tokenizer, chat_template, info })
}

impl ModelInfo {
    /// What weights are kept in, in a word: `f32`, or `q8_0, f32` where most are quantised.
    #[must_use]
    pub fn precision(&self) -> String {
        match &self.quantization {
            Some(quantization) => format!("{quantization}, {}", self.dtype),
            None => self.dtype.clone(),
        }
    }
}
