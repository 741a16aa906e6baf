//! Linear layers of a few tokens.

use candle_core::{Result, Tensor};

use super::launch::{Launch, arguments};
use super::{Kernels, THREADS, WARP};
use crate::model::linear::Linear;

/// One for each number of tokens that the kernel is there for.
pub(super) const KERNELS: [&str; 4] = ["multiply_1", "multiply_2", "multiply_3", "multiply_4"];
/// Outputs that a warp takes, as the kernel has it.
const OUTPUTS_EACH: usize = 2;
/// Bytes of a row of which it must be a multiple.
const ALIGNED: usize = 16;

impl Kernels {
    /// What the layer makes of `x [tokens, inputs]`; the device's library does it where the layer is quantised, or the tokens are many.
    pub(crate) fn linear(&self, linear: &Linear, x: &Tensor) -> Result<Tensor> {
        let (tokens, inputs) = x.dims2()?;
        let row = inputs * x.dtype().size_in_bytes();
        match (linear.dense(), KERNELS.get(tokens - 1)) {
            (Some((weight, bias)), Some(kernel)) if row.is_multiple_of(ALIGNED) && weight.is_contiguous() => {
                self.multiply(kernel, x, weight, bias)
            }
            _ => linear.forward(x),
        }
    }

    fn multiply(
        &self,
        kernel: &'static str,
        x: &Tensor,
        weight: &Tensor,
        bias: Option<&Tensor>,
    ) -> Result<Tensor> {
        let (outputs, inputs) = weight.dims2()?;
        let out = self.runner.empty((x.dim(0)?, outputs).into(), x.dtype())?;
        let arguments = arguments![x, weight, bias, &out, inputs, outputs];
        let grid = [outputs.div_ceil(THREADS / WARP * OUTPUTS_EACH), 1, 1];
        self.runner.run(&Launch { kernel, grid, threads: THREADS, arguments })?;
        Ok(out)
    }
}
