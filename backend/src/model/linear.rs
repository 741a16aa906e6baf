//! The linear layer, with weights as numbers or quantised.

mod blocks;

use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{DType, Device, Result, Tensor};
use std::sync::Arc;

use super::cpu;
use super::cpu::panels::Panels;
use super::cpu::sum::Add;
pub(crate) use blocks::Blocks;

/// A matrix `[outputs, inputs]`, as checkpoints keep it.
#[derive(Clone, Debug)]
pub(crate) enum Weight {
    /// Numbers.
    Dense(Tensor),
    /// Numbers in the order of the CPU's kernel.
    Panels(Arc<Panels>),
    /// Small integers with scales.
    Quantized(Blocks),
}

impl Weight {
    /// A tensor of a GGUF file: what is not quantised there becomes numbers of `dtype`.
    pub(crate) fn from_qtensor(tensor: QTensor, dtype: DType) -> Result<Self> {
        if is_quantized(tensor.dtype()) {
            return Ok(Self::Quantized(Blocks::new(tensor)?));
        }
        Ok(Self::Dense(tensor.dequantize(&tensor.device())?.to_dtype(dtype)?))
    }

    /// The type of quantised weights.
    pub(crate) fn quantized_type(&self) -> Option<GgmlDType> {
        match self {
            Self::Quantized(blocks) => blocks.kind(),
            Self::Dense(_) | Self::Panels(_) => None,
        }
    }

    /// The rows of these numbers, in `dtype`: what an embedding does.
    pub(crate) fn rows(&self, numbers: &Tensor, dtype: DType) -> Result<Tensor> {
        match self {
            Self::Dense(tensor) => tensor.index_select(numbers, 0),
            Self::Panels(panels) => {
                let rows = panels.rows(&numbers.to_vec1::<u32>()?);
                Tensor::from_vec(rows, (numbers.elem_count(), panels.dims().1), &Device::Cpu)
            }
            Self::Quantized(blocks) => blocks.rows(numbers, dtype),
        }
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        match self {
            Self::Dense(weight) => x.matmul(&weight.t()?),
            Self::Panels(panels) => x.apply_op1_no_bwd(&panels.as_ref()),
            Self::Quantized(blocks) => blocks.forward(x),
        }
    }

    /// In the order that this device's kernels read best. To be called last: what is laid out anew is neither joined nor
    /// quantised any more.
    pub(crate) fn laid_out(self) -> Result<Self> {
        match self {
            Self::Dense(matrix) if matrix.device().is_cpu() && matrix.dtype() == DType::F32 => {
                let (_, inputs) = matrix.dims2()?;
                let numbers = matrix.flatten_all()?.to_vec1()?;
                Ok(Self::Panels(Arc::new(Panels::new(&numbers, inputs))))
            }
            Self::Quantized(blocks) => blocks.laid_out().map(Self::Quantized),
            other => Ok(other),
        }
    }

    /// The matrix with this one above and the other below, where their types allow one.
    fn on_top_of(&self, below: &Self) -> Result<Option<Self>> {
        match (self, below) {
            (Self::Dense(above), Self::Dense(below)) => {
                Tensor::cat(&[above, below], 0).map(|both| Some(Self::Dense(both)))
            }
            (Self::Quantized(above), Self::Quantized(below)) => {
                Ok(above.on_top_of(below)?.map(Self::Quantized))
            }
            _ => Ok(None),
        }
    }
}

/// Whether values share scales in blocks, and are not just short numbers.
fn is_quantized(dtype: GgmlDType) -> bool {
    dtype.block_size() > 1
}

/// `x · Wᵀ + b`.
#[derive(Clone, Debug)]
pub(crate) struct Linear {
    /// One matrix, or several that lie one below the other: files quantise what is used together in different
    /// types, which then cannot be one product.
    parts: Vec<Weight>,
    bias: Option<Tensor>,
}

impl Linear {
    /// Layers with the same input as one: `weights` one below the other.
    pub(crate) fn joined(weights: Vec<Weight>, bias: Option<Tensor>) -> Result<Self> {
        let mut parts: Vec<Weight> = Vec::with_capacity(weights.len());
        for weight in weights {
            match parts.last().map(|last| last.on_top_of(&weight)).transpose()?.flatten() {
                Some(both) => {
                    parts.pop();
                    parts.push(both);
                }
                None => parts.push(weight),
            }
        }
        let parts = parts.into_iter().map(Weight::laid_out).collect::<Result<_>>()?;
        Ok(Self { parts, bias })
    }

    /// The matrix and the bias, where it is one matrix of numbers.
    pub(crate) fn dense(&self) -> Option<(&Tensor, Option<&Tensor>)> {
        match self.parts.as_slice() {
            [Weight::Dense(weight)] => Some((weight, self.bias.as_ref())),
            _ => None,
        }
    }

    /// `x [tokens, inputs]` to `[tokens, outputs]`.
    pub(crate) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let product = match self.parts.as_slice() {
            [single] => single.forward(x)?,
            several => {
                let products = several.iter().map(|part| part.forward(x)).collect::<Result<Vec<_>>>()?;
                Tensor::cat(&products, 1)?
            }
        };
        match &self.bias {
            Some(bias) if cpu::takes(&product) && cpu::takes(bias) => {
                product.inplace_op2(bias, &Add)?;
                Ok(product)
            }
            Some(bias) => product.broadcast_add(bias),
            None => Ok(product),
        }
    }
}
