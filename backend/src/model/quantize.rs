//! Quantising weights while they are loaded: a quarter of the bytes to read for each token, and less.

use std::fmt;
use std::str::FromStr;

use candle_core::quantized::{GgmlDType, QStorage, QTensor};
use candle_core::{DType, Device, Result, Tensor};
use rayon::prelude::*;

use super::linear::Weight;

/// Elements that one task quantises.
const TASK_ELEMENTS: usize = 1 << 16;

/// What the weights of linear layers and of the embedding are kept as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quantization {
    /// Numbers; those of a quantised file are turned into numbers.
    None,
    /// 8 bits and a scale for each 32.
    Q8_0,
    /// 4 bits, with scales in two levels for each 256; the embedding and the output in 6 bits. What is no multiple
    /// of 256 wide is kept in 8 bits.
    Q4K,
}

impl FromStr for Quantization {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        match text {
            "none" => Ok(Self::None),
            "q8_0" => Ok(Self::Q8_0),
            "q4_k" => Ok(Self::Q4K),
            other => Err(format!("{other} is no quantisation: none, q8_0 or q4_k")),
        }
    }
}

impl fmt::Display for Quantization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::Q8_0 => "q8_0",
            Self::Q4K => "q4_k",
        })
    }
}

/// What a matrix is for: rows of tables are also looked up, and errors in the output weigh more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Layer,
    Table,
}

impl Quantization {
    /// The matrix as this kind keeps it. Numbers whose rows no block divides stay as they are, and so does what is
    /// quantised already.
    pub(crate) fn apply(self, weight: Weight, role: Role, dtype: DType) -> Result<Weight> {
        match (self, weight) {
            (Self::None, weight) => weight.dequantized(dtype),
            (_, Weight::Dense(tensor)) => match self.kind(tensor.dim(1)?, role) {
                Some(kind) => quantize(&tensor, kind).and_then(|blocks| Weight::from_qtensor(blocks, dtype)),
                None => Ok(Weight::Dense(tensor)),
            },
            (_, other) => Ok(other),
        }
    }

    fn kind(self, width: usize, role: Role) -> Option<GgmlDType> {
        let wanted: &[GgmlDType] = match (self, role) {
            (Self::None, _) => &[],
            (Self::Q8_0, _) => &[GgmlDType::Q8_0],
            (Self::Q4K, Role::Layer) => &[GgmlDType::Q4K, GgmlDType::Q8_0],
            (Self::Q4K, Role::Table) => &[GgmlDType::Q6K, GgmlDType::Q8_0],
        };
        wanted.iter().copied().find(|kind| width.is_multiple_of(kind.block_size()))
    }
}

/// Quantises some rows at a time on all cores.
fn quantize(tensor: &Tensor, kind: GgmlDType) -> Result<QTensor> {
    let (rows, width) = tensor.dims2()?;
    let numbers = tensor.to_dtype(DType::F32)?.flatten_all()?.to_vec1::<f32>()?;
    let task_rows = (TASK_ELEMENTS / width).max(1);
    let pieces: Vec<Vec<u8>> = numbers
        .par_chunks(task_rows * width)
        .map(|piece| {
            let rows = Tensor::from_slice(piece, (piece.len() / width, width), &Device::Cpu)?;
            QTensor::quantize(&rows, kind)?.data().map(|bytes| bytes.into_owned())
        })
        .collect::<Result<_>>()?;
    let storage = QStorage::from_data(pieces.concat().into(), tensor.device(), kind)?;
    QTensor::new(storage, (rows, width))
}

impl Weight {
    /// The matrix in numbers.
    fn dequantized(self, dtype: DType) -> Result<Self> {
        match self {
            Self::Quantized(blocks) => blocks.dequantized(dtype).map(Self::Dense),
            numbers => Ok(numbers),
        }
    }
}

/// The name of a type as people write it: `q4_k`.
pub(crate) fn type_name(kind: GgmlDType) -> String {
    let name = format!("{kind:?}").to_lowercase();
    match name.strip_suffix('k') {
        Some(bits) => format!("{bits}_k"),
        None => name,
    }
}
