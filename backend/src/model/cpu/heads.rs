//! From the joined product of queries, keys and values to what attention reads: each head normed where the model does, turned by
//! its token's position, keys and values in their slots of the cache, in one pass over each.

use candle_core::{CpuStorage, CustomOp1, InplaceOp2, Layout, Result, Shape, bail};
use pulp::{Simd, WithSimd};

use super::norm::rms_norm;
use super::share::share_pieces;
use super::{PARALLEL_FROM, contiguous, dispatch};

/// Heads of one kind within rows of the joined product.
pub(crate) struct Heads<'a> {
    /// Column of the first.
    pub(crate) column: usize,
    /// Width of all of them.
    pub(crate) width: usize,
    pub(crate) head_dim: usize,
    /// Weights of the norm over each head, and its epsilon.
    pub(crate) norm: Option<(&'a [f32], f32)>,
    /// None for what is not turned.
    pub(crate) turn: Option<Turn<'a>>,
}

/// How far each token's heads are turned: rotary position embedding (Su et al. 2021), in which a dimension of a head's first half
/// goes with one of its second.
#[derive(Clone, Copy)]
pub(crate) struct Turn<'a> {
    /// `[tokens, pairs]`, and the sines alike.
    pub(crate) cosines: &'a [f32],
    pub(crate) sines: &'a [f32],
    /// Pairs of dimensions that are turned; the rest of a head stays.
    pub(crate) pairs: usize,
}

impl Heads<'_> {
    /// One token's heads, from its row of the joined product.
    fn place(&self, token: usize, row: &[f32], out: &mut [f32]) {
        dispatch(Token { heads: self, token, from: &row[self.column..self.column + self.width], out });
    }
}

/// Gives the heads as a tensor of their own, `[tokens, width]`.
impl CustomOp1 for Heads<'_> {
    fn name(&self) -> &'static str {
        "heads"
    }

    fn cpu_fwd(&self, joined: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (tokens, all) = layout.shape().dims2()?;
        let joined = contiguous(joined, layout)?;
        let mut out = vec![0f32; tokens * self.width];
        let parallel = 4 * out.len() >= PARALLEL_FROM;
        share_pieces(&mut out, self.width, parallel, |token, out| {
            self.place(token, &joined[token * all..(token + 1) * all], out);
        });
        Ok((CpuStorage::F32(out), Shape::from((tokens, self.width))))
    }
}

/// Writes the heads of each token to a slot of a pool `[slots, width]`.
pub(crate) struct IntoSlots<'a> {
    pub(crate) heads: Heads<'a>,
    /// One for each token, none twice.
    pub(crate) slots: &'a [u32],
}

impl InplaceOp2 for IntoSlots<'_> {
    fn name(&self) -> &'static str {
        "into-slots"
    }

    fn cpu_fwd(&self, pool: &mut CpuStorage, lp: &Layout, joined: &CpuStorage, lj: &Layout) -> Result<()> {
        let ((tokens, all), (slots, width)) = (lj.shape().dims2()?, lp.shape().dims2()?);
        let joined = contiguous(joined, lj)?;
        let (CpuStorage::F32(pool), Some((start, end))) = (pool, lp.contiguous_offsets()) else {
            bail!("into-slots: the pool is no contiguous one in f32");
        };
        let pool = &mut pool[start..end];
        if tokens != self.slots.len() || width != self.heads.width {
            bail!(
                "into-slots: {tokens} tokens for {} slots, {} wide for {width}",
                self.slots.len(),
                self.heads.width
            );
        }
        for (token, slot) in self.slots.iter().enumerate() {
            let slot = *slot as usize;
            if slot >= slots {
                bail!("into-slots: slot {slot} of {slots}");
            }
            let row = &joined[token * all..(token + 1) * all];
            self.heads.place(token, row, &mut pool[slot * width..(slot + 1) * width]);
        }
        Ok(())
    }
}

struct Token<'a> {
    heads: &'a Heads<'a>,
    token: usize,
    from: &'a [f32],
    out: &'a mut [f32],
}

impl WithSimd for Token<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { heads, token, from, out } = self;
        match heads.norm {
            Some((weight, eps)) => {
                let pairs = out.chunks_exact_mut(heads.head_dim).zip(from.chunks_exact(heads.head_dim));
                pairs.for_each(|(out, from)| rms_norm(simd, from, weight, eps, out));
            }
            None => out.copy_from_slice(from),
        }
        if let Some(Turn { cosines, sines, pairs }) = heads.turn {
            let angles = token * pairs..(token + 1) * pairs;
            let (cosines, sines) = (&cosines[angles.clone()], &sines[angles]);
            out.chunks_exact_mut(heads.head_dim).for_each(|head| turn(head, cosines, sines));
        }
    }
}

#[inline(always)]
fn turn(head: &mut [f32], cosines: &[f32], sines: &[f32]) {
    let (first, second) = head.split_at_mut(cosines.len());
    let angles = cosines.iter().zip(sines);
    for ((x, y), (cosine, sine)) in first.iter_mut().zip(second).zip(angles) {
        (*x, *y) = (*x * cosine - *y * sine, *x * sine + *y * cosine);
    }
}
