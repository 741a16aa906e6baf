//! Attention of a packed step over the cache's blocks: an own kernel where there is one, else candle's pieces.

pub(crate) mod portable;

use std::ops::Range;

use candle_core::{DType, Result, Tensor};

use super::cache::BLOCK_TOKENS;
use super::cpu::attention::BlockAttention;

/// Sizes that attention needs to know.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Geometry {
    pub(crate) heads: usize,
    pub(crate) kv_heads: usize,
    pub(crate) head_dim: usize,
    /// Multiplies scores: mostly one over the root of `head_dim`.
    pub(crate) scale: f32,
    /// Scores then become `cap * tanh(score / cap)`.
    pub(crate) softcap: Option<f32>,
    /// How many positions a token sees, its own included; `None`: all of them. Each layer has its own.
    pub(crate) window: Option<usize>,
}

impl Geometry {
    /// The first position that a token may look at which sees up to before `visible`.
    pub(crate) fn first_visible(&self, visible: usize) -> usize {
        self.window.map_or(0, |window| visible.saturating_sub(window))
    }
}

/// Consecutive tokens of one sequence within a step.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span<'a> {
    /// The sequence's blocks, in the order of its positions.
    pub(crate) blocks: &'a [u32],
    /// Position of the first token.
    pub(crate) start: usize,
    /// Number of tokens.
    pub(crate) tokens: usize,
}

impl<'a> Span<'a> {
    /// The slots of the positions from `first` to before `end`.
    pub(crate) fn slots(&self, first: usize, end: usize) -> impl Iterator<Item = u32> + use<'a> {
        let blocks = self.blocks;
        (first..end)
            .map(move |at| blocks[at / BLOCK_TOKENS] * BLOCK_TOKENS as u32 + (at % BLOCK_TOKENS) as u32)
    }

    /// Position after the last token.
    pub(crate) fn end(&self) -> usize {
        self.start + self.tokens
    }

    fn rows(self) -> impl Iterator<Item = Row<'a>> {
        (self.start..self.end()).map(move |position| Row { blocks: self.blocks, visible: position + 1 })
    }
}

/// What one token may look at: the first `visible` positions of its sequence, as far as a window reaches back.
#[derive(Debug)]
pub(crate) struct Row<'a> {
    pub(crate) blocks: &'a [u32],
    pub(crate) visible: usize,
}

impl Row<'_> {
    /// The blocks to visit from position `first` on, each with the range of its tokens that counts.
    pub(crate) fn spans(&self, first: usize) -> impl Iterator<Item = (usize, Range<usize>)> {
        let numbers = first / BLOCK_TOKENS..self.visible.div_ceil(BLOCK_TOKENS);
        numbers.map(move |number| {
            let start = number * BLOCK_TOKENS;
            let range = first.saturating_sub(start)..(self.visible - start).min(BLOCK_TOKENS);
            (self.blocks[number] as usize, range)
        })
    }
}

/// Attention of one step, the same for all its layers but for their windows.
pub(crate) struct StepAttention<'a> {
    geometry: Geometry,
    spans: &'a [Span<'a>],
    rows: Vec<Row<'a>>,
}

impl<'a> StepAttention<'a> {
    pub(crate) fn new(geometry: Geometry, spans: &'a [Span<'a>]) -> Self {
        Self { geometry, spans, rows: spans.iter().flat_map(|span| span.rows()).collect() }
    }

    /// `queries [tokens, heads * head_dim]` over a layer's pools, looking back as far as the layer's window
    /// reaches; gives the same shape.
    pub(crate) fn forward(
        &self,
        window: Option<usize>,
        queries: &Tensor,
        keys: &Tensor,
        values: &Tensor,
    ) -> Result<Tensor> {
        let geometry = Geometry { window, ..self.geometry };
        if queries.device().is_cpu() && queries.dtype() == DType::F32 {
            let kernel = BlockAttention { geometry, rows: &self.rows };
            return queries.apply_op3_no_bwd(keys, values, &kernel);
        }
        portable::forward(geometry, self.spans, queries, keys, values)
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Tensor};

    use super::{BLOCK_TOKENS, Geometry, Span, StepAttention, portable};

    /// The kernel and candle's own operations agree on decodes, chunks and whole prompts with scattered blocks,
    /// with windows on both sides of a block's size, and with capped scores.
    #[test]
    fn the_kernel_agrees_with_the_portable_way() {
        let device = Device::Cpu;
        let shapes = [(4, 4, 8), (6, 2, 12), (8, 1, 64), (3, 3, 2)];
        let variants =
            [(None, None), (Some(1), None), (Some(9), Some(0.5)), (Some(16), None), (Some(35), Some(2.0))];
        for ((heads, kv_heads, head_dim), (window, softcap)) in
            shapes.into_iter().flat_map(|shape| variants.map(|variant| (shape, variant)))
        {
            let geometry = Geometry { heads, kv_heads, head_dim, scale: 0.3, softcap, window };
            let tables: [Vec<u32>; 3] = [vec![9, 2, 7], vec![0, 5], vec![4, 1, 8, 3]];
            let spans = [
                Span { blocks: &tables[0], start: 40, tokens: 1 },
                Span { blocks: &tables[1], start: 0, tokens: 17 },
                Span { blocks: &tables[2], start: 20, tokens: 33 },
            ];
            let random = |rows, width| Tensor::randn(0f32, 1.0, (rows, width), &device).unwrap();
            let queries = random(1 + 17 + 33, heads * head_dim);
            let pool = || random(10 * BLOCK_TOKENS, kv_heads * head_dim);
            let (keys, values) = (pool(), pool());
            let step = StepAttention::new(geometry, &spans);
            let ours = step.forward(window, &queries, &keys, &values).unwrap();
            let theirs = portable::forward(geometry, &spans, &queries, &keys, &values).unwrap();
            let difference =
                (ours - theirs).unwrap().abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap();
            assert!(difference < 1e-5, "{geometry:?}: {difference}");
        }
    }
}
