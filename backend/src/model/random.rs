//! A model of a given shape with weights that mean nothing, made where it runs: for measuring speed without a checkpoint.

use std::path::Path;

use candle_core::Tensor;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::assemble::Assembler;
use super::config::DecoderConfig;
use super::error::LoadError;
use super::generation::SamplingDefaults;
use super::intake::Intake;
use super::weights::{Placement, Weights};
use super::{Batching, Decoder, LoadOptions, ModelInfo, device};

/// Numbers that all matrices are made of, again and again: a prime, so that neighbouring rows differ.
const NUMBERS: usize = 1_048_573;

/// Half the width of the range that they are drawn from: small, as weights are.
const SPREAD: f32 = 0.02;

/// The weights of such a model.
#[derive(Debug)]
pub(crate) struct Random {
    numbers: Tensor,
}

impl Random {
    fn new(to: Placement<'_>) -> candle_core::Result<Self> {
        let mut random = StdRng::seed_from_u64(1);
        let numbers: Vec<f32> = (0..NUMBERS).map(|_| random.random_range(-SPREAD..SPREAD)).collect();
        Ok(Self { numbers: Tensor::from_vec(numbers, NUMBERS, to.device)?.to_dtype(to.dtype)? })
    }

    /// A matrix of small numbers; ones for a norm, zeros for a bias.
    pub(crate) fn tensor(&self, name: &str, shape: &[usize], to: Placement<'_>) -> Result<Tensor, LoadError> {
        let made = match shape {
            [_] if name.ends_with("bias") => Tensor::zeros(shape, to.dtype, to.device),
            [_] => Tensor::ones(shape, to.dtype, to.device),
            _ => self.repeated(shape),
        };
        made.map_err(|source| LoadError::Compute { what: name.to_owned(), source })
    }

    fn repeated(&self, shape: &[usize]) -> candle_core::Result<Tensor> {
        let elements: usize = shape.iter().product();
        let mut pieces = vec![self.numbers.clone(); elements / NUMBERS];
        pieces.push(self.numbers.narrow(0, 0, elements % NUMBERS)?);
        Tensor::cat(&pieces, 0)?.reshape(shape)
    }
}

/// A decoder of the shape that this config.json describes. Blocking.
///
/// # Errors
/// Names what the file lacks, and what cannot be made on the device.
pub fn random(config: &Path, options: &LoadOptions) -> Result<(Decoder, ModelInfo), LoadError> {
    let file = config.display().to_string();
    let text = std::fs::read(config).map_err(|source| LoadError::Read { file: file.clone(), source })?;
    let mut config = DecoderConfig::parse(&text, &file)?;
    config.context_length = options.context_length(config.context_length)?;
    let (device, chosen) = options.device.open()?;
    let dtype = device::dtype_for(&device, options.dtype)?;
    let to = Placement { dtype, device: &device };
    let numbers = Random::new(to);
    let numbers = numbers.map_err(|source| LoadError::Compute { what: file, source })?;
    let weights = Weights::Random(numbers);
    let mut intake = Intake::new(&weights, to, options.quantization);
    let decoder = Assembler::new(&mut intake, &config).decoder(options.kernels)?;
    device::settle(&device)?;
    let info = ModelInfo {
        parameters: intake.parameters(),
        dtype: dtype.as_str().to_owned(),
        quantization: intake.quantization(),
        device: chosen.to_string(),
        context_length: config.context_length,
        vocab_size: config.vocab_size,
        eos_token_ids: Vec::new(),
        bos_token_id: None,
        sampling: SamplingDefaults::default(),
        embedding: None,
        batching: Batching::Continuous,
        architecture: config.architecture,
    };
    Ok((decoder, info))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::random;
    use crate::model::{Chunk, DeviceChoice, LoadOptions};

    #[test]
    fn a_shape_alone_gives_a_model_that_steps() {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/models/qwen3_bias");
        let options = LoadOptions { device: DeviceChoice::Cpu, ..LoadOptions::default() };
        let (decoder, info) = random(&folder.join("config.json"), &options).unwrap();
        assert!(info.parameters > 0);
        let cache = decoder.new_cache(1).unwrap();
        let chunk = Chunk { tokens: &[1, 2, 3], start: 0, blocks: &[0], logits: true };
        let logits = decoder.forward(&cache, &[chunk]).unwrap().unwrap();
        let logits = logits.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        assert!(logits.len() == info.vocab_size && logits.iter().all(|logit| logit.is_finite()));
        assert!(logits.iter().any(|logit| *logit != logits[0]));
    }
}
