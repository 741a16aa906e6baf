//! `x · Wᵀ` in f32, with the weights laid out anew at load: in panels of 16 outputs, within a panel one input after the other.
//!
//! As it lies in files, a matrix gives either long dot products, which load each weight for few multiplications, or blocks of rows
//! side by side, which memory prefetches badly. A panel streams through once in the order of memory, whatever the number of
//! rows of `x`, and each of its vectors meets up to eight of them in the registers. Results come out in rows: nothing is
//! turned afterwards.
//!
//! Every output is one sum over the inputs in their order. So a sequence's bits depend neither on who shares its batch nor on the
//! width of this CPU's vectors.

use std::borrow::Cow;
use std::ops::Range;

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, bail};
use pulp::{Simd, WithSimd};

use super::share::{Strip, share_columns, share_pieces};
use super::{PARALLEL_FROM, contiguous, dispatch_wide};

/// Outputs of a panel.
const PANEL: usize = 16;
/// Most rows of `x` that meet a panel at a time: with a panel's vector and a value of `x` they fill the registers.
const TILE: usize = 8;
/// Numbers of `x`, and as many weights, that shall stay in the cache together.
const CACHED: usize = 1 << 16;

/// A matrix `[outputs, inputs]`.
#[derive(Debug)]
pub(crate) struct Panels {
    /// `[panels, inputs, PANEL]`; zeros stand in for outputs that the last panel lacks.
    numbers: Vec<f32>,
    outputs: usize,
    inputs: usize,
}

impl Panels {
    /// Lays out `matrix`, row-major `[outputs, inputs]`.
    pub(crate) fn new(matrix: &[f32], inputs: usize) -> Self {
        let outputs = matrix.len() / inputs.max(1);
        let mut numbers = vec![0f32; outputs.next_multiple_of(PANEL) * inputs];
        let parallel = matrix.len() >= PARALLEL_FROM;
        share_pieces(&mut numbers, PANEL * inputs, parallel, |panel, numbers| {
            let rows = matrix[panel * PANEL * inputs..].chunks_exact(inputs).take(PANEL);
            for (output, row) in rows.enumerate() {
                for (input, number) in row.iter().enumerate() {
                    numbers[input * PANEL + output] = *number;
                }
            }
        });
        Self { numbers, outputs, inputs }
    }

    /// The matrix's rows of these numbers, one after the other; all of them must be below the number of outputs.
    pub(crate) fn rows(&self, numbers: &[u32]) -> Vec<f32> {
        let mut rows = vec![0f32; numbers.len() * self.inputs];
        let parallel = rows.len() >= PARALLEL_FROM;
        share_pieces(&mut rows, self.inputs, parallel, |index, row| {
            let output = numbers[index] as usize;
            let panel = &self.numbers[output / PANEL * PANEL * self.inputs..][..PANEL * self.inputs];
            let column = panel.iter().skip(output % PANEL).step_by(PANEL);
            row.iter_mut().zip(column).for_each(|(to, from)| *to = *from);
        });
        rows
    }

    /// Outputs and inputs.
    pub(crate) fn dims(&self) -> (usize, usize) {
        (self.outputs, self.inputs)
    }

    /// `x [rows, inputs]` to `[rows, outputs]`.
    fn product(&self, x: &[f32]) -> Vec<f32> {
        let rows = x.len() / self.inputs;
        let mut out = vec![0f32; rows * self.outputs];
        let parallel = rows * self.numbers.len() >= PARALLEL_FROM;
        let tiled = Tiled::new(x, self.inputs, parallel);
        share_columns(&mut out, self.outputs, PANEL, parallel, |panels, strip| {
            dispatch_wide(Product { matrix: self, x: &tiled, panels, strip });
        });
        out
    }
}

