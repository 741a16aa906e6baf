//! What a kernel is called with, and who calls it.

use std::fmt::Debug;

use candle_core::{DType, Device, Result, Shape, Tensor};

/// One argument of a kernel, in the order of its declaration.
#[derive(Debug)]
pub(super) enum Argument<'a> {
    /// The first element of a contiguous tensor. Kernels write to those that they do not declare `const`.
    Tensor(&'a Tensor),
    /// A null pointer.
    Null,
    /// A number.
    U32(usize),
    /// A number.
    F32(f32),
}

impl<'a> From<&'a Tensor> for Argument<'a> {
    fn from(tensor: &'a Tensor) -> Self {
        Self::Tensor(tensor)
    }
}

impl<'a> From<Option<&'a Tensor>> for Argument<'a> {
    fn from(tensor: Option<&'a Tensor>) -> Self {
        tensor.map_or(Self::Null, Self::Tensor)
    }
}

impl From<usize> for Argument<'_> {
    fn from(number: usize) -> Self {
        Self::U32(number)
    }
}

impl From<f32> for Argument<'_> {
    fn from(number: f32) -> Self {
        Self::F32(number)
    }
}

/// A call of a kernel.
#[derive(Debug)]
pub(super) struct Launch<'a> {
    pub(super) kernel: &'static str,
    /// Thread blocks in three directions.
    pub(super) grid: [usize; 3],
    /// Threads of each.
    pub(super) threads: usize,
    pub(super) arguments: Vec<Argument<'a>>,
}

/// Where kernels run.
pub(super) trait Runner: Debug + Send + Sync {
    /// Queues a call; calls run in their order. The caller has checked that every tensor has all elements that the kernel
    /// reads and writes.
    fn run(&self, launch: &Launch<'_>) -> Result<()>;

    /// A tensor that the caller fills before anyone reads it.
    fn empty(&self, shape: Shape, dtype: DType) -> Result<Tensor>;

    /// Where the tensors are.
    fn device(&self) -> Device;
}

/// The arguments of a call, each turned into an [`Argument`].
macro_rules! arguments {
    ($($argument:expr),* $(,)?) => { vec![$($crate::model::cuda::launch::Argument::from($argument)),*] };
}
pub(super) use arguments;
