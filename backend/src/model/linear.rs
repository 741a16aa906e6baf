//! The linear layer, with weights as numbers or quantised.

use candle_core::quantized::{GgmlDType, QMatMul, QStorage, QTensor};
use candle_core::{DType, Module, Result, Tensor};

use super::cpu::matmul::DotRows;

/// A matrix `[outputs, inputs]`, as checkpoints keep it.
#[derive(Clone, Debug)]
pub(crate) enum Weight {
    /// Numbers.
    Dense(Tensor),
    /// Blocks of small integers with a scale each, as GGUF files keep them.
    Quantized(QMatMul),
}

impl Weight {
    /// A tensor of a GGUF file: what is not quantised there becomes numbers of `dtype`.
    pub(crate) fn from_qtensor(tensor: QTensor, dtype: DType) -> Result<Self> {
        if is_quantized(tensor.dtype()) {
            return Ok(Self::Quantized(QMatMul::from_qtensor(tensor)?));
        }
        Ok(Self::Dense(tensor.dequantize(&tensor.device())?.to_dtype(dtype)?))
    }

    /// The type of quantised weights.
    pub(crate) fn quantized_type(&self) -> Option<GgmlDType> {
        match self {
            Self::Quantized(QMatMul::QTensor(tensor)) => Some(tensor.dtype()),
            _ => None,
        }
    }

    /// The rows of these numbers, in `dtype`: what an embedding does.
    pub(crate) fn rows(&self, numbers: &Tensor, dtype: DType) -> Result<Tensor> {
        match self {
            Self::Dense(tensor) => tensor.index_select(numbers, 0),
            Self::Quantized(blocks) => blocks.embedding(numbers)?.to_dtype(dtype),
        }
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        match self {
            Self::Dense(weight) if x.device().is_cpu() && x.dtype() == DType::F32 => {
                x.apply_op2_no_bwd(weight, &DotRows)
            }
            Self::Dense(weight) => x.matmul(&weight.t()?),
            Self::Quantized(weight)
                if x.device().is_cpu() && x.dim(0)? == 1 && self.sums_alone_otherwise() =>
            {
                weight.forward(&Tensor::cat(&[x, x], 0)?)?.narrow(0, 0, 1)?.contiguous()
            }
            Self::Quantized(weight) => weight.forward(x),
        }
    }

    /// Whether candle's CPU kernels add up in another order when `x` has one row: the bits of a sequence would then
    /// depend on who shares its batch. Seen with 6 bits only, where the row is therefore computed twice.
    fn sums_alone_otherwise(&self) -> bool {
        self.quantized_type() == Some(GgmlDType::Q6K)
    }

    /// The matrix with this one above and the other below, where their types allow one.
    fn on_top_of(&self, below: &Self) -> Result<Option<Self>> {
        match (self, below) {
            (Self::Dense(above), Self::Dense(below)) => {
                Tensor::cat(&[above, below], 0).map(|both| Some(Self::Dense(both)))
            }
            (Self::Quantized(QMatMul::QTensor(above)), Self::Quantized(QMatMul::QTensor(below)))
                if above.dtype() == below.dtype() =>
            {
                let ((rows, width), (more, _)) = (above.shape().dims2()?, below.shape().dims2()?);
                let bytes = [above.data()?, below.data()?].concat();
                let storage = QStorage::from_data(bytes.into(), &above.device(), above.dtype())?;
                let both = QTensor::new(storage, (rows + more, width))?;
                QMatMul::from_qtensor(both).map(|both| Some(Self::Quantized(both)))
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
        Ok(Self { parts, bias })
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
            Some(bias) => product.broadcast_add(bias),
            None => Ok(product),
        }
    }
}
