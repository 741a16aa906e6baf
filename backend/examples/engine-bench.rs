//! What the engine does on a model: tokens per second of several numbers of streams and of a prompt, time to the first token
//! while others decode, and the limit that reading as many bytes sets.
//!
//! `cargo run --release -p tidegate-backend --example engine-bench -- [MODEL] [--quantize T] [--json]`
//! (no model: the demo model; `--random CONFIG` a shape without weights of its own, also on a GPU). Figures are of this machine in this moment; compare runs side by side only, as
//! tests/load/engines does.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::path::PathBuf;

use anyhow::{Context, bail};
use candle_core::{DType, Device, Tensor};
use clap::Parser;
use rayon::prelude::*;
use serde::Serialize;
use tidegate_backend::engine::{
    Engine, EngineEvent, EngineOptions, GenerateRequest, Sampling, Service, TokenStream,
};
use tidegate_backend::model::{
    Decoder, DeviceChoice, DeviceKernels, LoadOptions, ModelInfo, ModelSource, Quantization, load, random,
};
use tokio::time::Instant;

/// As in the backend.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Parser)]
struct Args {
    /// Model folder or GGUF file; the demo model where left out.
    model: Option<PathBuf>,
    /// A config.json: a model of that shape, whose weights are made on the device and mean nothing.
    #[arg(long, conflicts_with = "model")]
    random: Option<PathBuf>,
    /// cpu, cuda:N, metal or auto.
    #[arg(long, default_value = "auto")]
    device: DeviceChoice,
    /// On a GPU candle's kernels in place of Tidegate's.
    #[arg(long)]
    candle_kernels: bool,
    /// Tokens of a step.
    #[arg(long, default_value_t = EngineOptions::default().max_batch_tokens)]
    max_batch_tokens: usize,
    /// Tokens that each stream generates.
    #[arg(long, default_value_t = 64)]
    tokens: usize,
    /// Tokens of the prompt whose prefill is measured.
    #[arg(long, default_value_t = 512)]
    prompt: usize,
    /// Numbers of streams that decode together.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 4, 16])]
    streams: Vec<usize>,
    /// What weights are kept as: none, q8_0 or q4_k; as they are in the file where left out.
    #[arg(long)]
    quantize: Option<Quantization>,
    /// Bytes that one token reads, for the limit that memory sets; none is measured where left out.
    #[arg(long)]
    bytes: Option<usize>,
    /// One line of JSON in place of text.
    #[arg(long)]
    json: bool,
}

/// What was measured.
#[derive(Debug, Serialize)]
struct Figures {
    /// Tokens per second over all streams, by how many there are.
    decode: BTreeMap<usize, f64>,
    /// Tokens of a prompt per second.
    prefill: f64,
    /// Milliseconds from a prompt of 128 tokens to its first token, while 8 streams decode.
    first_token_ms: f64,
    /// Tokens per second of one stream if reading its bytes were all there is to do.
    limit: Option<f64>,
    /// The first tokens of one stream: engines on the same weights begin alike.
    tokens: Vec<u32>,
    /// Mebibytes of memory that the process had at most.
    peak_mib: Option<f64>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let (decoder, info) = model(&args)?;
    let limit = args.bytes.map(|bytes| limit(decoder.device(), bytes)).transpose()?;
    // The stream whose first token is waited for is one more.
    let max_sequences = args.streams.iter().copied().max().unwrap_or(1).max(LOAD + 1);
    let max_batch_tokens = args.max_batch_tokens;
    let options =
        EngineOptions { max_sequences, max_batch_tokens, prefix_cache: false, ..EngineOptions::default() };
    let bench = Bench {
        engine: Engine::start(decoder, options)?,
        vocabulary: info.vocab_size as u32,
        tokens: args.tokens,
    };
    let figures = Figures { limit, ..bench.measure(&args).await? };
    if args.json {
        say(&serde_json::to_string(&figures)?);
    } else {
        say(&format!("{} parameters, {} on {}", info.parameters, info.precision(), info.device));
        say(&format!("{figures:#?}"));
    }
    Ok(())
}

/// Streams that decode while another waits for its first token.
const LOAD: usize = 8;

struct Bench {
    engine: Engine,
    vocabulary: u32,
    tokens: usize,
}

impl Bench {
    async fn measure(&self, args: &Args) -> anyhow::Result<Figures> {
        self.decode(1, 8).await?;
        let mut decode = BTreeMap::new();
        for streams in &args.streams {
            decode.insert(*streams, self.decode(*streams, self.tokens).await?);
        }
        let prompt = args.prompt.min(self.engine.context_length() - 1);
        let prefill = prompt as f64 / self.first_token(prompt).await?;
        let first_token_ms = 1e3 * self.first_token_under_load().await?;
        let mut stream = self.engine.generate(self.request(16, 8, 0))?;
        let mut tokens = Vec::new();
        while let Some(token) = next(&mut stream).await? {
            tokens.push(token);
        }
        Ok(Figures { decode, prefill, first_token_ms, limit: None, tokens, peak_mib: peak_mib() })
    }

