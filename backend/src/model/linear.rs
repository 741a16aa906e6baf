//! The linear layer.

use candle_core::{DType, Result, Tensor};

use super::cpu::matmul::DotRows;

/// `x · Wᵀ + b`.
#[derive(Clone, Debug)]
pub(crate) struct Linear {
    /// `[outputs, inputs]`, as checkpoints keep it.
    weight: Tensor,
    bias: Option<Tensor>,
}

impl Linear {
    pub(crate) fn new(weight: Tensor, bias: Option<Tensor>) -> Self {
        Self { weight, bias }
    }

    /// `x [tokens, inputs]` to `[tokens, outputs]`.
    pub(crate) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let product = if x.device().is_cpu() && x.dtype() == DType::F32 {
            x.apply_op2_no_bwd(&self.weight, &DotRows)?
        } else {
            x.matmul(&self.weight.t()?)?
        };
        match &self.bias {
            Some(bias) => product.broadcast_add(bias),
            None => Ok(product),
        }
    }
}
