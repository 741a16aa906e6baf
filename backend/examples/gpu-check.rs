//! Whether a GPU computes what it should: the committed models against transformers' logits in f32 and bf16, a wide model with
//! Tidegate's kernels against candle's, and sequences alone against the same in company.
//!
//! `gpu-check FIXTURES WIDE_CONFIG` (backend/tests/fixtures/models, and a config.json); tests/load/engines/gpu.sh calls it. Prints a line
//! for each comparison, and fails if one is beyond its bound, or if there is no GPU.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use candle_core::{DType, Device, Tensor};
use clap::Parser;
use tidegate_backend::model::{
    Chunk, Decoder, DeviceChoice, DeviceKernels, LoadOptions, ModelSource, load, random,
};

/// The largest |difference| of logits of a few units in f32.
const F32_BOUND: f32 = 1e-3;
/// In bf16, for which candle's own kernels are the measure: so many times their difference, and never less than this.
const BF16_TIMES: f32 = 1.5;
const BF16_LEAST: f32 = 0.03;
/// Of the largest logit, for numbers of 8 bits that are added up in another order.
const BF16_SHARE: f32 = 0.04;

#[derive(Parser)]
struct Args {
    /// A folder with a model in each of its folders.
    fixtures: PathBuf,
    /// The shape of a model with heads as large ones have.
    wide: PathBuf,
    /// The device.
    #[arg(long, default_value = "cuda:0")]
    device: DeviceChoice,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let mut failed = 0;
    let mut check = |what: &str, off: f32, bound: f32| {
        let verdict = if off <= bound { "ok" } else { "FAILED" };
        failed += usize::from(verdict != "ok");
        say(&format!("{verdict:6} {what:60} {off:.1e} (at most {bound:.1e})"));
    };
    let mut folders: Vec<PathBuf> =
        std::fs::read_dir(&args.fixtures)?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>()?;
    folders.sort();
    for folder in folders.iter().filter(|folder| folder.join("reference.safetensors").exists()) {
        parity(folder, args.device, &mut check)?;
    }
    for dtype in [DType::F32, DType::BF16] {
        wide(&args, dtype, &mut check)?;
    }
    if failed > 0 {
        bail!("{failed} comparisons are beyond their bounds");
    }
    Ok(())
}

fn options(device: DeviceChoice, dtype: DType, kernels: DeviceKernels) -> LoadOptions {
    LoadOptions { device, dtype: Some(dtype), kernels, ..LoadOptions::default() }
}

/// Whole prompts, prompts in chunks and token by token against what transformers computed in f32.
fn parity(folder: &Path, device: DeviceChoice, check: &mut impl FnMut(&str, f32, f32)) -> anyhow::Result<()> {
    let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let references = candle_core::safetensors::load(folder.join("reference.safetensors"), &Device::Cpu)?;
    let worst = |dtype, kernels| -> anyhow::Result<f32> {
        let source = ModelSource::Folder(folder.to_owned());
        let decoder = load(&source, &options(device, dtype, kernels))?.decoder;
        expect_kernels(&decoder, kernels)?;
        worst_difference(&decoder, &references)
    };
    check(&format!("{name}, f32, transformers"), worst(DType::F32, DeviceKernels::Own)?, F32_BOUND);
    let measure = worst(DType::BF16, DeviceKernels::Candle)?;
    let bound = (BF16_TIMES * measure).max(BF16_LEAST);
    check(&format!("{name}, bf16, transformers"), worst(DType::BF16, DeviceKernels::Own)?, bound);
    Ok(())
}

/// A model falls back to candle's kernels where ours do not agree with them, which is what is to be found here.
fn expect_kernels(decoder: &Decoder, kernels: DeviceKernels) -> anyhow::Result<()> {
    if kernels == DeviceKernels::Own && !decoder.has_kernels() {
        bail!("Tidegate's kernels are not used: this is no such GPU, or they do not agree with candle's");
    }
    Ok(())
}

