//! CPU kernels in f32, where candle's own cost too much or depend on the batch.
//!
//! Both kernels compute every output element by the same additions in the same order, whatever else is in the
//! batch: a sequence gives bit for bit what it gives alone. `matmul` is the linear layer, `attention` reads
//! keys and values from the cache's blocks in place.

pub(crate) mod attention;
pub(crate) mod panels;
pub(crate) mod q8_0;
mod team;

use candle_core::{CpuStorage, Layout, Result, bail};
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

/// Below this many multiplications waking other threads costs more than it saves.
pub(crate) const PARALLEL_FROM: usize = 1 << 18;
