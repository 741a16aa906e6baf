//! `x` on its way into the product: rounded to 8 bits, 32 numbers with one scale, and laid out in tiles.

use pulp::{Simd, WithSimd};

use super::{BLOCK, TILE};
use crate::model::cpu::dispatch;
use crate::model::cpu::share::share_pieces;

/// 32 neighbouring numbers of a row.
#[derive(Clone, Copy, Default)]
#[repr(C)]
pub(super) struct Rounded {
    /// Four numbers in each, as they lie in memory.
    pub(super) quads: [i32; BLOCK / 4],
    pub(super) scale: f32,
    /// Minus 128 times the sum of the numbers.
    pub(super) offset: i32,
}

/// Rows in tiles: `[tile, block, row of the tile]`.
pub(super) struct Tiled {
    blocks: Vec<Rounded>,
    per_row: usize,
    /// Rows of a tile; of the last perhaps fewer.
    pub(super) height: usize,
}

impl Tiled {
    /// Rounds `x [rows, inputs]`, in as few tiles as will do, and as even.
    pub(super) fn new(x: &[f32], inputs: usize, parallel: bool) -> Self {
        let (rows, per_row) = (x.len() / inputs, inputs / BLOCK);
        let height = rows.div_ceil(rows.div_ceil(TILE).max(1)).max(1);
        let mut blocks = vec![Rounded::default(); rows * per_row];
        share_pieces(&mut blocks, height * per_row, parallel && rows > TILE, |tile, to| {
            let x = &x[tile * height * inputs..][..to.len() * BLOCK];
            dispatch(Rounding { x, inputs, to });
        });
        Self { blocks, per_row, height }
    }

    pub(super) fn count(&self) -> usize {
        self.blocks.len().div_ceil(self.height * self.per_row)
    }

    pub(super) fn tile(&self, number: usize) -> &[Rounded] {
        let start = number * self.height * self.per_row;
        &self.blocks[start..self.blocks.len().min(start + self.height * self.per_row)]
    }
}

/// Rounds the rows of one tile.
struct Rounding<'a> {
    x: &'a [f32],
    inputs: usize,
    to: &'a mut [Rounded],
}

impl WithSimd for Rounding<'_> {
    type Output = ();

    /// Plain arithmetic, which the compiler turns into the vectors that this way in allows.
    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { x, inputs, to } = self;
        let rows = x.len() / inputs;
        for (row, x) in x.chunks_exact(inputs).enumerate() {
            for (to, x) in to[row..].iter_mut().step_by(rows).zip(x.as_chunks::<BLOCK>().0) {
                *to = round(x);
            }
        }
    }
}

#[inline(always)]
fn round(x: &[f32; BLOCK]) -> Rounded {
    let largest = x.iter().fold(0f32, |largest, x| largest.max(x.abs()));
    let per_unit = if largest > 0.0 { 127.0 / largest } else { 0.0 };
    let mut numbers = [0i8; BLOCK];
    for (number, x) in numbers.iter_mut().zip(x) {
        *number = (x * per_unit).round_ties_even() as i8;
    }
    let mut rounded = Rounded { scale: largest / 127.0, ..Rounded::default() };
    for (quad, numbers) in rounded.quads.iter_mut().zip(numbers.as_chunks::<4>().0) {
        *quad = i32::from_ne_bytes(numbers.map(i8::cast_unsigned));
    }
    rounded.offset = -128 * numbers.iter().map(|number| i32::from(*number)).sum::<i32>();
    rounded
}
