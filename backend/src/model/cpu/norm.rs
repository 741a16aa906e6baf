//! Root mean square norm of rows: `x / sqrt(mean(x^2) + eps) * weight` (Zhang and Sennrich 2019).

use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, bail};
use pulp::{Simd, WithSimd};

use super::share::share_pieces;
use super::{PARALLEL_FROM, contiguous, dispatch};

/// `x [rows, width]` and `weight [width]` to the shape of `x`.
pub(crate) struct RmsNorm {
    pub(crate) eps: f32,
}

impl CustomOp2 for RmsNorm {
    fn name(&self) -> &'static str {
        "rms-norm"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        lx: &Layout,
        weight: &CpuStorage,
        lw: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (x, weight) = (contiguous(x, lx)?, contiguous(weight, lw)?);
        let width = weight.len();
        if !x.len().is_multiple_of(width) {
            bail!("rms-norm: {} in rows of {width}", x.len());
        }
        let mut out = vec![0f32; x.len()];
        share_pieces(&mut out, width, x.len() >= PARALLEL_FROM, |row, out| {
            dispatch(Row { x: &x[row * width..(row + 1) * width], weight, eps: self.eps, out });
        });
        Ok((CpuStorage::F32(out), lx.shape().clone()))
    }
}

struct Row<'a> {
    x: &'a [f32],
    weight: &'a [f32],
    eps: f32,
    out: &'a mut [f32],
}

impl WithSimd for Row<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        rms_norm(simd, self.x, self.weight, self.eps, self.out);
    }
}

/// One row.
#[inline(always)]
pub(super) fn rms_norm<S: Simd>(simd: S, x: &[f32], weight: &[f32], eps: f32, out: &mut [f32]) {
    let (vectors, rest) = S::as_simd_f32s(x);
    let mut sums = [simd.splat_f32s(0.0); 4];
    for (at, vector) in vectors.iter().enumerate() {
        sums[at % 4] = simd.mul_add_e_f32s(*vector, *vector, sums[at % 4]);
    }
    let sum = simd.add_f32s(simd.add_f32s(sums[0], sums[1]), simd.add_f32s(sums[2], sums[3]));
    let rest: f32 = rest.iter().map(|x| x * x).sum();
    let mean = (simd.reduce_sum_f32s(sum) + rest) / x.len() as f32;
    let factor = 1.0 / (mean + eps).sqrt();
    for (out, (x, weight)) in out.iter_mut().zip(x.iter().zip(weight)) {
        *out = x * factor * weight;
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Tensor};

    use super::RmsNorm;

    #[test]
    fn it_agrees_with_candle() {
        for (rows, width) in [(1, 1), (3, 7), (5, 64), (300, 1000)] {
            let x = Tensor::randn(0f32, 2.0, (rows, width), &Device::Cpu).unwrap();
            let weight = Tensor::randn(1f32, 0.5, width, &Device::Cpu).unwrap();
            let theirs = candle_nn::ops::rms_norm(&x, &weight, 1e-5).unwrap();
            let ours = x.apply_op2_no_bwd(&weight, &RmsNorm { eps: 1e-5 }).unwrap();
            let difference = (ours - theirs).unwrap().abs().unwrap().max_all().unwrap();
            assert!(difference.to_scalar::<f32>().unwrap() < 1e-5, "{rows} x {width}");
        }
    }
}
