//! `x · Wᵀ` for weights as they lie in the file, one dot product per element.
//!
//! A general matrix product packs both sides anew for each call, which for the few rows of a decode step costs
//! more than the product. Dot products need no packing: weights stream through once, so that decoding is bound by memory
//! and prefill by arithmetic. With few rows of `x` the rows of `W` pass one by one, in the order of memory, which is what
//! its prefetching is made for: four side by side cost half as much time again. With many, three rows of `x` meet four of `W` in
//! the registers.

use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, bail};
use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::{PARALLEL_FROM, contiguous, dispatch};

/// Rows of `W` that one task takes: small enough to share out, large enough to be worth a task.
const TASK_ROWS: usize = 32;
/// Rows of `x` that stay in the cache while a task's rows of `W` pass.
const BLOCK_ROWS: usize = 48;
/// Up to so many rows of `x`, memory is what takes the time.
const FEW_ROWS: usize = 8;
/// Tile: 3 x 4 sums, 3 values of `x` and one of `W` are the 16 registers of AVX2.
const TILE_X: usize = 3;
const TILE_W: usize = 4;

/// `x [rows, k]` and `W [n, k]` to `[rows, n]`.
pub(crate) struct DotRows;

impl CustomOp2 for DotRows {
    fn name(&self) -> &'static str {
        "dot-rows"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        lx: &Layout,
        w: &CpuStorage,
        lw: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let ((rows, k), (n, k_w)) = (lx.shape().dims2()?, lw.shape().dims2()?);
        if k != k_w {
            bail!("dot-rows: {rows} x {k} with {n} x {k_w}");
        }
        let product = dot_rows(contiguous(x, lx)?, contiguous(w, lw)?, k);
        Ok((CpuStorage::F32(product), Shape::from((rows, n))))
    }
}

/// Every row of `x` with every row of `w`, both of width `k`: row-major `[rows of x, rows of w]`.
pub(crate) fn dot_rows(x: &[f32], w: &[f32], k: usize) -> Vec<f32> {
    let (rows, n) = (x.len() / k, w.len() / k);
    // By rows of `w`, so that each task writes one piece; turned at the end, which costs rows * n copies.
    let mut columns = vec![0f32; rows * n];
    if rows * n * k < PARALLEL_FROM {
        dispatch(Panel { x, w, k, out: &mut columns });
    } else {
        let tasks = columns.par_chunks_mut(TASK_ROWS * rows).zip(w.par_chunks(TASK_ROWS * k));
        tasks.for_each(|(out, w)| dispatch(Panel { x, w, k, out }));
    }
    if rows == 1 { columns } else { transpose(&columns, n, rows) }
}

/// `[n, rows]` to `[rows, n]`, a cache line of rows at a time.
fn transpose(from: &[f32], n: usize, rows: usize) -> Vec<f32> {
    const LINE: usize = 16;
    let mut to = vec![0f32; from.len()];
    to.par_chunks_mut(LINE * n).enumerate().for_each(|(block, to)| {
        let (first, count) = (block * LINE, to.len() / n);
        for column in 0..n {
            let values = &from[column * rows + first..][..count];
            for (row, value) in values.iter().enumerate() {
                to[row * n + column] = *value;
            }
        }
    });
    to
}

/// Some rows of `W` with all rows of `x`.
struct Panel<'a> {
    x: &'a [f32],
    w: &'a [f32],
    k: usize,
    /// `[rows of w, rows of x]`.
    out: &'a mut [f32],
}

impl WithSimd for Panel<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { x, w, k, out } = self;
        let rows = x.len() / k;
        if rows <= FEW_ROWS {
            w.chunks(k).zip(out.chunks_mut(rows)).for_each(|(w, out)| few_tiles(simd, x, w, k, rows, out));
            return;
        }
        for (block, x) in x.chunks(BLOCK_ROWS * k).enumerate() {
            let first = block * BLOCK_ROWS;
            for (w, out) in w.chunks(TILE_W * k).zip(out.chunks_mut(TILE_W * rows)) {
                tiles(simd, x, w, k, first, rows, out);
            }
        }
    }
}

/// One row of `w` with all `rows` of `x`, which are few.
#[inline(always)]
fn few_tiles<S: Simd>(simd: S, x: &[f32], w: &[f32], k: usize, rows: usize, out: &mut [f32]) {
    for (tile, x) in x.chunks(4 * k).enumerate() {
        let at = 4 * tile;
        match x.len() / k {
            4 => tile_of::<S, 4, 1>(simd, x, w, k, at, rows, out),
            3 => tile_of::<S, 3, 1>(simd, x, w, k, at, rows, out),
            2 => tile_of::<S, 2, 1>(simd, x, w, k, at, rows, out),
            _ => tile_of::<S, 1, 1>(simd, x, w, k, at, rows, out),
        }
    }
}

