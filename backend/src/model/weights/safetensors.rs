//! Weights by name from one safetensors file, or from several with an index.

use std::collections::{HashMap, HashSet};

use candle_core::Tensor;
use candle_core::safetensors::Load;
use safetensors::tensor::{Metadata, TensorView};
use serde::Deserialize;

use super::Placement;
use crate::model::error::LoadError;
use crate::model::files::ModelFiles;
use crate::model::mapped::Mapped;

const SINGLE: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";
/// The length of the header's length.
const PREFIX: usize = 8;

/// A mapped file and where its tensors lie.
#[derive(Debug)]
struct Shard {
    file: String,
    bytes: Mapped,
    data_start: usize,
    tensors: Metadata,
}

/// All weights of a model, not yet on any device.
#[derive(Debug)]
pub(crate) struct Safetensors {
    shards: Vec<Shard>,
    /// Name of a tensor to the index of its shard.
    places: HashMap<String, usize>,
    /// What errors name where a tensor is in no shard.
    file: String,
}

#[derive(Deserialize)]
struct Index {
    weight_map: HashMap<String, String>,
}

impl Safetensors {
    /// Maps the model's weights and checks that every file is whole.
    pub(crate) fn open(files: &ModelFiles) -> Result<Self, LoadError> {
        if let Some(index) = files.read(INDEX)? {
            return Self::open_sharded(files, &index);
        }
        Self::open_single(files, SINGLE)
    }

    /// Maps the one file of this name.
    pub(crate) fn open_single(files: &ModelFiles, name: &str) -> Result<Self, LoadError> {
        let shard = open_shard(files, name)?;
        let places = shard.tensors.offset_keys().into_iter().map(|name| (name, 0)).collect();
        Ok(Self { shards: vec![shard], places, file: files.name(name) })
    }

    /// Whether there is a tensor of this name.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.places.contains_key(name)
    }

    /// Names of all tensors.
    pub(crate) fn names(&self) -> HashSet<String> {
        self.places.keys().cloned().collect()
    }

    fn open_sharded(files: &ModelFiles, index: &[u8]) -> Result<Self, LoadError> {
        let file = files.name(INDEX);
        let index: Index = serde_json::from_slice(index)
            .map_err(|error| LoadError::Malformed { file: file.clone(), problem: error.to_string() })?;
        let mut names: Vec<&String> = index.weight_map.values().collect();
        names.sort_unstable();
        names.dedup();
        let shards = names.iter().map(|name| open_shard(files, name)).collect::<Result<Vec<_>, _>>()?;
        let places = index
            .weight_map
            .iter()
            .map(|(tensor, shard)| (tensor.clone(), names.binary_search(&shard).unwrap_or_default()));
        Ok(Self { places: places.collect(), shards, file })
    }

    /// Brings a tensor to a device, converted to the type asked for.
    pub(crate) fn tensor(&self, name: &str, shape: &[usize], to: Placement<'_>) -> Result<Tensor, LoadError> {
        let (view, file) = self.view(name, shape)?;
        let loaded = view.load(to.device).and_then(|tensor| tensor.to_dtype(to.dtype));
        loaded.map_err(|source| LoadError::Compute { what: format!("{file}: tensor {name}"), source })
    }

    fn view(&self, name: &str, expected: &[usize]) -> Result<(TensorView<'_>, &str), LoadError> {
        let missing = |file: &str| LoadError::MissingTensor {
            file: file.to_owned(),
            tensor: name.to_owned(),
            expected: expected.to_vec(),
        };
        let shard =
            self.places.get(name).map(|index| &self.shards[*index]).ok_or_else(|| missing(&self.file))?;
        let info = shard.tensors.info(name).ok_or_else(|| missing(&shard.file))?;
        if info.shape != expected {
            return Err(LoadError::TensorShape {
                file: shard.file.clone(),
                tensor: name.to_owned(),
                expected: expected.to_vec(),
                found: info.shape.clone(),
            });
        }
        check_dtype(info.dtype, name, &shard.file)?;
        let (start, end) = info.data_offsets;
        let data = &shard.bytes[shard.data_start + start..shard.data_start + end];
        let view = TensorView::new(info.dtype, info.shape.clone(), data);
        view.map(|view| (view, shard.file.as_str())).map_err(|error| malformed(&shard.file, error))
    }
}

fn check_dtype(dtype: safetensors::Dtype, tensor: &str, file: &str) -> Result<(), LoadError> {
    use safetensors::Dtype::{BF16, F16, F32};
    if matches!(dtype, F32 | F16 | BF16) {
        return Ok(());
    }
    Err(LoadError::Unsupported {
        file: file.to_owned(),
        setting: format!("the type of tensor {tensor}"),
        found: format!("{dtype:?}"),
        supported: "supported: F32, F16, BF16".into(),
    })
}

/// Maps one file and reads its header. Not `SafeTensors::read_metadata`, which does not say what is cut off.
fn open_shard(files: &ModelFiles, name: &str) -> Result<Shard, LoadError> {
    let file = files.name(name);
    let bytes = files
        .map(name)?
        .ok_or(LoadError::MissingFile { file: file.clone(), purpose: "the model's weights" })?;
    let cut = |problem: &str| malformed(&file, format!("the file is cut short: {problem}"));
    let length = bytes.first_chunk::<PREFIX>().ok_or_else(|| cut("it has no header"))?;
    let length = usize::try_from(u64::from_le_bytes(*length)).unwrap_or(usize::MAX);
    let data_start = length.saturating_add(PREFIX);
    let header = bytes.get(PREFIX..data_start).ok_or_else(|| cut("its header is incomplete"))?;
    let tensors: Metadata = serde_json::from_slice(header)
        .map_err(|error| malformed(&file, format!("not a safetensors file: {error}")))?;
    let available = bytes.len() - data_start;
    if let Some(tensor) = first_cut(&tensors, available) {
        return Err(cut(&format!(
            "tensor {tensor} is incomplete ({available} of {} bytes)",
            tensors.data_len()
        )));
    }
    Ok(Shard { file, bytes, data_start, tensors })
}

/// The first tensor that ends after what the file holds.
fn first_cut(tensors: &Metadata, available: usize) -> Option<String> {
    tensors
        .offset_keys()
        .into_iter()
        .find(|name| tensors.info(name).is_some_and(|t| t.data_offsets.1 > available))
}

fn malformed(file: &str, problem: impl std::fmt::Display) -> LoadError {
    LoadError::Malformed { file: file.to_owned(), problem: problem.to_string() }
}
