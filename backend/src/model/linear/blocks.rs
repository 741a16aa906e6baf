//! A matrix of quantised blocks, laid out so that candle's fast kernels take it.

use candle_core::quantized::{GgmlDType, QMatMul, QStorage, QTensor};
use candle_core::{DType, Module, Result, Tensor};

/// Candle's CPU kernels for repacked weights take rows of a multiple of this; the others go through a plain dot product, many
/// times slower.
const FAST_WIDTH: usize = 256;

/// A matrix `[outputs, inputs]` of small integers with a scale for each block of them, as GGUF files keep it.
#[derive(Clone, Debug)]
pub(crate) struct Blocks {
    /// `[outputs, inputs]`, on a CPU each row perhaps with empty blocks behind it.
    product: QMatMul,
    /// Inputs, without those blocks.
    width: usize,
}

impl Blocks {
    pub(crate) fn new(tensor: QTensor) -> Result<Self> {
        let (_, width) = tensor.shape().dims2()?;
        let tensor = match padding(&tensor, width) {
            0 => tensor,
            more => padded(&tensor, width, more)?,
        };
        Ok(Self { product: QMatMul::from_qtensor(tensor)?, width })
    }

    /// What the integers are.
    pub(crate) fn kind(&self) -> Option<GgmlDType> {
        match &self.product {
            QMatMul::QTensor(tensor) => Some(tensor.dtype()),
            _ => None,
        }
    }

    /// The rows of these numbers, in `dtype`.
    pub(crate) fn rows(&self, numbers: &Tensor, dtype: DType) -> Result<Tensor> {
        self.unpadded(&self.product.embedding(numbers)?)?.to_dtype(dtype)
    }

    /// The matrix in numbers.
    pub(crate) fn dequantized(&self, dtype: DType) -> Result<Tensor> {
        let numbers = match &self.product {
            QMatMul::QTensor(tensor) => tensor.dequantize(&tensor.device())?,
            QMatMul::Tensor(tensor) | QMatMul::TensorF16(tensor) => tensor.clone(),
        };
        self.unpadded(&numbers)?.to_dtype(dtype)
    }

    /// `x · Wᵀ`.
    pub(crate) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let more = self.padded_width()? - self.width;
        let x = if more > 0 { &x.pad_with_zeros(1, 0, more)? } else { x };
        if x.device().is_cpu() && x.dim(0)? == 1 && self.sums_alone_otherwise() {
            return self.product.forward(&Tensor::cat(&[x, x], 0)?)?.narrow(0, 0, 1)?.contiguous();
        }
        self.product.forward(x)
    }

    /// The matrix with this one above and the other below, where their types are the same.
    pub(crate) fn on_top_of(&self, below: &Self) -> Result<Option<Self>> {
        let (QMatMul::QTensor(above), QMatMul::QTensor(below)) = (&self.product, &below.product) else {
            return Ok(None);
        };
        if above.dtype() != below.dtype() {
            return Ok(None);
        }
        let ((rows, width), (more, _)) = (above.shape().dims2()?, below.shape().dims2()?);
        let bytes = [above.data()?, below.data()?].concat();
        let storage = QStorage::from_data(bytes.into(), &above.device(), above.dtype())?;
        let both = QTensor::new(storage, (rows + more, width))?;
        Ok(Some(Self { product: QMatMul::from_qtensor(both)?, width: self.width }))
    }

    /// Whether candle's CPU kernels add up in another order when `x` has one row: the bits of a sequence would then
    /// depend on who shares its batch. Seen with 6 bits only, where the row is therefore computed twice.
    fn sums_alone_otherwise(&self) -> bool {
        self.kind() == Some(GgmlDType::Q6K)
    }

    fn padded_width(&self) -> Result<usize> {
        match &self.product {
            QMatMul::QTensor(tensor) => Ok(tensor.shape().dims2()?.1),
            _ => Ok(self.width),
        }
    }

    fn unpadded(&self, rows: &Tensor) -> Result<Tensor> {
        let width = rows.dims().len() - 1;
        if rows.dim(width)? == self.width {
            return Ok(rows.clone());
        }
        rows.narrow(width, 0, self.width)?.contiguous()
    }
}

