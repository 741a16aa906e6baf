//! Kernels for NVIDIA GPUs, written in CUDA C++ (`cuda/kernels`) and compiled for the model when it is loaded, by the compiler that
//! comes with the driver's libraries: no toolkit is needed where Tidegate runs.
//!
//! Reading order: `source` (what is compiled), `launch` (what a kernel is called with), `plan` (a step's tables, brought over at
//! once), `attention`, `rows`, `multiply` and `choose` (the calls), `gpu` (the one place that touches the device). All but the last is plain code that
//! knows no GPU, and runs in tests against the same kernels, compiled for the CPU.

mod attention;
mod choose;
#[cfg(feature = "cuda")]
mod gpu;
mod launch;
mod multiply;
mod plan;
mod rows;
#[cfg(any(feature = "cuda", test))]
mod source;
#[cfg(test)]
pub(crate) mod tests;

use candle_core::{DType, Device, Result};

use super::attention::Geometry;
pub(crate) use choose::{Chosen, Draw};
use launch::Runner;
pub(crate) use plan::Plan;
pub(crate) use rows::{HeadNorms, Pools};

/// Threads of a block, in all kernels but the one that chooses tokens.
const THREADS: usize = 128;
/// Threads of a warp.
const WARP: usize = 32;

/// What the kernels are compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Shape {
    heads: usize,
    kv_heads: usize,
    head_dim: usize,
    dtype: DType,
}

impl Shape {
    /// None where the kernels do not know such heads.
    fn of(geometry: Geometry, dtype: DType) -> Option<Self> {
        let Geometry { heads, kv_heads, head_dim, .. } = geometry;
        let widest = match head_dim {
            dim if dim.is_multiple_of(8) => 256,
            dim if dim.is_multiple_of(4) => 128,
            dim if dim.is_multiple_of(2) => 64,
            _ => 0,
        };
        let known = matches!(dtype, DType::F32 | DType::F16 | DType::BF16);
        (known && head_dim <= widest).then_some(Self { heads, kv_heads, head_dim, dtype })
    }

    /// Query heads that share a key head.
    fn group(self) -> usize {
        self.heads / self.kv_heads
    }

    /// Whether the device's matrix instructions take such heads.
    fn tiles(self) -> bool {
        self.dtype != DType::F32 && self.head_dim.is_multiple_of(16)
    }
}

/// The kernels, ready for one model.
#[derive(Debug)]
pub(crate) struct Kernels {
    runner: Box<dyn Runner>,
    shape: Shape,
    /// Memory for parts of attention that are still to be merged.
    parts_bytes: usize,
}

impl Kernels {
    #[cfg(any(feature = "cuda", test))]
    fn new(runner: Box<dyn Runner>, shape: Shape) -> Self {
        Self { runner, shape, parts_bytes: attention::PARTS_BYTES }
    }

    /// Compiles them for a model on this device; none where the device is no such GPU, or has heads that they do not know.
    pub(crate) fn open(device: &Device, dtype: DType, geometry: Geometry) -> Result<Option<Self>> {
        #[cfg(feature = "cuda")]
        if let (Device::Cuda(device), Some(shape)) = (device, Shape::of(geometry, dtype)) {
            let gpu = gpu::Gpu::open(device, shape)?;
            return Ok(gpu.map(|gpu| Self::new(Box::new(gpu), shape)));
        }
        let _ = (device, dtype, geometry);
        Ok(None)
    }
}
