//! Whole models through the kernels, against the decoder that is checked against transformers.

use std::path::PathBuf;

use candle_core::{DType, Tensor};

use super::{difference, kernels};
use crate::model::decoder::Fused;
use crate::model::{Chunk, Decoder, DeviceChoice, LoadOptions, ModelSource};

/// One of each kind: head norms and biases, sandwich norms with caps and windows, turned in part, one key head, 10 dimensions.
const FIXTURES: [&str; 8] =
    ["qwen3_bias", "gemma2", "gemma3", "phi3_partial", "mistral_whole", "mistral", "qwen2", "llama3"];

fn load(name: &str, dtype: DType) -> Decoder {
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

fn fused(decoder: &mut Decoder) {
    let kernels = kernels(decoder.geometry(), decoder.dtype, 7);
    let window_rope = decoder.window_rope.as_ref();
    decoder.fused = Some(Fused::new(kernels, &decoder.rope, window_rope, &decoder.device).unwrap());
}

fn worst(a: &[Tensor], b: &[Tensor]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| difference(a, b)).fold(0.0, f32::max)
}

#[test]
fn logits_are_those_of_the_decoder_without_kernels() {
    for name in FIXTURES {
        let mut decoder = load(name, DType::F32);
        let sizes = [23, 1, 9, 1, 1];
        let plain = run(&decoder, &sizes);
        fused(&mut decoder);
        let off = worst(&run(&decoder, &sizes), &plain);
        println!("{name}: {off:.1e}");
        assert!(off < 1e-4, "{name}: {off}");
    }
}

/// The kernels round less often than candle's pieces do, so that they come closer to the model in f32, or as close.
#[test]
fn bf16_is_as_close_to_f32_as_without_kernels() {
    for name in ["phi3_long", "gemma3"] {
        let exact = run(&load(name, DType::F32), &[23, 1]);
        let mut decoder = load(name, DType::BF16);
        let plain = worst(&run(&decoder, &[23, 1]), &exact);
        fused(&mut decoder);
        let ours = worst(&run(&decoder, &[23, 1]), &exact);
        println!("{name}: {ours:.1e} with kernels, {plain:.1e} without");
        assert!(ours < 1.5 * plain, "{name}: {ours} with kernels, {plain} without");
    }
}