fn worst_difference(decoder: &Decoder, references: &HashMap<String, Tensor>) -> anyhow::Result<f32> {
    let mut worst = 0f32;
    for index in 0..3 {
        let tensor =
            |name: &str| references.get(&format!("{name}.{index}")).context("a reference is missing");
        let prompt: Vec<u32> = tensor("prompt")?.to_dtype(DType::U32)?.to_vec1()?;
        let expected: Vec<Vec<f32>> = tensor("logits")?.to_vec2()?;
        for size in [prompt.len(), 16, 7, 1] {
            let cache = decoder.new_cache(31)?;
            let blocks: Vec<u32> = (0..10).map(|i| (i * 7) % 31).collect();
            for (at, tokens) in prompt.chunks(size).enumerate() {
                let chunk = Chunk { tokens, start: at * size, blocks: &blocks, logits: true };
                let logits = decoder.forward(&cache, &[chunk])?.context("logits")?.to_vec2::<f32>()?;
                worst = worst.max(difference(&logits[0], &expected[at * size + tokens.len() - 1]));
            }
        }
    }
    Ok(worst)
}

/// A model with wide heads and a long context: with Tidegate's kernels and with candle's, alone and in company.
fn wide(args: &Args, dtype: DType, check: &mut impl FnMut(&str, f32, f32)) -> anyhow::Result<()> {
    let made = |kernels| random(&args.wide, &options(args.device, dtype, kernels));
    let (ours, theirs) = (made(DeviceKernels::Own)?.0, made(DeviceKernels::Candle)?.0);
    expect_kernels(&ours, DeviceKernels::Own)?;
    let name = dtype.as_str();
    let (a, b) = (long_prompt(&ours, 1)?, long_prompt(&theirs, 1)?);
    let bound = |share: f32| share * b.iter().flatten().fold(0f32, |max, x| max.max(x.abs()));
    let share = if dtype == DType::F32 { F32_BOUND } else { BF16_SHARE };
    check(&format!("wide heads, {name}, kernels of candle"), worst(&a, &b), bound(share));
    let together = long_prompt(&ours, 16)?;
    check(&format!("wide heads, {name}, alone and among 16"), worst(&a, &together), bound(share));
    Ok(())
}

/// A prompt of 1,800 tokens in chunks, then 40 decodes; logits of the first of `company` sequences that all do the same.
fn long_prompt(decoder: &Decoder, company: usize) -> anyhow::Result<Vec<Vec<f32>>> {
    let vocabulary = decoder.config().vocab_size as u32;
    let cache = decoder.new_cache(company * 115)?;
    let tables: Vec<Vec<u32>> =
        (0..company).map(|s| (0..115).map(|b| (b * company + s) as u32).collect()).collect();
    let tokens: Vec<u32> = (0..1840).map(|i| (i * 131 + 7) % vocabulary).collect();
    let sizes = [500, 300, 700, 300].into_iter().chain([1; 40]);
    let (mut start, mut rows) = (0, Vec::new());
    for size in sizes {
        let tokens = &tokens[start..start + size];
        let chunks = tables.iter().map(|blocks| Chunk { tokens, start, blocks, logits: true });
        let logits = decoder.forward(&cache, &chunks.collect::<Vec<_>>())?.context("logits")?;
        rows.push(logits.get(0)?.to_vec1()?);
        start += size;
    }
    Ok(rows)
}

fn worst(a: &[Vec<f32>], b: &[Vec<f32>]) -> f32 {
    a.iter().zip(b).map(|(a, b)| difference(a, b)).fold(0.0, f32::max)
}

/// The largest; what is no number counts as more than all.
fn difference(a: &[f32], b: &[f32]) -> f32 {
    let each = a.iter().zip(b).map(|(a, b)| if (a - b).is_nan() { f32::INFINITY } else { (a - b).abs() });
    each.fold(0.0, f32::max)
}

#[expect(clippy::print_stdout, reason = "a command that prints what it found")]
fn say(line: &str) {
    println!("{line}");
}
