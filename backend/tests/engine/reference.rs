//! Logits and greedy tokens against PyTorch and transformers (`fixtures/make_fixtures.py`).

use std::collections::HashMap;
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use candle_transformers::models::llama;
use tidegate_backend::model::cache::{BLOCK_TOKENS, KvCache};
use tidegate_backend::model::{Chunk, Decoder};

use crate::support::{copy_of, engine, fixture, fixtures, greedy, load, tokens};

/// In f32, over logits of a few units.
pub(crate) const TOLERANCE: f32 = 1e-4;

/// A prompt, the logits after each of its tokens, and the greedy tokens that follow it.
pub(crate) struct Reference {
    pub(crate) prompt: Vec<u32>,
    pub(crate) logits: Vec<Vec<f32>>,
    pub(crate) greedy: Vec<u32>,
}

fn references(name: &str) -> Vec<Reference> {
    references_in(&fixture(name))
}

/// What transformers says about the model in this folder.
pub(crate) fn references_in(folder: &Path) -> Vec<Reference> {
    let file = folder.join("reference.safetensors");
    let tensors: HashMap<String, Tensor> = candle_core::safetensors::load(file, &Device::Cpu).unwrap();
    let ids = |name: &str| tensors[name].to_dtype(DType::U32).unwrap().to_vec1().unwrap();
    let one = |index: usize| Reference {
        prompt: ids(&format!("prompt.{index}")),
        logits: tensors[&format!("logits.{index}")].to_vec2().unwrap(),
        greedy: ids(&format!("greedy.{index}")),
    };
    (0..3).map(one).collect()
}

/// Blocks `first..` of the cache, scattered: the table must count, not the neighbourhood.
fn blocks(sequence: usize) -> Vec<u32> {
    (0..10).map(|i| (i * 7 + sequence as u32 * 3) % 31).collect()
}

fn step(decoder: &Decoder, cache: &KvCache, chunks: &[Chunk<'_>]) -> Vec<Vec<f32>> {
    decoder.forward(cache, chunks).unwrap().map_or_else(Vec::new, |logits| logits.to_vec2().unwrap())
}

/// The prompt in chunks of `size`; logits after each chunk.
pub(crate) fn in_chunks(decoder: &Decoder, prompt: &[u32], size: usize) -> Vec<Vec<f32>> {
    let (cache, blocks) = (decoder.new_cache(31).unwrap(), blocks(0));
    let chunk = |(i, tokens)| Chunk { tokens, start: i * size, blocks: &blocks, logits: true };
    prompt.chunks(size).enumerate().map(chunk).flat_map(|chunk| step(decoder, &cache, &[chunk])).collect()
}

fn difference(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

/// The largest difference from the reference over all prompts, whole, in chunks, and token by token.
pub(crate) fn worst_difference(decoder: &Decoder, references: &[Reference]) -> f32 {
    let mut worst = 0f32;
    for reference in references {
        let prompt = &reference.prompt;
        for size in [prompt.len(), 7, BLOCK_TOKENS, 1] {
            let logits = in_chunks(decoder, prompt, size);
            for (chunk, logits) in logits.iter().enumerate() {
                let last = ((chunk + 1) * size).min(prompt.len()) - 1;
                worst = worst.max(difference(logits, &reference.logits[last]));
            }
        }
    }
    worst
}

#[test]
fn logits_agree_with_transformers() {
    for name in fixtures() {
        let references = references(&name);
        let copy = copy_of(&name);
        std::fs::rename(copy.path().join("config.v4.json"), copy.path().join("config.json")).unwrap();
        for (folder, writer) in [(fixture(&name), 5), (copy.path().to_owned(), 4)] {
            let worst = worst_difference(&load(&folder).unwrap().decoder, &references);
            println!("{name}, config of transformers {writer}: max |difference of logits| {worst:.1e}");
            assert!(worst < TOLERANCE, "{name}, config of transformers {writer}: {worst}");
        }
    }
}

/// A second opinion, from Rust: candle's own Llama, one sequence at a time.
#[test]
fn logits_agree_with_candle() {
    let (folder, device) = (fixture("grouped"), Device::Cpu);
    let copy = copy_of("grouped");
    let config = std::fs::read(copy.path().join("config.v4.json")).unwrap();
    let config: llama::LlamaConfig = serde_json::from_slice(&config).unwrap();
    let config = config.into_config(false);
    let weights = candle_core::safetensors::load(folder.join("model.safetensors"), &device).unwrap();
    let model = llama::Llama::load(VarBuilder::from_tensors(weights, DType::F32, &device), &config).unwrap();
    let decoder = load(&folder).unwrap().decoder;
    for reference in references("grouped") {
        let mut cache = llama::Cache::new(true, DType::F32, &config, &device).unwrap();
        let prompt = Tensor::new(reference.prompt.as_slice(), &device).unwrap().unsqueeze(0).unwrap();
        let candle: Vec<f32> =
            model.forward(&prompt, 0, &mut cache).unwrap().squeeze(0).unwrap().to_vec1().unwrap();
        let ours = in_chunks(&decoder, &reference.prompt, reference.prompt.len());
        assert!(difference(&ours[0], &candle) < TOLERANCE);
    }
}

/// What makes batching invisible on the CPU: each row's arithmetic is its own.
#[test]
fn a_step_gives_the_same_bits_however_prompts_are_cut_and_mixed() {
    for name in fixtures() {
        let prompts: Vec<_> = references(&name).into_iter().map(|r| r.prompt).collect();
        assert_same_bits(&load(&fixture(&name)).unwrap().decoder, &prompts, &name);
    }
}

/// Three prompts alone and whole, in chunks, and all in one step.
pub(crate) fn assert_same_bits(decoder: &Decoder, prompts: &[Vec<u32>], name: &str) {
    let alone: Vec<_> = prompts.iter().map(|p| in_chunks(decoder, p, p.len()).remove(0)).collect();
    for prompt in prompts {
        let whole = in_chunks(decoder, prompt, prompt.len());
        for size in [1, 2, 7] {
            assert_eq!(in_chunks(decoder, prompt, size).last(), whole.last(), "{name}, chunks of {size}");
        }
    }
    let cache = decoder.new_cache(31).unwrap();
    let tables: Vec<_> = (0..3).map(|i| (0..10).map(|b| b * 3 + i).collect::<Vec<u32>>()).collect();
    let chunk = |i: usize| Chunk { tokens: &prompts[i], start: 0, blocks: &tables[i], logits: true };
    assert_eq!(step(decoder, &cache, &[chunk(0), chunk(1), chunk(2)]), alone, "{name}");
}

#[tokio::test]
async fn greedy_tokens_agree_with_transformers_alone_in_chunks_and_together() {
    for name in fixtures() {
        let references = references(&name);
        for (max_sequences, budget) in [(1, 256), (1, 5), (3, 256), (3, 17), (2, 32)] {
            let engine = engine(&name, max_sequences, budget);
            let requests =
                references.iter().map(|r| engine.generate(greedy(&r.prompt, r.greedy.len())).unwrap());
            let streams: Vec<_> = requests.collect();
            for (stream, reference) in streams.into_iter().zip(&references) {
                let (made, prompt) = (tokens(stream).await, reference.prompt.len());
                assert_eq!(
                    made, reference.greedy,
                    "{name}, prompt of {prompt}, {max_sequences} at once, {budget}"
                );
            }
        }
    }
}
