//! What a layer does beside its products, by a kernel of ours where there is one, else by candle's operations.

use candle_core::{Result, Tensor};
use candle_nn::ops::{self, silu};

use crate::model::config::Activation;
use crate::model::cpu;
use crate::model::cpu::gate::Gate;
use crate::model::cpu::norm::RmsNorm;
use crate::model::cpu::sum::Add;

/// Root mean square norm over the last dimension, times `weight`.
pub(super) fn rms_norm(x: &Tensor, weight: &Tensor, eps: f64) -> Result<Tensor> {
    if cpu::takes(x) && cpu::takes(weight) {
        return x.apply_op2_no_bwd(weight, &RmsNorm { eps: eps as f32 });
    }
    ops::rms_norm(x, weight, eps as f32)
}

/// `x + y`, where `y` is the caller's alone: it may be what becomes the sum.
pub(super) fn add(x: &Tensor, y: Tensor) -> Result<Tensor> {
    if cpu::takes(x) && cpu::takes(&y) && y.is_contiguous() {
        y.inplace_op2(x, &Add)?;
        return Ok(y);
    }
    x + y
}

/// `activation(gate) * up` from `[tokens, 2 * width]`, the gate on the left.
pub(super) fn gated(both: &Tensor, activation: Activation) -> Result<Tensor> {
    if cpu::takes(both) {
        return both.apply_op1_no_bwd(&Gate(activation));
    }
    let width = both.dim(1)? / 2;
    let gate = both.narrow(1, 0, width)?.contiguous()?;
    let gate = match activation {
        Activation::Silu => silu(&gate)?,
        Activation::GeluTanh => gate.gelu()?,
    };
    gate * both.narrow(1, width, width)?.contiguous()?
}