impl CustomOp1 for &Panels {
    fn name(&self) -> &'static str {
        "panels"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (rows, inputs) = layout.shape().dims2()?;
        if inputs != self.inputs {
            bail!("{rows} x {inputs} with {} x {}", self.outputs, self.inputs);
        }
        let product = self.product(contiguous(x, layout)?);
        Ok((CpuStorage::F32(product), Shape::from((rows, self.outputs))))
    }
}

/// Rows of `x` in tiles, each laid out input by input.
struct Tiled<'a> {
    numbers: Cow<'a, [f32]>,
    inputs: usize,
    /// Rows of a tile; of the last perhaps fewer.
    height: usize,
}

impl<'a> Tiled<'a> {
    /// As few tiles as will do, and as even.
    fn new(x: &'a [f32], inputs: usize, parallel: bool) -> Self {
        let rows = x.len() / inputs;
        let height = rows.div_ceil(rows.div_ceil(TILE).max(1));
        if rows <= 1 {
            return Self { numbers: x.into(), inputs, height };
        }
        let mut numbers = vec![0f32; x.len()];
        share_pieces(&mut numbers, height * inputs, parallel && rows > 4 * TILE, |tile, to| {
            turn(&x[tile * height * inputs..][..to.len()], inputs, to);
        });
        Self { numbers: numbers.into(), inputs, height }
    }

    fn count(&self) -> usize {
        self.numbers.len().div_ceil(self.height * self.inputs)
    }

    fn tile(&self, number: usize) -> &[f32] {
        let start = number * self.height * self.inputs;
        &self.numbers[start..self.numbers.len().min(start + self.height * self.inputs)]
    }
}

/// `[rows, inputs]` to `[inputs, rows]`.
fn turn(from: &[f32], inputs: usize, to: &mut [f32]) {
    let rows = from.len() / inputs;
    for (row, values) in from.chunks_exact(inputs).enumerate() {
        for (place, value) in to.iter_mut().skip(row).step_by(rows).zip(values) {
            *place = *value;
        }
    }
}

/// Some panels with all rows of `x`.
struct Product<'a> {
    matrix: &'a Panels,
    x: &'a Tiled<'a>,
    panels: Range<usize>,
    strip: &'a Strip<'a>,
}

impl WithSimd for Product<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let inputs = self.matrix.inputs;
        let tiles_at_once = (CACHED / (TILE * inputs)).max(1);
        let panels_at_once = (CACHED / (PANEL * inputs)).max(1);
        let mut panels = self.panels.clone();
        while !panels.is_empty() {
            let some = panels.start..panels.end.min(panels.start + panels_at_once);
            panels.start = some.end;
            for first in (0..self.x.count()).step_by(tiles_at_once) {
                for panel in some.clone() {
                    for tile in first..self.x.count().min(first + tiles_at_once) {
                        self.tile(simd, panel, tile);
                    }
                }
            }
        }
    }
}

impl Product<'_> {
    #[inline(always)]
    fn tile<S: Simd>(&self, simd: S, panel: usize, tile: usize) {
        match self.x.tile(tile).len() / self.matrix.inputs {
            1 => self.tile_of::<S, 1>(simd, panel, tile),
            2 => self.tile_of::<S, 2>(simd, panel, tile),
            3 => self.tile_of::<S, 3>(simd, panel, tile),
            4 => self.tile_of::<S, 4>(simd, panel, tile),
            5 => self.tile_of::<S, 5>(simd, panel, tile),
            6 => self.tile_of::<S, 6>(simd, panel, tile),
            7 => self.tile_of::<S, 7>(simd, panel, tile),
            _ => self.tile_of::<S, TILE>(simd, panel, tile),
        }
    }

    #[inline(always)]
    fn tile_of<S: Simd, const M: usize>(&self, simd: S, panel: usize, tile: usize) {
        let inputs = self.matrix.inputs;
        let weights = &self.matrix.numbers[panel * PANEL * inputs..][..PANEL * inputs];
        let (x, weights) = (self.x.tile(tile).as_chunks::<M>().0, weights.as_chunks::<PANEL>().0);
        let sums = match S::F32_LANES {
            16 => outer::<S, M, 1>(simd, x, weights),
            8 => outer::<S, M, 2>(simd, x, weights),
            4 => outer::<S, M, 4>(simd, x, weights),
            _ => outer::<S, M, PANEL>(simd, x, weights),
        };
        for (row, sums) in sums.iter().enumerate() {
            self.strip.put(tile * self.x.height + row, panel * PANEL, sums);
        }
    }
}

