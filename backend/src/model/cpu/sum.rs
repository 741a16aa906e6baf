//! Sums in place.

use candle_core::{CpuStorage, InplaceOp2, Layout, Result, bail};
use pulp::{Simd, WithSimd};

use super::share::share_pieces;
use super::{PARALLEL_FROM, contiguous, dispatch};

/// Elements that one task adds up.
const PIECE: usize = 4096;

/// Adds to a tensor another of its shape, or a vector to each of its rows.
pub(crate) struct Add;

impl InplaceOp2 for Add {
    fn name(&self) -> &'static str {
        "add"
    }

    fn cpu_fwd(&self, to: &mut CpuStorage, lt: &Layout, from: &CpuStorage, lf: &Layout) -> Result<()> {
        let from = contiguous(from, lf)?;
        let (CpuStorage::F32(to), Some((start, end))) = (to, lt.contiguous_offsets()) else {
            bail!("add: to no contiguous tensor in f32");
        };
        let to = &mut to[start..end];
        let row = lt.dims().last().copied().unwrap_or_default();
        // Four times as much to read and to write as a multiplication of a matrix that stays in the cache.
        let parallel = 4 * to.len() >= PARALLEL_FROM;
        if from.len() == to.len() {
            share_pieces(to, PIECE, parallel, |piece, to| {
                dispatch(Piece { from: &from[piece * PIECE..][..to.len()], to });
            });
        } else if from.len() == row {
            share_pieces(to, row, parallel, |_, to| dispatch(Piece { from, to }));
        } else {
            bail!("add: {} to {:?}", from.len(), lt.dims());
        }
        Ok(())
    }
}

struct Piece<'a> {
    from: &'a [f32],
    to: &'a mut [f32],
}

impl WithSimd for Piece<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        self.to.iter_mut().zip(self.from).for_each(|(to, from)| *to += from);
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Tensor};

    use super::Add;

    #[test]
    fn it_adds_tensors_and_rows_and_refuses_what_does_not_fit() {
        for (rows, width) in [(1, 1), (3, 7), (70, 1000)] {
            let random = |shape: &[usize]| Tensor::randn(0f32, 1.0, shape, &Device::Cpu).unwrap();
            let (x, y, row) = (random(&[rows, width]), random(&[rows, width]), random(&[width]));
            let expected = (&x + &y).unwrap().broadcast_add(&row).unwrap();
            x.inplace_op2(&y, &Add).unwrap();
            x.inplace_op2(&row, &Add).unwrap();
            let difference = (x - expected).unwrap().abs().unwrap().max_all().unwrap();
            assert_eq!(difference.to_scalar::<f32>().unwrap(), 0.0, "{rows} x {width}");
        }
        let x = Tensor::zeros((2, 3), candle_core::DType::F32, &Device::Cpu).unwrap();
        let y = Tensor::zeros(2, candle_core::DType::F32, &Device::Cpu).unwrap();
        assert!(x.inplace_op2(&y, &Add).is_err());
    }
}