    /// A prompt of its own for each `salt`. tests/load/engines/measure.py makes the same.
    fn request(&self, prompt: usize, max_tokens: usize, salt: usize) -> GenerateRequest {
        let token = |i: usize| ((i * 131 + salt * 977) as u32 + 3) % self.vocabulary;
        GenerateRequest {
            prompt: (0..prompt).map(token).collect(),
            max_tokens,
            sampling: Sampling::greedy(),
            eos: vec![],
            service: Service::default(),
            hold: None,
        }
    }

    /// Tokens per second over all streams, from the moment at which each has its first.
    async fn decode(&self, streams: usize, tokens: usize) -> anyhow::Result<f64> {
        let requests = (0..streams).map(|salt| self.engine.generate(self.request(16, tokens, salt)));
        let mut streams = requests.collect::<Result<Vec<_>, _>>()?;
        for stream in &mut streams {
            next(stream).await?;
        }
        let begun = Instant::now();
        let before = self.engine.stats().generated_tokens;
        for stream in &mut streams {
            while next(stream).await?.is_some() {}
        }
        let made = self.engine.stats().generated_tokens - before;
        Ok(made as f64 / begun.elapsed().as_secs_f64())
    }

    /// Seconds to the first token of a prompt.
    async fn first_token(&self, prompt: usize) -> anyhow::Result<f64> {
        let begun = Instant::now();
        let mut stream = self.engine.generate(self.request(prompt, 1, 77))?;
        next(&mut stream).await?;
        Ok(begun.elapsed().as_secs_f64())
    }

    async fn first_token_under_load(&self) -> anyhow::Result<f64> {
        let others = (0..LOAD).map(|salt| self.engine.generate(self.request(16, 500, salt)));
        let mut others = others.collect::<Result<Vec<_>, _>>()?;
        for stream in &mut others {
            next(stream).await?;
        }
        self.first_token(128).await
    }
}

fn model(args: &Args) -> anyhow::Result<(Decoder, ModelInfo)> {
    let kernels = if args.candle_kernels { DeviceKernels::Candle } else { DeviceKernels::Own };
    let (quantization, device) = (args.quantize, args.device);
    let options = LoadOptions { quantization, device, kernels, ..LoadOptions::default() };
    if let Some(config) = &args.random {
        return Ok(random(config, &options)?);
    }
    let model = load(&source(args.model.clone())?, &options)?;
    Ok((model.decoder, model.info))
}

fn source(path: Option<PathBuf>) -> anyhow::Result<ModelSource> {
    match path {
        Some(path) => Ok(ModelSource::at(&path)),
        #[cfg(feature = "demo-model")]
        None => Ok(ModelSource::Demo),
        #[cfg(not(feature = "demo-model"))]
        None => bail!("this build has no demo model: name a folder or a GGUF file"),
    }
}

/// The next token; none at the end.
async fn next(stream: &mut TokenStream) -> anyhow::Result<Option<u32>> {
    match stream.next().await.context("the stream ended early")? {
        EngineEvent::Token(token) => Ok(Some(token)),
        EngineEvent::Scored(scored) => Ok(Some(scored.token)),
        EngineEvent::Finished(_) => Ok(None),
        EngineEvent::Failed(why) => bail!(why),
        EngineEvent::TimedOut => bail!("a request without a deadline timed out"),
    }
}

/// How often a second so many bytes can be read.
fn limit(device: &Device, bytes: usize) -> anyhow::Result<f64> {
    if device.is_cpu() { Ok(read_limit(bytes)) } else { Ok(copy_bandwidth(device)? / bytes as f64) }
}

/// Bytes that a GPU reads and writes in a second while it copies 2 GiB: the best of ten.
fn copy_bandwidth(device: &Device) -> anyhow::Result<f64> {
    const BYTES: usize = 2 << 30;
    let numbers = Tensor::zeros(BYTES / 2, DType::BF16, device)?;
    let mut best = f64::INFINITY;
    for _ in 0..10 {
        device.synchronize()?;
        let begun = Instant::now();
        let copy = numbers.copy()?;
        device.synchronize()?;
        best = best.min(begun.elapsed().as_secs_f64());
        drop(copy);
    }
    Ok(2.0 * BYTES as f64 / best)
}

/// How often a second all cores together can read so many bytes, and do nothing with them but add: the best of ten.
fn read_limit(bytes: usize) -> f64 {
    let numbers: Vec<u64> = (0..bytes as u64 / 8).collect();
    let read = || {
        let begun = Instant::now();
        let parts = numbers.par_chunks(numbers.len().div_ceil(4 * rayon::current_num_threads()));
        black_box(
            parts
                .map(|part| part.iter().fold(0, |sum: u64, n| sum.wrapping_add(*n)))
                .reduce(|| 0, u64::wrapping_add),
        );
        begun.elapsed().as_secs_f64()
    };
    1.0 / (0..10).map(|_| read()).fold(f64::INFINITY, f64::min)
}

/// What Linux noted as the most.
fn peak_mib() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse::<f64>().ok().map(|kib| kib / 1024.0)
}

#[expect(clippy::print_stdout, reason = "a command that prints figures")]
fn say(line: &str) {
    println!("{line}");
}
