//! candle-transformers' own Llama, measured as `engine-bench` measures Tidegate's engine on the same weights: all streams in one batch in
//! lock step, the most that it does of itself. tests/load/engines/compare.py calls it.
//!
//! `candle-bench FOLDER` (config.json and model.safetensors of a Llama, in f32 on the CPU). Prints one line of JSON.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use candle_core::{D, DType, Device, Tensor};
use candle_nn::VarBuilder;
use candle_transformers::models::llama::{Cache, Config, Llama, LlamaConfig};
use clap::Parser;
use serde::Serialize;
use tokio::time::Instant;

/// As in the backend.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Parser)]
struct Args {
    /// The model's folder.
    model: PathBuf,
    /// Tokens that each stream generates.
    #[arg(long, default_value_t = 64)]
    tokens: usize,
    /// Tokens of the prompt whose prefill is measured.
    #[arg(long, default_value_t = 512)]
    prompt: usize,
    /// Numbers of streams that decode together.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 4, 16])]
    streams: Vec<usize>,
}

/// As `engine-bench` names them.
#[derive(Serialize)]
struct Figures {
    decode: BTreeMap<usize, f64>,
    prefill: f64,
    tokens: Vec<u32>,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let model = Model::load(&args.model)?;
    model.decode(1, 8)?;
    let decode = args.streams.iter().map(|streams| Ok((*streams, model.decode(*streams, args.tokens)?)));
    let decode = decode.collect::<candle_core::Result<_>>()?;
    let begun = Instant::now();
    Batch::of(&model, &[model.prompt(args.prompt, 77)])?.next()?;
    let prefill = args.prompt as f64 / begun.elapsed().as_secs_f64();
    let mut alone = Batch::of(&model, &[model.prompt(16, 0)])?;
    let tokens = (0..8).map(|_| Ok(alone.next()?[0])).collect::<candle_core::Result<_>>()?;
    say(&serde_json::to_string(&Figures { decode, prefill, tokens })?);
    Ok(())
}

struct Model {
    llama: Llama,
    config: Config,
}

impl Model {
    fn load(folder: &Path) -> anyhow::Result<Self> {
        let config: LlamaConfig = serde_json::from_slice(&std::fs::read(folder.join("config.json"))?)?;
        let config = config.into_config(false);
        let weights = candle_core::safetensors::load(folder.join("model.safetensors"), &Device::Cpu)?;
        let weights = VarBuilder::from_tensors(weights, DType::F32, &Device::Cpu);
        Ok(Self { llama: Llama::load(weights, &config)?, config })
    }

    /// The same as `engine-bench` makes.
    fn prompt(&self, length: usize, salt: usize) -> Vec<u32> {
        (0..length).map(|i| ((i * 131 + salt * 977) as u32 + 3) % self.config.vocab_size as u32).collect()
    }

    /// Tokens per second over all streams, from the moment at which each has its first.
    fn decode(&self, streams: usize, tokens: usize) -> candle_core::Result<f64> {
        let prompts: Vec<_> = (0..streams).map(|salt| self.prompt(16, salt)).collect();
        let mut batch = Batch::of(self, &prompts)?;
        batch.next()?;
        let begun = Instant::now();
        for _ in 1..tokens {
            batch.next()?;
        }
        Ok((streams * (tokens - 1)) as f64 / begun.elapsed().as_secs_f64())
    }
}

/// Sequences of one length.
struct Batch<'a> {
    model: &'a Model,
    cache: Cache,
    /// What is computed next, `[streams, tokens]`.
    input: Tensor,
    position: usize,
}

impl<'a> Batch<'a> {
    fn of(model: &'a Model, prompts: &[Vec<u32>]) -> candle_core::Result<Self> {
        let cache = Cache::new(true, DType::F32, &model.config, &Device::Cpu)?;
        let shape = (prompts.len(), prompts[0].len());
        let input = Tensor::from_vec(prompts.concat(), shape, &Device::Cpu)?;
        Ok(Self { model, cache, input, position: 0 })
    }

    /// The next token of each sequence: the likeliest.
    fn next(&mut self) -> candle_core::Result<Vec<u32>> {
        let logits = self.model.llama.forward(&self.input, self.position, &mut self.cache)?;
        self.position += self.input.dim(1)?;
        let tokens = logits.argmax(D::Minus1)?;
        self.input = tokens.unsqueeze(1)?;
        tokens.to_vec1()
    }
}

#[expect(clippy::print_stdout, reason = "a command that prints figures")]
fn say(line: &str) {
    println!("{line}");
}
