//! A model that runs one sequence at a time, from its folder.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use candle_core::{DType, Device, Shape, Tensor};
use candle_nn::var_builder::SimpleBackend;
use candle_nn::{Init, VarBuilder};
use tokenizers::Tokenizer;

use super::config::SerialConfig;
use super::network::{Network, Refusal};
use super::{SerialModel, SpecialIds};
use crate::chat_template::ChatTemplate;
use crate::model::config;
use crate::model::error::LoadError;
use crate::model::files::ModelFiles;
use crate::model::generation::GenerationConfig;
use crate::model::tokenizer::{load_chat_template, load_tokenizer};
use crate::model::weights::{Placement, Safetensors};
use crate::model::{Batching, LoadOptions, ModelInfo, Quantization, device};

/// A model that runs one sequence at a time, ready to run.
#[derive(Debug)]
pub struct LoadedSerial {
    /// Goes to [`crate::engine::Engine::start_serial`].
    pub model: SerialModel,
    /// Text to tokens, as for every model that generates.
    pub tokenizer: Arc<Tokenizer>,
    /// Messages to a prompt; `None` where the model ships no template.
    pub chat_template: Option<ChatTemplate>,
    /// What to tell people about the model.
    pub info: ModelInfo,
}

/// Loads it.
///
/// # Errors
/// Names the file, and where it applies the tensor or the setting, that cannot be used.
pub(crate) fn load(files: &ModelFiles, options: &LoadOptions) -> Result<LoadedSerial, LoadError> {
    refuse_quantization(options)?;
    let file = files.name(config::FILE);
    let bytes = files.require(config::FILE, "the model's shape")?;
    let value = serde_json::from_slice(&bytes)
        .map_err(|error| LoadError::Malformed { file: file.clone(), problem: error.to_string() })?;
    let config = SerialConfig::parse(value, &file)?;
    let generation = GenerationConfig::read(files)?;
    let tokenizer = load_tokenizer(files, config.vocab_size)?;
    let ids = SpecialIds { bos: config.bos_token_id, eos: config.eos_token_ids.first().copied() };
    let chat_template = load_chat_template(files, None, ids, &tokenizer)?;
    let (device, chosen) = options.device.open()?;
    let dtype = device::dtype_for(&device, options.dtype)?;
    let (network, parameters) = build(files, &config, dtype, &device)?;
    let (vocab_size, context_length) = (config.vocab_size, options.context_length(config.context_length)?);
    let info = ModelInfo {
        architecture: config.architecture.to_owned(),
        parameters,
        dtype: dtype.as_str().to_owned(),
        quantization: None,
        device: chosen.to_string(),
        context_length,
        vocab_size,
        eos_token_ids: generation.eos_token_ids().unwrap_or(config.eos_token_ids),
        bos_token_id: generation.bos_token_id().or(config.bos_token_id),
        sampling: generation.sampling(),
        embedding: None,
        batching: Batching::Serial,
    };
    device::settle(&device)?;
    let model = SerialModel::new(network, vocab_size, context_length, device);
    Ok(LoadedSerial { model, tokenizer: Arc::new(tokenizer), chat_template, info })
}

fn refuse_quantization(options: &LoadOptions) -> Result<(), LoadError> {
    match options.quantization.filter(|kind| *kind != Quantization::None) {
        None => Ok(()),
        Some(kind) => Err(LoadError::Unsupported {
            file: "--quantize".to_owned(),
            setting: "what weights are kept as".to_owned(),
            found: kind.to_string(),
            supported: "an architecture that runs one sequence at a time is kept in numbers".to_owned(),
        }),
    }
}

fn build(
    files: &ModelFiles,
    config: &SerialConfig,
    dtype: DType,
    device: &Device,
) -> Result<(Network, u64), LoadError> {
    let taken = Arc::new(Taken::default());
    let source = Named { files: Safetensors::open(files)?, taken: Arc::clone(&taken) };
    let weights = VarBuilder::from_backend(Box::new(source), dtype, device.clone());
    let file = files.name(config::FILE);
    match Network::new(config.family, &config.settings, weights) {
        Ok(network) => Ok((network, taken.parameters.load(Ordering::Relaxed))),
        Err(Refusal::Config(error)) => Err(LoadError::Malformed { file, problem: error.to_string() }),
        Err(Refusal::Weights(source)) => {
            let refused = taken.refused.lock().unwrap_or_else(PoisonError::into_inner).take();
            Err(refused.unwrap_or(LoadError::Compute { what: config.architecture.to_owned(), source }))
        }
    }
}

/// What the weights that were asked for were.
#[derive(Default)]
struct Taken {
    parameters: AtomicU64,
    /// The first that is not as it should be, in our own words.
    refused: Mutex<Option<LoadError>>,
}

/// Weights by name, as candle-transformers asks for them.
struct Named {
    files: Safetensors,
    taken: Arc<Taken>,
}

impl SimpleBackend for Named {
    fn get(
        &self,
        shape: Shape,
        name: &str,
        _: Init,
        dtype: DType,
        device: &Device,
    ) -> candle_core::Result<Tensor> {
        self.taken.parameters.fetch_add(shape.elem_count() as u64, Ordering::Relaxed);
        self.files.tensor(name, shape.dims(), Placement { dtype, device }).map_err(|error| {
            let message = candle_core::Error::msg(&error);
            self.taken.refused.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
            message
        })
    }

    fn get_unchecked(&self, name: &str, _: DType, _: &Device) -> candle_core::Result<Tensor> {
        candle_core::bail!("tensor {name} is asked for without a shape")
    }

    fn contains_tensor(&self, name: &str) -> bool {
        self.files.has(name)
    }
}