/// The sums of `M` rows of `x` with a panel, whose 16 outputs are `V` vectors.
#[inline(always)]
fn outer<S: Simd, const M: usize, const V: usize>(
    simd: S,
    x: &[[f32; M]],
    panel: &[[f32; PANEL]],
) -> [[f32; PANEL]; M] {
    let mut sums = [[simd.splat_f32s(0.0); V]; M];
    for (x, weights) in x.iter().zip(panel) {
        let weights = &S::as_simd_f32s(weights).0[..V];
        for row in 0..M {
            let x = simd.splat_f32s(x[row]);
            for v in 0..V {
                sums[row][v] = simd.mul_add_e_f32s(x, weights[v], sums[row][v]);
            }
        }
    }
    let mut out = [[0f32; PANEL]; M];
    for (out, sums) in out.iter_mut().zip(&sums) {
        S::as_mut_simd_f32s(out).0.copy_from_slice(sums);
    }
    out
}

#[cfg(test)]
mod tests {
    use rand::rngs::StdRng;
    use rand::{RngExt, SeedableRng};

    use super::Panels;

    fn numbers(count: usize, seed: u64) -> Vec<f32> {
        let mut random = StdRng::seed_from_u64(seed);
        (0..count).map(|_| random.random_range(-1.0..1.0)).collect()
    }

    /// Rows, inputs and outputs beside every border: tiles, panels, what stays in the cache, and from one thread to several.
    const SIZES: [(usize, usize, usize); 12] = [
        (1, 1, 1),
        (1, 7, 5),
        (2, 8, 4),
        (3, 33, 31),
        (5, 64, 130),
        (8, 100, 70),
        (9, 64, 16),
        (49, 20, 65),
        (97, 130, 66),
        (1, 700, 600),
        (50, 100, 70),
        (33, 9000, 40),
    ];

    #[test]
    fn every_element_is_its_dot_product() {
        for (rows, k, n) in SIZES {
            let (x, w) = (numbers(rows * k, 1), numbers(n * k, 2));
            let product = Panels::new(&w, k).product(&x);
            assert_eq!(product.len(), rows * n);
            for (at, value) in product.iter().enumerate() {
                let (x, w) = (&x[at / n * k..][..k], &w[at % n * k..][..k]);
                let expected: f64 = x.iter().zip(w).map(|(x, w)| f64::from(*x) * f64::from(*w)).sum();
                assert!((f64::from(*value) - expected).abs() < 1e-3, "{rows} x {k} x {n} at {at}");
            }
        }
    }

    #[test]
    fn a_row_gives_the_same_bits_alone_and_among_others() {
        for (rows, k, n) in SIZES {
            let (x, panels) = (numbers(rows * k, 3), Panels::new(&numbers(n * k, 4), k));
            let together = panels.product(&x);
            let alone: Vec<f32> = x.chunks(k).flat_map(|row| panels.product(row)).collect();
            assert_eq!(together, alone, "{rows} x {k} x {n}");
        }
    }

    #[test]
    fn rows_can_be_looked_up() {
        let (k, n) = (33, 50);
        let w = numbers(n * k, 5);
        let rows = Panels::new(&w, k).rows(&[0, 49, 16, 15]);
        let expected = [0, 49, 16, 15].map(|row: usize| &w[row * k..(row + 1) * k]).concat();
        assert_eq!(rows, expected);
    }
}
