//! Texts to embeddings: an encoder, and what sentence-transformers puts behind it, as the model's own files say.
//!
//! `modules` reads those files, `pooling` makes one vector of a text's tokens.

mod modules;
mod pooling;

use std::sync::Arc;

use candle_core::{DType, Device, Result, Tensor};
use tokenizers::Tokenizer;

use super::encoder::{self, Encoder, EncoderConfig, Matryoshka};
use super::error::LoadError;
use super::files::ModelFiles;
use super::intake::{Intake, join};
use super::linear::Linear;
use super::quantize::Role;
use super::tokenizer::load_tokenizer;
use super::weights::{Placement, Safetensors, Weights};
use super::{Batching, LoadOptions, ModelInfo, SamplingDefaults, config, device};
use modules::{Activation, DenseConfig, Modules};
use pooling::Pooling;

/// Makes embeddings of texts.
#[derive(Debug)]
pub struct Embedder {
    encoder: Encoder,
    pooling: Vec<Pooling>,
    dense: Vec<Dense>,
    normalize: bool,
    max_tokens: usize,
}

/// What an embedding model gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EmbeddingInfo {
    /// Numbers of an embedding.
    pub width: usize,
    /// Smaller widths that an embedding may be cut to: `None` where the model was not trained for that, empty where it
    /// was trained for any.
    pub shorter: Option<Vec<usize>>,
    /// Whether embeddings have length 1.
    pub normalized: bool,
}

/// A linear layer behind the pooling.
#[derive(Debug)]
struct Dense {
    linear: Linear,
    activation: Activation,
}

/// An embedding model that is ready to run.
#[derive(Debug)]
pub struct LoadedEmbedder {
    /// Goes to [`crate::engine::Engine::start_embedder`].
    pub embedder: Embedder,
    /// Text to tokens, with the special tokens that the model was trained with.
    pub tokenizer: Arc<Tokenizer>,
    /// What to tell people about the model.
    pub info: ModelInfo,
}

impl Embedder {
    /// Tokens that a text may have, special tokens included.
    #[must_use]
    pub fn max_tokens(&self) -> usize {
        self.max_tokens
    }

    /// Token ids that there are.
    #[must_use]
    pub fn vocab_size(&self) -> usize {
        self.encoder.config().vocab_size
    }

    /// The embeddings of these texts, given as tokens, in one forward pass; each is what the text gives alone.
    ///
    /// # Errors
    /// When the device fails, or a text is empty or too long.
    pub fn embed(&self, texts: &[&[u32]]) -> Result<Vec<Vec<f32>>> {
        let states = self.encoder.forward(texts)?.to_dtype(DType::F32)?;
        let mut start = 0;
        let pooled = texts.iter().map(|text| {
            let own = states.narrow(0, start, text.len())?;
            start += text.len();
            let parts = self.pooling.iter().map(|pooling| pooling.pool(&own));
            Tensor::cat(&parts.collect::<Result<Vec<_>>>()?, 0)
        });
        let mut x = Tensor::stack(&pooled.collect::<Result<Vec<_>>>()?, 0)?;
        for dense in &self.dense {
            x = dense.forward(&x)?;
        }
        let mut embeddings: Vec<Vec<f32>> = x.to_vec2()?;
        if self.normalize {
            embeddings.iter_mut().for_each(|embedding| normalize(embedding));
        }
        Ok(embeddings)
    }
}

impl Dense {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let x = self.linear.forward(x)?;
        match self.activation {
            Activation::Identity => Ok(x),
            Activation::Tanh => x.tanh(),
        }
    }
}

/// Brings a vector to length 1; one of zeros stays so.
pub(crate) fn normalize(vector: &mut [f32]) {
    let length = vector.iter().map(|x| f64::from(*x) * f64::from(*x)).sum::<f64>().sqrt().max(1e-12);
    for x in vector {
        *x = (f64::from(*x) / length) as f32;
    }
}

/// Loads an embedding model from its folder.
pub(crate) fn load(
    files: &ModelFiles,
    options: &LoadOptions,
) -> std::result::Result<LoadedEmbedder, LoadError> {
    let config = read_config(files)?;
    let modules = Modules::read(files, config.hidden_size)?;
    let tokenizer = Arc::new(modules.adapt(load_tokenizer(files, config.vocab_size)?)?);
    let (device, chosen) = options.device.open()?;
    let dtype = device::dtype_for(&device, options.dtype)?;
    let safetensors = Safetensors::open(files)?;
    let (names, weights) = (safetensors.names(), Weights::Safetensors(safetensors));
    let to = Placement { dtype, device: &device };
    let mut intake = Intake::new(&weights, to, options.quantization).until(&options.stop);
    let encoder = encoder::encoder(&mut intake, &config, |name| names.contains(name))?;
    let (mut parameters, quantization) = (intake.parameters(), intake.quantization());
    let dense = modules.dense.iter().map(|dense| load_dense(files, dense, &device, &mut parameters));
    let dense = dense.collect::<std::result::Result<Vec<_>, _>>()?;
    device::settle(&device)?;
    let max_tokens = options.context_length(modules.longest(config.max_tokens()))?;
    let info = ModelInfo {
        parameters,
        dtype: dtype.as_str().to_owned(),
        quantization,
        device: chosen.to_string(),
        context_length: max_tokens,
        vocab_size: config.vocab_size,
        eos_token_ids: Vec::new(),
        bos_token_id: None,
        sampling: SamplingDefaults::default(),
        embedding: Some(embedding_info(&config, &modules)),
        batching: Batching::Continuous,
        architecture: config.architecture,
    };
    let Modules { pooling, normalize, .. } = modules;
    let embedder = Embedder { encoder, pooling, dense, normalize, max_tokens };
    Ok(LoadedEmbedder { embedder, tokenizer, info })
}

fn read_config(files: &ModelFiles) -> std::result::Result<EncoderConfig, LoadError> {
    let file = files.name(config::FILE);
    let bytes = files.require(config::FILE, "the model's shape")?;
    let value = serde_json::from_slice(&bytes)
        .map_err(|error| LoadError::Malformed { file: file.clone(), problem: error.to_string() })?;
    EncoderConfig::parse(value, &file)
}

fn load_dense(
    files: &ModelFiles,
    dense: &DenseConfig,
    device: &Device,
    parameters: &mut u64,
) -> std::result::Result<Dense, LoadError> {
    let weights = Weights::Safetensors(Safetensors::open_single(files, &dense.weights)?);
    // What is pooled is in f32.
    let mut intake = Intake::new(&weights, Placement { dtype: DType::F32, device }, None);
    let matrix = intake.matrix("linear.weight", [dense.outputs, dense.inputs], Role::Layer)?;
    let bias = dense.bias.then(|| intake.vector("linear.bias", dense.outputs)).transpose()?;
    *parameters += intake.parameters();
    let linear = join(&dense.weights, vec![matrix], bias.map(|bias| vec![bias]))?;
    Ok(Dense { linear, activation: dense.activation })
}

fn embedding_info(config: &EncoderConfig, modules: &Modules) -> EmbeddingInfo {
    let width = modules.width;
    let shorter = match &config.matryoshka {
        Matryoshka::No => None,
        Matryoshka::Any => Some(Vec::new()),
        Matryoshka::These(widths) => Some(widths.iter().copied().filter(|given| *given < width).collect()),
    };
    EmbeddingInfo { width, shorter, normalized: modules.normalize }
}
