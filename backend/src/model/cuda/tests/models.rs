//! Whole models through the kernels, against the decoder that is checked against transformers.

use std::path::PathBuf;

use candle_core::{DType, Device, Result, Shape as Dims, Tensor};

use super::host::Host;
use super::{Kernels, Shape, difference, kernels, numbers, seeded};
use crate::model::attention::Geometry;
use crate::model::cuda::launch::{Launch, Runner};
use crate::model::linear::{Linear, Weight};
use crate::model::{Chunk, Decoder, DeviceChoice, LoadOptions, ModelSource};

/// One of each kind: head norms and biases, sandwich norms with caps and windows, turned in part, one key head, 10 dimensions.
const FIXTURES: [&str; 8] =
    ["qwen3_bias", "gemma2", "gemma3", "phi3_partial", "mistral_whole", "mistral", "qwen2", "llama3"];

pub(super) fn load(name: &str, dtype: DType) -> Decoder {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/models").join(name);
    let options = LoadOptions { device: DeviceChoice::Cpu, dtype: Some(dtype), ..LoadOptions::default() };
    crate::model::load(&ModelSource::Folder(folder), &options).unwrap().decoder
}

/// A prompt and a decode of another sequence in steps of such sizes; the logits of all steps.
fn run(decoder: &Decoder, sizes: &[usize]) -> Vec<Tensor> {
    let cache = decoder.new_cache(12).unwrap();
    let tokens: Vec<u32> = (0..60).map(|i| (i * 37 + 5) % decoder.config().vocab_size as u32).collect();
    let (blocks, others) = ([7, 2, 9, 4], [1, 11, 3, 8]);
    let mut logits = Vec::new();
    let mut start = 0;
    for (at, size) in sizes.iter().enumerate() {
        let chunk = Chunk { tokens: &tokens[start..start + size], start, blocks: &blocks, logits: true };
        let other = Chunk { tokens: &tokens[at..=at], start: at, blocks: &others, logits: at % 2 == 1 };
        logits.push(decoder.forward(&cache, &[chunk, other]).unwrap().unwrap());
        start += size;
    }
    logits
}

pub(super) fn fuse(decoder: &mut Decoder) {
    decoder.fuse(kernels(decoder.geometry(), decoder.dtype, 7)).unwrap();
    assert!(decoder.has_kernels(), "the kernels must agree with candle's");
}

fn worst(a: &[Tensor], b: &[Tensor]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| difference(a, b)).fold(0.0, f32::max)
}

/// One to five rows of an odd number of outputs, with and without a bias: the last go through the library.
#[test]
fn a_few_rows_times_a_matrix() {
    let (seed, mut random) = seeded();
    let geometry = Geometry { heads: 1, kv_heads: 1, head_dim: 8, scale: 1.0, softcap: None, window: None };
    for dtype in [DType::F32, DType::BF16] {
        let kernels = kernels(geometry, dtype, seed);
        let (weight, bias) = (numbers(&mut random, 37, 296, dtype), numbers(&mut random, 1, 37, dtype));
        for tokens in 1..=5 {
            let x = numbers(&mut random, tokens, 296, dtype);
            let biases = [None, Some(bias.flatten_all().unwrap())];
            for bias in biases {
                let linear = Linear::joined(vec![Weight::Dense(weight.clone())], bias.clone()).unwrap();
                let wide = |x: &Tensor| x.to_dtype(DType::F32).unwrap();
                let exact = wide(&x).matmul(&wide(&weight).t().unwrap()).unwrap();
                let exact = bias.map_or(exact.clone(), |bias| exact.broadcast_add(&wide(&bias)).unwrap());
                let off = difference(&kernels.linear(&linear, &x).unwrap(), &exact);
                // Sums of some tens, rounded to 8 bits.
                let bound = if dtype == DType::F32 { 1e-4 } else { 0.5 };
                assert!(off < bound, "{dtype:?}, {tokens} rows: {off}");
            }
        }
    }
}

#[test]
fn logits_are_those_of_the_decoder_without_kernels() {
    for name in FIXTURES {
        let mut decoder = load(name, DType::F32);
        let sizes = [23, 1, 9, 1, 1];
        let plain = run(&decoder, &sizes);
        fuse(&mut decoder);
        let off = worst(&run(&decoder, &sizes), &plain);
        println!("{name}: {off:.1e}");
        assert!(off < 1e-4, "{name}: {off}");
    }
}

/// A GPU that leaves one kernel out.
#[derive(Debug)]
struct Broken {
    whole: Host,
    missing: &'static str,
}

impl Runner for Broken {
    fn run(&self, launch: &Launch<'_>) -> Result<()> {
        if launch.kernel == self.missing { Ok(()) } else { self.whole.run(launch) }
    }

    fn empty(&self, shape: Dims, dtype: DType) -> Result<Tensor> {
        Tensor::zeros(shape, dtype, &self.device())
    }

    fn device(&self) -> Device {
        self.whole.device()
    }
}

#[test]
fn kernels_that_compute_something_else_are_not_used() {
    let in_f32 = ["attend_rows", "angles", "take_apart", "gate"].map(|missing| (missing, DType::F32));
    // On a CPU matrices of f32 are laid out for the CPU's own products, which no kernel takes the place of.
    for (missing, dtype) in in_f32.into_iter().chain([("multiply_2", DType::BF16)]) {
        let mut decoder = load("llama3", dtype);
        let shape = Shape::of(decoder.geometry(), dtype).unwrap();
        let runner = Broken { whole: Host::new(shape, 1), missing };
        decoder.fuse(Kernels::new(Box::new(runner), shape)).unwrap();
        assert!(!decoder.has_kernels(), "without {missing}");
    }
}

/// The kernels round less often than candle's pieces do, so that they come closer to the model in f32, or as close.
#[test]
fn bf16_is_as_close_to_f32_as_without_kernels() {
    for name in ["phi3_long", "gemma3"] {
        let exact = run(&load(name, DType::F32), &[23, 1]);
        let mut decoder = load(name, DType::BF16);
        let plain = worst(&run(&decoder, &[23, 1]), &exact);
        fuse(&mut decoder);
        let ours = worst(&run(&decoder, &[23, 1]), &exact);
        println!("{name}: {ours:.1e} with kernels, {plain:.1e} without");
        assert!(ours < 1.5 * plain, "{name}: {ours} with kernels, {plain} without");
    }
}
