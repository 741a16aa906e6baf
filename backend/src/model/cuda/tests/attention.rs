//! Attention against candle's own operations in f32, over the same numbers.

use candle_core::{DType, Tensor};
use rand::RngExt;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;

use super::{difference, kernels, numbers, seeded};
use crate::model::attention::{Geometry, Span, portable};
use crate::model::cache::BLOCK_TOKENS;
use crate::model::cuda::{Kernels, Pools};

/// Blocks of the pools.
const BLOCKS: usize = 96;

/// Keys, values and who holds which blocks.
struct Scene {
    keys: Tensor,
    values: Tensor,
    queries: Tensor,
    tables: Vec<Vec<u32>>,
    /// First position and number of tokens.
    chunks: Vec<(usize, usize)>,
}

impl Scene {
    fn new(random: &mut StdRng, geometry: Geometry, dtype: DType, chunks: &[(usize, usize)]) -> Self {
        let width = geometry.kv_heads * geometry.head_dim;
        let mut blocks: Vec<u32> = (0..BLOCKS as u32).collect();
        blocks.shuffle(random);
        let mut tables = Vec::new();
        for (start, tokens) in chunks {
            let needed = (start + tokens).div_ceil(BLOCK_TOKENS);
            tables.push(blocks.split_off(blocks.len() - needed));
        }
        let tokens = chunks.iter().map(|(_, tokens)| tokens).sum();
        Self {
            keys: numbers(random, BLOCKS * BLOCK_TOKENS, width, dtype),
            values: numbers(random, BLOCKS * BLOCK_TOKENS, width, dtype),
            queries: numbers(random, tokens, geometry.heads * geometry.head_dim, dtype),
            tables,
            chunks: chunks.to_vec(),
        }
    }

    fn spans(&self) -> Vec<Span<'_>> {
        let span = |(blocks, &(start, tokens)): (_, &(usize, usize))| Span { blocks, start, tokens };
        self.tables.iter().map(Vec::as_slice).zip(&self.chunks).map(span).collect()
    }

    fn ours(&self, kernels: &Kernels, geometry: Geometry) -> Tensor {
        attend(kernels, geometry, &self.spans(), &self.queries, self)
    }

    /// In f32, over the numbers as they are in the cache.
    fn theirs(&self, geometry: Geometry) -> Tensor {
        let wide = |x: &Tensor| x.to_dtype(DType::F32).unwrap();
        let (queries, keys, values) = (wide(&self.queries), wide(&self.keys), wide(&self.values));
        portable::forward(geometry, &self.spans(), &queries, &keys, &values).unwrap()
    }
}

fn attend(
    kernels: &Kernels,
    geometry: Geometry,
    spans: &[Span<'_>],
    queries: &Tensor,
    scene: &Scene,
) -> Tensor {
    let plan = kernels.plan(spans).unwrap();
    let pools = Pools { keys: &scene.keys, values: &scene.values };
    kernels.attend(&plan, geometry, queries, pools).unwrap()
}

fn geometry(kv_heads: usize, group: usize, head_dim: usize) -> Geometry {
    let scale = 1.0 / (head_dim as f32).sqrt();
    Geometry { heads: kv_heads * group, kv_heads, head_dim, scale, softcap: None, window: None }
}

/// What rounding the output, and in the tiles the weights, may cost.
fn tolerance(dtype: DType) -> f32 {
    match dtype {
        DType::F32 => 2e-5,
        DType::F16 => 2e-3,
        _ => 1.6e-2,
    }
}

/// Heads of many shapes; in each some random chunks, windows and caps, one of them long enough for several parts.
#[test]
fn any_step_agrees_with_the_portable_way() {
    let (seed, mut random) = seeded();
    let shapes = [
        (DType::BF16, 2, 4, 64),
        (DType::BF16, 1, 2, 256),
        (DType::BF16, 1, 9, 72),
        (DType::BF16, 1, 16, 16),
        (DType::F16, 2, 1, 80),
        (DType::F16, 1, 3, 128),
        (DType::F32, 2, 7, 64),
        (DType::F32, 3, 2, 10),
        (DType::F32, 1, 1, 12),
    ];
    for (dtype, kv_heads, group, head_dim) in shapes {
        let plain = geometry(kv_heads, group, head_dim);
        let kernels = kernels(plain, dtype, seed);
        for round in 0..4 {
            let window = (round > 0).then(|| random.random_range(1..400));
            let softcap = (round > 1).then(|| random.random_range(0.5f32..30.0));
            let geometry = Geometry { window, softcap, ..plain };
            let chunks = [
                (random.random_range(0..600), 1),
                (random.random_range(250..260), random.random_range(1..8)),
                (random.random_range(0..90), random.random_range(8..80)),
            ];
            let scene = Scene::new(&mut random, geometry, dtype, &chunks);
            let off = difference(&scene.ours(&kernels, geometry), &scene.theirs(geometry));
            assert!(off < tolerance(dtype), "{dtype:?} {geometry:?} {chunks:?}: {off}");
        }
    }
}

/// A token's bits do not depend on who shares its step, on how its parts are spread, nor, among chunks, on where the
/// prompt was cut.
#[test]
fn a_token_has_the_same_bits_alone_and_in_any_company() {
    let (seed, mut random) = seeded();
    for (dtype, head_dim) in [(DType::BF16, 64), (DType::F32, 16)] {
        let geometry = Geometry { window: Some(random.random_range(200..500)), ..geometry(2, 3, head_dim) };
        let mut kernels = kernels(geometry, dtype, seed);
        let scene = Scene::new(&mut random, geometry, dtype, &[(570, 1), (300, 70), (20, 3)]);
        let together = scene.ours(&kernels, geometry);
        let spans = scene.spans();
        let mut first = 0;
        for span in &spans {
            // Cut at a place that leaves both ways of computing as they are: eight tokens and more go by tiles.
            let cuts = if span.tokens >= 16 { vec![0, 9, span.tokens] } else { vec![0, span.tokens] };
            for cut in cuts.windows(2) {
                let piece = Span { start: span.start + cut[0], tokens: cut[1] - cut[0], ..*span };
                let queries = scene.queries.narrow(0, first + cut[0], piece.tokens).unwrap();
                let alone = attend(&kernels, geometry, &[piece], &queries, &scene);
                let among = together.narrow(0, first + cut[0], piece.tokens).unwrap();
                assert_eq!(difference(&alone, &among), 0.0, "{dtype:?} {piece:?}");
            }
            first += span.tokens;
        }
        // Without room for parts each thread block goes over all parts of its row.
        kernels.parts_bytes = 0;
        assert_eq!(difference(&scene.ours(&kernels, geometry), &together), 0.0, "{dtype:?}");
    }
}
