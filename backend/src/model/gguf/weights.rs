//! Tensors of a GGUF file under the names that Hugging Face's checkpoints give them.

use std::borrow::Cow;

use candle_core::quantized::gguf_file::TensorInfo;
use candle_core::quantized::{GgmlDType, QStorage, QTensor};
use candle_core::{Device, Tensor};

use super::Gguf;
use super::family::Family;
use crate::model::error::LoadError;
use crate::model::linear::Weight;
use crate::model::weights::Placement;

pub(super) const EMBEDDING: &str = "token_embd.weight";
pub(super) const OUTPUT: &str = "output.weight";
/// What each frequency of rotary positions is divided by (Llama 3.1 and later).
pub(super) const ROPE_FACTORS: &str = "rope_freqs.weight";
/// The same within the original context (Phi-3 with a long one), and beyond it.
pub(super) const SHORT_ROPE_FACTORS: &str = "rope_factors_short.weight";
pub(super) const LONG_ROPE_FACTORS: &str = "rope_factors_long.weight";

/// Names outside the layers: Hugging Face's and GGUF's.
const NAMES: [(&str, &str); 3] = [
    ("model.embed_tokens.weight", EMBEDDING),
    ("model.norm.weight", "output_norm.weight"),
    ("lm_head.weight", OUTPUT),
];
/// The file as a source of weights.
pub(crate) struct GgufWeights {
    gguf: Gguf,
    family: Family,
    head_dim: usize,
}

impl GgufWeights {
    pub(crate) fn new(gguf: Gguf, head_dim: usize) -> Result<Self, LoadError> {
        Ok(Self { family: Family::of(&gguf)?, gguf, head_dim })
    }

    /// A matrix, quantised if it is so in the file.
    pub(crate) fn matrix(
        &self,
        name: &str,
        shape: [usize; 2],
        to: Placement<'_>,
    ) -> Result<Weight, LoadError> {
        let tensor = self.tensor(name, &shape, to.device)?;
        Weight::from_qtensor(tensor, to.dtype).map_err(|source| self.compute(name, source))
    }

    /// A norm, a bias or a table, as numbers.
    pub(crate) fn numbers(
        &self,
        name: &str,
        shape: &[usize],
        to: Placement<'_>,
    ) -> Result<Tensor, LoadError> {
        let tensor = self.tensor(name, shape, to.device)?.dequantize(to.device);
        tensor.and_then(|tensor| tensor.to_dtype(to.dtype)).map_err(|source| self.compute(name, source))
    }

    fn tensor(&self, name: &str, shape: &[usize], device: &Device) -> Result<QTensor, LoadError> {
        let there = name_in_gguf(name, self.family);
        let (info, bytes) = find(&self.gguf, &there, shape)?;
        let turned = name.contains("q_proj") || name.contains("k_proj");
        let bytes = if self.family.is_interleaved() && turned {
            Cow::Owned(halves_from_neighbours(bytes, shape[0], self.head_dim))
        } else if bytes.as_ptr().align_offset(align_of::<f32>()) > 0 {
            // candle takes bytes only where its blocks could lie, and a file may be packed without gaps.
            Cow::Owned(bytes.to_vec())
        } else {
            Cow::Borrowed(bytes)
        };
        let storage = QStorage::from_data(bytes, device, info.ggml_dtype);
        let tensor = storage.and_then(|storage| QTensor::new(storage, shape));
        tensor.map_err(|source| self.compute(&there, source))
    }

    fn compute(&self, name: &str, source: candle_core::Error) -> LoadError {
        LoadError::Compute { what: format!("{}: tensor {name}", self.gguf.file), source }
    }
}

