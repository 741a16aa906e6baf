//! The middle of a gated feed-forward part: `activation(gate) * up`, from both side by side, in one pass.

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape};
use pulp::{Simd, WithSimd};

use super::exponential::exp;
use super::share::share_pieces;
use super::{PARALLEL_FROM, contiguous, dispatch};
use crate::model::config::Activation;

/// `[tokens, 2 * width]`, the gate on the left, to `[tokens, width]`.
pub(crate) struct Gate(pub(crate) Activation);

impl CustomOp1 for Gate {
    fn name(&self) -> &'static str {
        "gate"
    }

    fn cpu_fwd(&self, both: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (tokens, double) = layout.shape().dims2()?;
        let (both, width) = (contiguous(both, layout)?, double / 2);
        let mut out = vec![0f32; tokens * width];
        // An exponential costs as much as some ten multiplications.
        let parallel = 10 * out.len() >= PARALLEL_FROM;
        share_pieces(&mut out, width, parallel, |token, out| {
            let (gate, up) = both[token * double..(token + 1) * double].split_at(width);
            dispatch(Row { activation: self.0, gate, up, out });
        });
        Ok((CpuStorage::F32(out), Shape::from((tokens, width))))
    }
}

struct Row<'a> {
    activation: Activation,
    gate: &'a [f32],
    up: &'a [f32],
    out: &'a mut [f32],
}

impl WithSimd for Row<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let values = self.out.iter_mut().zip(self.gate.iter().zip(self.up));
        match self.activation {
            Activation::Silu => values.for_each(|(out, (gate, up))| *out = silu(*gate) * up),
            Activation::GeluTanh => values.for_each(|(out, (gate, up))| *out = gelu_tanh(*gate) * up),
        }
    }
}

#[inline(always)]
fn silu(x: f32) -> f32 {
    x / (1.0 + exp(-x))
}

/// Hendrycks and Gimpel, "Gaussian Error Linear Units" (2016), the form with tanh, which is `1 - 2 / (1 + exp(2 x))`.
#[inline(always)]
fn gelu_tanh(x: f32) -> f32 {
    const ROOT: f32 = 0.797_884_6;
    let inner = ROOT * x * 0.044_715f32.mul_add(x * x, 1.0);
    x * (1.0 - 1.0 / (1.0 + exp(2.0 * inner)))
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Tensor};
    use candle_nn::ops::silu;

    use super::Gate;
    use crate::model::config::Activation;

    #[test]
    fn it_agrees_with_candle() {
        for (tokens, width) in [(1, 3), (5, 64), (70, 600)] {
            let both = (Tensor::randn(0f32, 3.0, (tokens, 2 * width), &Device::Cpu)).unwrap();
            let (gate, up) = (both.narrow(1, 0, width).unwrap(), both.narrow(1, width, width).unwrap());
            for (activation, gate) in
                [(Activation::Silu, silu(&gate).unwrap()), (Activation::GeluTanh, gate.gelu().unwrap())]
            {
                let theirs = (gate * &up).unwrap();
                let ours = both.apply_op1_no_bwd(&Gate(activation)).unwrap();
                let difference = (ours - theirs).unwrap().abs().unwrap().max_all().unwrap();
                assert!(difference.to_scalar::<f32>().unwrap() < 1e-5, "{activation:?} {tokens} x {width}");
            }
        }
    }
}
