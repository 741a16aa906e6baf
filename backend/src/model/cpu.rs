//! CPU kernels in f32, where candle's own cost too much or depend on the batch.
//!
//! All of them compute every output element by the same additions in the same order, whatever else is in the batch: a sequence
//! gives bit for bit what it gives alone. In the order of a layer's work: `norm`; `panels` and `q8_0`, the linear layers; `heads`,
//! which puts keys and values into the cache; `attention`, which reads them from its blocks in place; `gate`; `sum`. `share` cuts work
//! into pieces for the threads of the `team`.

pub(crate) mod attention;
mod exponential;
pub(crate) mod gate;
pub(crate) mod heads;
pub(crate) mod norm;
pub(crate) mod panels;
pub(crate) mod q8_0;
mod share;
pub(crate) mod sum;
mod team;

use std::ops::{Deref, Range};

use candle_core::{CpuStorage, DType, Layout, Result, Storage, Tensor, bail};
use pulp::{Simd, WithSimd};

/// Runs a kernel with the widest vectors that this CPU has (AVX2 with FMA on x86, NEON on ARM).
pub(crate) fn dispatch<K: WithSimd>(kernel: K) -> K::Output {
    #[cfg(target_arch = "x86_64")]
    if let Some(simd) = pulp::x86::V3::try_new() {
        return Simd::vectorize(simd, kernel);
    }
    pulp::Arch::new().dispatch(kernel)
}

/// The same with AVX-512 where there is one: for kernels that gain from more and wider registers.
pub(crate) fn dispatch_wide<K: WithSimd>(kernel: K) -> K::Output {
    #[cfg(target_arch = "x86_64")]
    if let Some(simd) = pulp::x86::V4::try_new() {
        return Simd::vectorize(simd, kernel);
    }
    dispatch(kernel)
}

/// The elements of a tensor that lies in one piece.
pub(crate) fn contiguous<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    let Some((start, end)) = layout.contiguous_offsets() else {
        bail!("the CPU kernels take contiguous tensors");
    };
    Ok(&storage.as_slice::<f32>()?[start..end])
}

/// Whether the kernels take this tensor.
pub(crate) fn takes(tensor: &Tensor) -> bool {
    tensor.device().is_cpu() && tensor.dtype() == DType::F32
}

/// The elements of a contiguous tensor in f32 on the CPU, to be read in place.
pub(crate) fn numbers(tensor: &Tensor) -> Result<impl Deref<Target = [f32]>> {
    let (storage, layout) = tensor.storage_and_layout();
    match (&*storage, layout.contiguous_offsets()) {
        (Storage::Cpu(CpuStorage::F32(_)), Some((start, end))) => Ok(Numbers { storage, range: start..end }),
        _ => bail!("the CPU kernels take contiguous tensors in f32"),
    }
}

/// A tensor's storage, locked for reading, and where its elements are in it.
struct Numbers<G> {
    storage: G,
    range: Range<usize>,
}

impl<G: Deref<Target = Storage>> Deref for Numbers<G> {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        match &*self.storage {
            Storage::Cpu(CpuStorage::F32(numbers)) => &numbers[self.range.clone()],
            // `numbers` lets nothing else in.
            _ => &[],
        }
    }
}

/// Below this many multiplications waking other threads costs more than it saves.
pub(crate) const PARALLEL_FROM: usize = 1 << 18;
