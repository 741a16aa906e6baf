//! Tokens per second of the engine on a model: decoding with several numbers of streams, and prefill.
//!
//! `cargo run --release -p tidegate-backend --example engine-bench -- [MODEL] [--tokens N] [--prompt N] [--quantize T]`
//! (no model: the demo model). Figures are of this machine in this moment; compare runs side by side only.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Parser;
use tidegate_backend::engine::{
    Engine, EngineEvent, EngineOptions, GenerateRequest, Sampling, Service, TokenStream,
};
use tidegate_backend::model::{LoadOptions, ModelSource, Quantization, load};
use tokio::time::Instant;

#[derive(Parser)]
struct Args {
    /// Model folder or GGUF file; the demo model where left out.
    model: Option<PathBuf>,
    /// Tokens that each stream generates.
    #[arg(long, default_value_t = 64)]
    tokens: usize,
    /// Tokens of the prompt whose prefill is measured.
    #[arg(long, default_value_t = 512)]
    prompt: usize,
    /// Numbers of streams that decode together.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 4, 8, 16])]
    streams: Vec<usize>,
    /// What weights are kept as: none, q8_0 or q4_k; as they are in the file where left out.
    #[arg(long)]
    quantize: Option<Quantization>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let begun = Instant::now();
    let options = LoadOptions { quantization: args.quantize, ..LoadOptions::default() };
    let model = load(&source(args.model.clone())?, &options)?;
    let info = model.info;
    say(&format!("{} parameters, {} on {}", info.parameters, info.precision(), info.device));
    say(&format!("loaded in {:.2} s", begun.elapsed().as_secs_f64()));
    let max_sequences = args.streams.iter().copied().max().unwrap_or(1);
    let options = EngineOptions { max_sequences, prefix_cache: false, ..EngineOptions::default() };
    let engine = Engine::start(model.decoder, options)?;
    let vocabulary = info.vocab_size as u32;
    decode(&engine, 1, 8, vocabulary).await?;
    for streams in args.streams {
        let rate = decode(&engine, streams, args.tokens, vocabulary).await?;
        say(&format!(
            "decode, {streams:2} streams: {rate:8.1} tokens/s in all, {:7.1} each",
            rate / streams as f64
        ));
    }
    let length = args.prompt.min(engine.context_length() - 1);
    let time = first_token(&engine, length, vocabulary).await?;
    say(&format!("prefill, {length} tokens: {:8.1} tokens/s", length as f64 / time.as_secs_f64()));
    Ok(())
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

fn request(prompt: usize, max_tokens: usize, salt: usize, vocabulary: u32) -> GenerateRequest {
    let token = |i: usize| ((i * 131 + salt * 977) as u32) % vocabulary;
    let prompt = (0..prompt).map(token).collect();
    GenerateRequest {
        prompt,
        max_tokens,
        sampling: Sampling::greedy(),
        eos: vec![],
        service: Service::default(),
        hold: None,
    }
}

async fn token(stream: &mut TokenStream) -> anyhow::Result<bool> {
    match stream.next().await.context("the stream ended early")? {
        EngineEvent::Token(_) | EngineEvent::Scored(_) => Ok(true),
        EngineEvent::Finished(_) => Ok(false),
        EngineEvent::Failed(why) => bail!(why),
        EngineEvent::TimedOut => bail!("a request without a deadline timed out"),
    }
}

/// Tokens per second over all streams, from the moment at which each has its first.
async fn decode(engine: &Engine, streams: usize, tokens: usize, vocabulary: u32) -> anyhow::Result<f64> {
    let requests = (0..streams).map(|salt| engine.generate(request(16, tokens, salt, vocabulary)));
    let mut streams = requests.collect::<Result<Vec<_>, _>>()?;
    for stream in &mut streams {
        token(stream).await?;
    }
    let begun = Instant::now();
    let before = engine.stats().generated_tokens;
    for stream in &mut streams {
        while token(stream).await? {}
    }
    let made = engine.stats().generated_tokens - before;
    Ok(made as f64 / begun.elapsed().as_secs_f64())
}

async fn first_token(engine: &Engine, prompt: usize, vocabulary: u32) -> anyhow::Result<Duration> {
    let begun = Instant::now();
    let mut stream = engine.generate(request(prompt, 1, 3, vocabulary))?;
    token(&mut stream).await?;
    Ok(begun.elapsed())
}

#[expect(clippy::print_stdout, reason = "a command that prints figures")]
fn say(line: &str) {
    println!("{line}");
}