/// Inputs to add to each row: where the fast kernels have one for the type, and it costs no more than a fifth of the memory.
fn padding(tensor: &QTensor, width: usize) -> usize {
    let more = width.next_multiple_of(FAST_WIDTH) - width;
    let fast = tensor.device().is_cpu() && tensor.dtype() == GgmlDType::Q8_0;
    if fast && 5 * more <= width { more } else { 0 }
}

/// The same with empty blocks, which are zeros, behind each row.
fn padded(tensor: &QTensor, width: usize, more: usize) -> Result<QTensor> {
    let kind = tensor.dtype();
    let (rows, _) = tensor.shape().dims2()?;
    let bytes_of = |inputs: usize| inputs / kind.block_size() * kind.type_size();
    let (row, behind) = (bytes_of(width), vec![0u8; bytes_of(more)]);
    let mut bytes = Vec::with_capacity(rows * bytes_of(width + more));
    for row in tensor.data()?.chunks_exact(row) {
        bytes.extend_from_slice(row);
        bytes.extend_from_slice(&behind);
    }
    QTensor::new(QStorage::from_data(bytes.into(), &tensor.device(), kind)?, (rows, width + more))
}

#[cfg(test)]
mod tests {
    use candle_core::quantized::{GgmlDType, QTensor};
    use candle_core::{DType, Device, Tensor};

    use super::Blocks;

    fn numbers(rows: usize, width: usize) -> Tensor {
        Tensor::randn(0f32, 1.0, (rows, width), &Device::Cpu).unwrap()
    }

    fn largest(difference: &Tensor) -> f32 {
        difference.abs().unwrap().max_all().unwrap().to_scalar().unwrap()
    }

    /// Widths that are padded and that are not; rows that fill the kernels' tiles and that do not.
    #[test]
    fn padding_changes_no_number_and_each_row_gives_the_same_bits_alone() {
        for (rows, width, padded) in [(48, 224, 256), (50, 896, 1024), (32, 256, 256), (16, 96, 96)] {
            let tensor = QTensor::quantize(&numbers(rows, width), GgmlDType::Q8_0).unwrap();
            let plain = tensor.dequantize(&Device::Cpu).unwrap();
            let blocks = Blocks::new(tensor).unwrap();
            assert_eq!(blocks.padded_width().unwrap(), padded);
            assert_eq!(largest(&(blocks.dequantized(DType::F32).unwrap() - &plain).unwrap()), 0.0);
            let chosen = Tensor::new(&[3u32, 0, 15], &Device::Cpu).unwrap();
            let looked_up = blocks.rows(&chosen, DType::F32).unwrap();
            assert_eq!(largest(&(looked_up - plain.index_select(&chosen, 0).unwrap()).unwrap()), 0.0);
            let x = numbers(5, width);
            let together = blocks.forward(&x).unwrap();
            let exact = x.matmul(&plain.t().unwrap()).unwrap();
            // `x` is rounded to 8 bits, too.
            let off = largest(&(&together - exact).unwrap()) / (width as f32).sqrt();
            assert!(off < 0.05, "{rows} x {width}: {off}");
            for row in 0..5 {
                let alone = blocks.forward(&x.narrow(0, row, 1).unwrap()).unwrap();
                let among = together.narrow(0, row, 1).unwrap();
                assert_eq!(largest(&(alone - among).unwrap()), 0.0, "{rows} x {width}, row {row}");
            }
        }
    }

    #[test]
    fn two_that_are_padded_make_one() {
        let quantized =
            |rows| Blocks::new(QTensor::quantize(&numbers(rows, 224), GgmlDType::Q8_0).unwrap()).unwrap();
        let (above, below) = (quantized(16), quantized(32));
        let both = above.on_top_of(&below).unwrap().unwrap();
        let x = numbers(3, 224);
        let apart = Tensor::cat(&[above.forward(&x).unwrap(), below.forward(&x).unwrap()], 1).unwrap();
        assert_eq!(largest(&(both.forward(&x).unwrap() - apart).unwrap()), 0.0);
        assert_eq!(both.dequantized(DType::F32).unwrap().dims(), [48, 224]);
    }
}
