//! A matrix of quantised blocks, by candle's kernels or, for 8 bits on a CPU, by ours.

use std::sync::Arc;

use candle_core::quantized::{GgmlDType, QMatMul, QStorage, QTensor};
use candle_core::{DType, Device, Module, Result, Tensor};

use crate::model::cpu::q8_0::{Kernel, Q8_0};

/// A matrix `[outputs, inputs]` of small integers with a scale for each block of them, as GGUF files keep it.
#[derive(Clone, Debug)]
pub(crate) enum Blocks {
    /// As in the file.
    Plain(QMatMul),
    /// In the order of our kernel.
    Q8_0(Arc<Q8_0>),
}

impl Blocks {
    pub(crate) fn new(tensor: QTensor) -> Result<Self> {
        Ok(Self::Plain(QMatMul::from_qtensor(tensor)?))
    }

    /// What the integers are.
    pub(crate) fn kind(&self) -> Option<GgmlDType> {
        match self {
            Self::Plain(QMatMul::QTensor(tensor)) => Some(tensor.dtype()),
            Self::Plain(_) => None,
            Self::Q8_0(_) => Some(GgmlDType::Q8_0),
        }
    }

    /// The rows of these numbers, in `dtype`.
    pub(crate) fn rows(&self, numbers: &Tensor, dtype: DType) -> Result<Tensor> {
        match self {
            Self::Plain(product) => product.embedding(numbers)?.to_dtype(dtype),
            Self::Q8_0(matrix) => {
                let rows = matrix.rows(&numbers.to_vec1::<u32>()?);
                Tensor::from_vec(rows, (numbers.elem_count(), matrix.dims().1), &Device::Cpu)?.to_dtype(dtype)
            }
        }
    }

    /// The matrix in numbers.
    pub(crate) fn dequantized(&self, dtype: DType) -> Result<Tensor> {
        match self {
            Self::Plain(QMatMul::QTensor(tensor)) => tensor.dequantize(&tensor.device())?.to_dtype(dtype),
            Self::Plain(QMatMul::Tensor(tensor) | QMatMul::TensorF16(tensor)) => tensor.to_dtype(dtype),
            Self::Q8_0(matrix) => {
                let all = Tensor::arange(0, matrix.dims().0 as u32, &Device::Cpu)?;
                self.rows(&all, dtype)
            }
        }
    }

    /// `x · Wᵀ`.
    pub(crate) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        match self {
            Self::Plain(product) if x.device().is_cpu() && x.dim(0)? == 1 && self.sums_alone_otherwise() => {
                product.forward(&Tensor::cat(&[x, x], 0)?)?.narrow(0, 0, 1)?.contiguous()
            }
            Self::Plain(product) => product.forward(x),
            Self::Q8_0(matrix) => {
                let product = x.to_dtype(DType::F32)?.apply_op1_no_bwd(&matrix.as_ref())?;
                product.to_dtype(x.dtype())
            }
        }
    }

    /// The matrix with this one above and the other below, where their types are the same and neither is laid out anew.
    pub(crate) fn on_top_of(&self, below: &Self) -> Result<Option<Self>> {
        let (Self::Plain(QMatMul::QTensor(above)), Self::Plain(QMatMul::QTensor(below))) = (self, below)
        else {
            return Ok(None);
        };
        if above.dtype() != below.dtype() {
            return Ok(None);
        }
        let ((rows, width), (more, _)) = (above.shape().dims2()?, below.shape().dims2()?);
        let bytes = [above.data()?, below.data()?].concat();
        let storage = QStorage::from_data(bytes.into(), &above.device(), above.dtype())?;
        Self::new(QTensor::new(storage, (rows + more, width))?).map(Some)
    }

    /// In the order of our kernel, where there is one for the type, the device and this CPU.
    pub(crate) fn laid_out(self) -> Result<Self> {
        let (Self::Plain(QMatMul::QTensor(tensor)), Some(kernel)) = (&self, Kernel::best()) else {
            return Ok(self);
        };
        if tensor.dtype() != GgmlDType::Q8_0 || !tensor.device().is_cpu() {
            return Ok(self);
        }
        let (_, inputs) = tensor.shape().dims2()?;
        Ok(Self::Q8_0(Arc::new(Q8_0::new(&tensor.data()?, inputs, kernel)?)))
    }

    /// Whether candle's CPU kernels add up in another order when `x` has one row: the bits of a sequence would then
    /// depend on who shares its batch. Seen with 6 bits only, where the row is therefore computed twice.
    fn sums_alone_otherwise(&self) -> bool {
        self.kind() == Some(GgmlDType::Q6K)
    }
}

#[cfg(test)]
mod tests {
    use candle_core::quantized::{GgmlDType, QTensor};
    use candle_core::{DType, Device, Tensor};

    use super::Blocks;

    fn blocks(rows: usize, kind: GgmlDType) -> Blocks {
        let numbers = Tensor::randn(0f32, 1.0, (rows, 256), &Device::Cpu).unwrap();
        Blocks::new(QTensor::quantize(&numbers, kind).unwrap()).unwrap()
    }

    fn largest(difference: &Tensor) -> f32 {
        difference.abs().unwrap().max_all().unwrap().to_scalar().unwrap()
    }

    /// Of each type that files have: alone, among others, joined and laid out.
    #[test]
    fn two_make_one_and_a_row_gives_the_same_bits_alone() {
        for kind in [GgmlDType::Q8_0, GgmlDType::Q4K, GgmlDType::Q5K, GgmlDType::Q6K] {
            let (above, below) = (blocks(16, kind), blocks(33, kind));
            let both = above.on_top_of(&below).unwrap().unwrap();
            let plain = Tensor::cat(
                &[above.dequantized(DType::F32).unwrap(), below.dequantized(DType::F32).unwrap()],
                0,
            );
            let plain = plain.unwrap();
            let laid_out = both.laid_out().unwrap();
            assert_eq!(laid_out.kind(), Some(kind));
            assert_eq!(largest(&(laid_out.dequantized(DType::F32).unwrap() - &plain).unwrap()), 0.0);
            let x = Tensor::randn(0f32, 1.0, (5, 256), &Device::Cpu).unwrap();
            let together = laid_out.forward(&x).unwrap();
            let exact = x.matmul(&plain.t().unwrap()).unwrap();
            // `x` is rounded to 8 bits, too.
            assert!(largest(&(&together - exact).unwrap()) < 0.05 * 16.0, "{kind:?}");
            for row in 0..5 {
                let alone = laid_out.forward(&x.narrow(0, row, 1).unwrap()).unwrap();
                assert_eq!(
                    largest(&(alone - together.narrow(0, row, 1).unwrap()).unwrap()),
                    0.0,
                    "{kind:?}, row {row}"
                );
            }
        }
    }
}
