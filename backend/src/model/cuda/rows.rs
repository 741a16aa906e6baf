//! What happens to each token's row between the matrix products.

use candle_core::{DType, Result, Tensor};

use super::launch::{Argument, Launch, arguments};
use super::plan::Plan;
use super::{Kernels, THREADS, WARP};
use crate::model::config::Activation;
use crate::model::rope::{Angles, Rope};

/// Threads that norm a row together, as the kernel has it.
const NORMERS: usize = 512;

/// A layer's keys and values, `[slots, kv_heads * head_dim]` each.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pools<'a> {
    pub(crate) keys: &'a Tensor,
    pub(crate) values: &'a Tensor,
}

/// Norms over each head before it is turned.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HeadNorms<'a> {
    pub(crate) queries: Option<&'a Tensor>,
    pub(crate) keys: Option<&'a Tensor>,
    pub(crate) eps: f32,
}

impl Kernels {
    /// How far each token of the step is turned, in f32. `frequencies` as [`Rope::frequencies_on`] gives them.
    pub(crate) fn angles(&self, plan: &Plan, rope: &Rope, frequencies: &Tensor) -> Result<Angles> {
        let pairs = frequencies.dim(0)?;
        let empty = || self.runner.empty((plan.tokens, pairs).into(), DType::F32);
        let (cosines, sines) = (empty()?, empty()?);
        let arguments = arguments![&plan.positions, frequencies, &cosines, &sines, pairs, rope.amplitude()];
        self.run("angles", [plan.tokens, 1, 1], arguments)?;
        Ok(Angles { cosines, sines })
    }

    /// Takes `qkv [tokens, (heads + 2 kv_heads) * head_dim]` apart: keys, turned, and values go to the cache, the turned
    /// queries come back.
    pub(crate) fn take_apart(
        &self,
        plan: &Plan,
        qkv: &Tensor,
        norms: HeadNorms<'_>,
        angles: &Angles,
        pools: Pools<'_>,
    ) -> Result<Tensor> {
        let (heads, kv_heads) = (self.shape.heads, self.shape.kv_heads);
        let queries = self.runner.empty((plan.tokens, heads * self.shape.head_dim).into(), qkv.dtype())?;
        let mut arguments = arguments![qkv, &queries, pools.keys, pools.values, &plan.slots];
        arguments.extend(arguments![&angles.cosines, &angles.sines, norms.queries, norms.keys]);
        arguments.extend(arguments![kv_heads, angles.cosines.dim(1)?, norms.eps]);
        let warps = (heads + 2 * kv_heads).div_ceil(THREADS / WARP);
        self.run("take_apart", [plan.tokens, warps, 1], arguments)?;
        Ok(queries)
    }

    /// `x + added` and its norm, or `x` and its norm where nothing is added. What is added is normed before where there is a norm
    /// for it.
    pub(crate) fn add_norm(
        &self,
        x: &Tensor,
        added: Option<(&Tensor, Option<&Tensor>)>,
        weight: &Tensor,
        eps: f32,
    ) -> Result<(Tensor, Tensor)> {
        let (tokens, width) = x.dims2()?;
        let normed = self.runner.empty(x.shape().clone(), x.dtype())?;
        let sum = match added {
            Some(_) => self.runner.empty(x.shape().clone(), x.dtype())?,
            None => x.clone(),
        };
        let (added, norm) = (added.map(|(added, _)| added), added.and_then(|(_, norm)| norm));
        // The kernel leaves `sum` alone where nothing is added.
        let arguments = arguments![x, added, norm, weight, added.map(|_| &sum), &normed, width, eps];
        self.runner.run(&Launch { kernel: "add_norm", grid: [tokens, 1, 1], threads: NORMERS, arguments })?;
        Ok((sum, normed))
    }

    /// `both [tokens, 2 * width]`, gate beside up, to `act(gate) * up`.
    pub(crate) fn gate(&self, both: &Tensor, activation: Activation) -> Result<Tensor> {
        let (tokens, width) = both.dims2()?;
        let width = width / 2;
        let out = self.runner.empty((tokens, width).into(), both.dtype())?;
        let gelu = usize::from(activation == Activation::GeluTanh);
        let arguments = arguments![both, &out, width, gelu];
        self.run("gate", [tokens, width.div_ceil(THREADS), 1], arguments)?;
        Ok(out)
    }

    fn run(&self, kernel: &'static str, grid: [usize; 3], arguments: Vec<Argument<'_>>) -> Result<()> {
        self.runner.run(&Launch { kernel, grid, threads: THREADS, arguments })
    }
}