/// Up to [`TILE_W`] rows of `w` with a block of rows of `x`, of which the first is row `first` of `rows`.
#[inline(always)]
fn tiles<S: Simd>(simd: S, x: &[f32], w: &[f32], k: usize, first: usize, rows: usize, out: &mut [f32]) {
    for (tile, x) in x.chunks(TILE_X * k).enumerate() {
        let at = first + tile * TILE_X;
        if w.len() == TILE_W * k {
            match x.len() / k {
                3 => tile_of::<S, 3, 4>(simd, x, w, k, at, rows, out),
                2 => tile_of::<S, 2, 4>(simd, x, w, k, at, rows, out),
                _ => tile_of::<S, 1, 4>(simd, x, w, k, at, rows, out),
            }
        } else {
            for (w, out) in w.chunks(k).zip(out.chunks_mut(rows)) {
                for (row, x) in x.chunks(k).enumerate() {
                    tile_of::<S, 1, 1>(simd, x, w, k, at + row, rows, out);
                }
            }
        }
    }
}

/// `M` rows of `x` with `N` rows of `w`. The order of additions within an element depends on `k` alone.
#[inline(always)]
fn tile_of<S: Simd, const M: usize, const N: usize>(
    simd: S,
    x: &[f32],
    w: &[f32],
    k: usize,
    at: usize,
    rows: usize,
    out: &mut [f32],
) {
    let vectors = k / S::F32_LANES;
    let mut x_rows: [&[S::f32s]; M] = [&[]; M];
    let mut w_rows: [&[S::f32s]; N] = [&[]; N];
    for i in 0..M {
        x_rows[i] = &S::as_simd_f32s(&x[i * k..(i + 1) * k]).0[..vectors];
    }
    for j in 0..N {
        w_rows[j] = &S::as_simd_f32s(&w[j * k..(j + 1) * k]).0[..vectors];
    }
    let mut sums = [[simd.splat_f32s(0.0); M]; N];
    for v in 0..vectors {
        for j in 0..N {
            let weight = w_rows[j][v];
            for i in 0..M {
                sums[j][i] = simd.mul_add_e_f32s(x_rows[i][v], weight, sums[j][i]);
            }
        }
    }
    for j in 0..N {
        for i in 0..M {
            let rest = rest(&x[i * k..(i + 1) * k], &w[j * k..(j + 1) * k], vectors * S::F32_LANES);
            out[j * rows + at + i] = simd.reduce_sum_f32s(sums[j][i]) + rest;
        }
    }
}

/// What is left of a dot product after the whole vectors.
#[inline(always)]
fn rest(x: &[f32], w: &[f32], from: usize) -> f32 {
    let mut sum = 0.0;
    for (x, w) in x[from..].iter().zip(&w[from..]) {
        sum += x * w;
    }
    sum
}

#[cfg(test)]
mod tests {
    use rand::rngs::StdRng;
    use rand::{RngExt, SeedableRng};

    use super::dot_rows;

    fn numbers(count: usize, seed: u64) -> Vec<f32> {
        let mut random = StdRng::seed_from_u64(seed);
        (0..count).map(|_| random.random_range(-1.0..1.0)).collect()
    }

    /// Sizes beside every border: vectors, tiles, blocks, tasks, and from one thread to several.
    const SIZES: [(usize, usize, usize); 11] = [
        (1, 1, 1),
        (1, 7, 5),
        (2, 8, 4),
        (3, 33, 31),
        (5, 64, 130),
        (8, 100, 70),
        (9, 64, 70),
        (49, 20, 65),
        (97, 130, 66),
        (1, 700, 600),
        (50, 100, 70),
    ];

    #[test]
    fn every_element_is_its_dot_product() {
        for (rows, k, n) in SIZES {
            let (x, w) = (numbers(rows * k, 1), numbers(n * k, 2));
            let product = dot_rows(&x, &w, k);
            for (at, value) in product.iter().enumerate() {
                let (x, w) = (&x[at / n * k..][..k], &w[at % n * k..][..k]);
                let expected: f64 = x.iter().zip(w).map(|(x, w)| f64::from(*x) * f64::from(*w)).sum();
                assert!((f64::from(*value) - expected).abs() < 1e-4, "{rows} x {k} x {n} at {at}");
            }
        }
    }

    #[test]
    fn a_row_gives_the_same_bits_alone_and_among_others() {
        for (rows, k, n) in SIZES {
            let (x, w) = (numbers(rows * k, 3), numbers(n * k, 4));
            let together = dot_rows(&x, &w, k);
            let alone: Vec<f32> = x.chunks(k).flat_map(|row| dot_rows(row, &w, k)).collect();
            assert_eq!(together, alone, "{rows} x {k} x {n}");
        }
    }
}
