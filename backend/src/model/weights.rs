//! Weights by name, whatever kind of file they are in. Names are those of Hugging Face's checkpoints.

mod safetensors;

use candle_core::{DType, Device, Tensor};

use super::error::LoadError;
use super::gguf::GgufWeights;
use super::linear::Weight;
use super::random::Random;
pub(crate) use safetensors::Safetensors;

/// All weights of a model, not yet on any device.
pub(crate) enum Weights {
    Safetensors(Safetensors),
    Gguf(GgufWeights),
    /// Of no file.
    Random(Random),
}

/// Where weights go, and as what.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Placement<'a> {
    /// The type of what is not quantised.
    pub(crate) dtype: DType,
    pub(crate) device: &'a Device,
}

impl Weights {
    /// Brings a matrix `[outputs, inputs]` to a device; it stays quantised if it is so in the file.
    pub(crate) fn matrix(
        &self,
        name: &str,
        shape: [usize; 2],
        to: Placement<'_>,
    ) -> Result<Weight, LoadError> {
        match self {
            Self::Safetensors(files) => files.tensor(name, &shape, to).map(Weight::Dense),
            Self::Gguf(file) => file.matrix(name, shape, to),
            Self::Random(random) => random.tensor(name, &shape, to).map(Weight::Dense),
        }
    }

    /// Brings a norm, a bias or a table to a device, as numbers.
    pub(crate) fn numbers(
        &self,
        name: &str,
        shape: &[usize],
        to: Placement<'_>,
    ) -> Result<Tensor, LoadError> {
        match self {
            Self::Safetensors(files) => files.tensor(name, shape, to),
            Self::Gguf(file) => file.numbers(name, shape, to),
            Self::Random(random) => random.tensor(name, shape, to),
        }
    }
}