/// The name of Hugging Face's checkpoints as GGUF has it; a name that GGUF does not have stays as it is.
fn name_in_gguf(name: &str, family: Family) -> String {
    if let Some((_, there)) = NAMES.iter().find(|(here, _)| *here == name) {
        return (*there).to_owned();
    }
    let parts = name.strip_prefix("model.layers.").and_then(|rest| rest.split_once('.'));
    let Some((layer, rest)) = parts else { return name.to_owned() };
    let Some((here, kind)) = rest.rsplit_once('.') else { return name.to_owned() };
    match family.layer_names().find(|(known, _)| *known == here) {
        Some((_, there)) => format!("blk.{layer}.{there}.{kind}"),
        None => name.to_owned(),
    }
}

/// A tensor that nothing asks for would change the answer unseen.
pub(super) fn refuse_unknown(gguf: &Gguf, family: Family) -> Result<(), LoadError> {
    const FACTORS: [&str; 3] = [ROPE_FACTORS, SHORT_ROPE_FACTORS, LONG_ROPE_FACTORS];
    let known = |name: &str| {
        let layer = name.strip_prefix("blk.").and_then(|rest| rest.split_once('.')).map(|(_, rest)| rest);
        match layer.and_then(|rest| rest.rsplit_once('.')) {
            Some((there, _)) => family.layer_names().any(|(_, known)| *known == there),
            None => FACTORS.contains(&name) || NAMES.iter().any(|(_, known)| *known == name),
        }
    };
    match gguf.content.tensor_infos.keys().filter(|name| !known(name)).min() {
        Some(name) => Err(gguf.unsupported("a tensor", name, "those of this architecture's layers")),
        None => Ok(()),
    }
}

/// A small tensor of numbers.
pub(super) fn floats(gguf: &Gguf, name: &str, count: usize) -> Result<Vec<f32>, LoadError> {
    let (info, bytes) = find(gguf, name, &[count])?;
    if info.ggml_dtype != GgmlDType::F32 {
        return Err(gguf.unsupported(
            &format!("the type of {name}"),
            format!("{:?}", info.ggml_dtype),
            "F32",
        ));
    }
    Ok(bytes.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect())
}

/// A tensor's type and bytes, whose shape must be the one expected.
fn find<'a>(gguf: &'a Gguf, name: &str, expected: &[usize]) -> Result<(&'a TensorInfo, &'a [u8]), LoadError> {
    let (file, tensor) = (gguf.file.clone(), name.to_owned());
    let Some(info) = gguf.content.tensor_infos.get(name) else {
        return Err(LoadError::MissingTensor { file, tensor, expected: expected.to_vec() });
    };
    if info.shape.dims() != expected {
        let (expected, found) = (expected.to_vec(), info.shape.dims().to_vec());
        return Err(LoadError::TensorShape { file, tensor, expected, found });
    }
    let kind = info.ggml_dtype;
    let width = expected.last().copied().unwrap_or(0);
    if !width.is_multiple_of(kind.block_size()) {
        let problem = format!("tensor {name} is {width} wide, no multiple of a block of {kind:?}");
        return Err(gguf.malformed(problem));
    }
    let length = info.shape.elem_count() / kind.block_size() * kind.type_size();
    let start =
        usize::try_from(gguf.content.tensor_data_offset.saturating_add(info.offset)).unwrap_or(usize::MAX);
    let bytes = gguf.bytes.get(start..start.saturating_add(length));
    let cut = || gguf.malformed(format!("the file is cut short: tensor {name} is incomplete"));
    bytes.map(|bytes| (info, bytes)).ok_or_else(cut)
}

/// Rows of queries or keys as Hugging Face has them, where dimension `i` of a head is turned together with `i +
/// head_dim / 2`; GGUF's `llama` has these two next to each other.
fn halves_from_neighbours(bytes: &[u8], rows: usize, head_dim: usize) -> Vec<u8> {
    let row_bytes = bytes.len() / rows;
    let (half, mut there) = (head_dim / 2, Vec::with_capacity(bytes.len()));
    for head in bytes.chunks(head_dim * row_bytes) {
        for row in 0..head_dim {
            let from = 2 * (row % half) + row / half;
            there.extend_from_slice(&head[from * row_bytes..(from + 1) * row_bytes]);
        }
    }
    there
}
