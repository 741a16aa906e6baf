//! Attention that reads keys and values where they lie in the cache's blocks, without gathering them first.
//!
//! One task is one query head of one token. Its keys are visited in the order of their positions, so that the
//! result depends on the sequence alone: not on how its prompt was cut into chunks, nor on the batch.

use std::cell::RefCell;
use std::ops::Range;

use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape};
use pulp::{Simd, WithSimd};

use super::exponential::exp;
use super::share::share_pieces;
use super::{PARALLEL_FROM, contiguous, dispatch_wide};
use crate::model::attention::{Geometry, Row};
use crate::model::cache::BLOCK_TOKENS;

/// Queries `[tokens, heads * head_dim]`, keys and values `[slots, kv_heads * head_dim]` to `[tokens, heads *
/// head_dim]`.
pub(crate) struct BlockAttention<'a> {
    pub(crate) geometry: Geometry,
    /// For each token of the queries, what it may look at.
    pub(crate) rows: &'a [Row<'a>],
}

impl CustomOp3 for BlockAttention<'_> {
    fn name(&self) -> &'static str {
        "block-attention"
    }

    fn cpu_fwd(
        &self,
        queries: &CpuStorage,
        lq: &Layout,
        keys: &CpuStorage,
        lk: &Layout,
        values: &CpuStorage,
        lv: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let queries = contiguous(queries, lq)?;
        let pool = Pool { keys: contiguous(keys, lk)?, values: contiguous(values, lv)? };
        let mut out = vec![0f32; queries.len()];
        self.run(queries, &pool, &mut out);
        Ok((CpuStorage::F32(out), lq.shape().clone()))
    }
}

/// Keys and values of all sequences, one row per slot.
struct Pool<'a> {
    keys: &'a [f32],
    values: &'a [f32],
}

impl BlockAttention<'_> {
    fn run(&self, queries: &[f32], pool: &Pool<'_>, out: &mut [f32]) {
        let Geometry { heads, head_dim, .. } = self.geometry;
        let visited: usize =
            self.rows.iter().map(|row| row.visible - self.geometry.first_visible(row.visible)).sum();
        let parallel = visited * heads * head_dim >= PARALLEL_FROM;
        share_pieces(out, head_dim, parallel, |index, out| {
            let (row, head) = (&self.rows[index / heads], index % heads);
            let query = &queries[index * head_dim..(index + 1) * head_dim];
            SCORES.with_borrow_mut(|scores| {
                dispatch_wide(Head { geometry: self.geometry, row, head, query, pool, scores, out });
            });
        });
    }
}

thread_local! {
    /// Room for the scores of one head, kept from one to the next.
    static SCORES: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

/// One query head of one token.
struct Head<'a> {
    geometry: Geometry,
    row: &'a Row<'a>,
    head: usize,
    query: &'a [f32],
    pool: &'a Pool<'a>,
    scores: &'a mut Vec<f32>,
    out: &'a mut [f32],
}

impl WithSimd for Head<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { geometry, row, head, query, pool, scores, out } = self;
        let width = geometry.kv_heads * geometry.head_dim;
        let column = head / (geometry.heads / geometry.kv_heads) * geometry.head_dim;
        scores.clear();
        let first = geometry.first_visible(row.visible);
        for (block, tokens) in row.spans(first) {
            let at = block * BLOCK_TOKENS;
            let keys = &pool.keys[(at + tokens.start) * width..(at + tokens.end) * width];
            for key in keys.chunks_exact(width) {
                scores.push(geometry.scale * dot(simd, query, &key[column..column + geometry.head_dim]));
            }
        }
        if let Some(cap) = geometry.softcap {
            scores.iter_mut().for_each(|score| *score = cap * (*score / cap).tanh());
        }
        let total = softmax_numerators(scores);
        let mut mixed = 0;
        while mixed < out.len() {
            let from = Columns { values: pool.values, width, start: column + mixed };
            let out = &mut out[mixed..];
            mixed += match out.len() / S::F32_LANES {
                8.. => mix::<S, 8>(simd, row.spans(first), from, scores, out),
                4.. => mix::<S, 4>(simd, row.spans(first), from, scores, out),
                2.. => mix::<S, 2>(simd, row.spans(first), from, scores, out),
                1 => mix::<S, 1>(simd, row.spans(first), from, scores, out),
                _ => mix_one(row.spans(first), from, scores, out),
            };
        }
        for value in out.iter_mut() {
            *value /= total;
        }
    }
}

#[inline(always)]
fn dot<S: Simd>(simd: S, a: &[f32], b: &[f32]) -> f32 {
    let (a_vectors, a_rest) = S::as_simd_f32s(a);
    let (b_vectors, b_rest) = S::as_simd_f32s(b);
    let mut sums = [simd.splat_f32s(0.0); 2];
    for (i, (a, b)) in a_vectors.iter().zip(b_vectors).enumerate() {
        sums[i % 2] = simd.mul_add_e_f32s(*a, *b, sums[i % 2]);
    }
    let mut sum = simd.reduce_sum_f32s(simd.add_f32s(sums[0], sums[1]));
    for (a, b) in a_rest.iter().zip(b_rest) {
        sum += a * b;
    }
    sum
}

/// Turns scores into `exp(score - max)` and gives their sum.
#[inline(always)]
fn softmax_numerators(scores: &mut [f32]) -> f32 {
    let max = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    for score in scores.iter_mut() {
        *score = exp(*score - max);
    }
    scores.iter().sum()
}

/// Values of all slots, from a column on.
#[derive(Clone, Copy)]
struct Columns<'a> {
    values: &'a [f32],
    /// Of a slot.
    width: usize,
    start: usize,
}

impl<'a> Columns<'a> {
    /// The values of some tokens of a block.
    #[inline(always)]
    fn of(self, (block, tokens): (usize, Range<usize>)) -> impl Iterator<Item = &'a [f32]> {
        let at = block * BLOCK_TOKENS;
        let rows = &self.values[(at + tokens.start) * self.width..(at + tokens.end) * self.width];
        rows.chunks_exact(self.width).map(move |row| &row[self.start..])
    }
}

/// The sum of all values, each times its weight, over `V` vectors of columns, which stay in the registers; gives their number of
/// elements.
#[inline(always)]
fn mix<S: Simd, const V: usize>(
    simd: S,
    spans: impl Iterator<Item = (usize, Range<usize>)>,
    from: Columns<'_>,
    weights: &[f32],
    out: &mut [f32],
) -> usize {
    let mut sums = [simd.splat_f32s(0.0); V];
    let values = spans.flat_map(|span| from.of(span));
    for (value, weight) in values.zip(weights) {
        let (value, weight) = (&S::as_simd_f32s(value).0[..V], simd.splat_f32s(*weight));
        for v in 0..V {
            sums[v] = simd.mul_add_e_f32s(value[v], weight, sums[v]);
        }
    }
    S::as_mut_simd_f32s(out).0[..V].copy_from_slice(&sums);
    V * S::F32_LANES
}

/// The same for a single column, where no vector is left.
#[inline(always)]
fn mix_one(
    spans: impl Iterator<Item = (usize, Range<usize>)>,
    from: Columns<'_>,
    weights: &[f32],
    out: &mut [f32],
) -> usize {
    let values = spans.flat_map(|span| from.of(span));
    out[0] = values.zip(weights).map(|(value, weight)| value[0] * weight).sum();
    1
}
