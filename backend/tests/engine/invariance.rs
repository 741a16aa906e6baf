//! Batches change nothing: whatever joins, leaves, is preempted or finds its beginning in the cache, each sequence gives
//! what it gives alone and without a cache.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tidegate_backend::engine::{
    Engine, EngineEvent, EngineOptions, EngineStats, FinishReason, GenerateRequest, Priority, Sampling,
    Service, TokenStream,
};
use tidegate_backend::model::cache::BLOCK_TOKENS;
use tokio::task::JoinSet;

use crate::support::{engine_with, fixture, greedy, load, tokens};

/// One of the random requests.
#[derive(Clone)]
struct Ask {
    prompt: Vec<u32>,
    max_tokens: usize,
    sampling: Sampling,
    priority: Priority,
    /// Leaves after so many tokens.
    cancel_after: Option<usize>,
}

/// A prompt that often begins like others do.
fn random_prompt(random: &mut StdRng) -> Vec<u32> {
    let mut prompt = Vec::new();
    for _ in 0..random.random_range(0..5) {
        let kind = random.random_range(0..2);
        prompt.extend((0..BLOCK_TOKENS as u32).map(|i| 3 + (i * 7 + kind * 31) % 90));
    }
    let rest = if random.random_bool(0.2) { random.random_range(20..50) } else { random.random_range(1..20) };
    prompt.extend((0..rest).map(|_| random.random_range(3..96)));
    prompt
}

fn random_ask(random: &mut StdRng) -> Ask {
    let sampling = match random.random_range(0..4) {
        0 => {
            Sampling { seed: Some(random.random()), top_p: 0.9, presence_penalty: 0.3, ..Sampling::default() }
        }
        1 => Sampling { frequency_penalty: 0.5, ..Sampling::greedy() },
        _ => Sampling::greedy(),
    };
    Ask {
        prompt: random_prompt(random),
        max_tokens: random.random_range(1..40),
        sampling,
        priority: [Priority::High, Priority::Normal, Priority::Low][random.random_range(0..3)],
        cancel_after: random.random_bool(0.25).then(|| random.random_range(0..20)),
    }
}

fn generate(engine: &Engine, ask: &Ask) -> TokenStream {
    let (prompt, sampling) = (ask.prompt.clone(), ask.sampling.clone());
    let service = Service { priority: ask.priority, deadline: None };
    let request =
        GenerateRequest { prompt, max_tokens: ask.max_tokens, sampling, eos: vec![], service, hold: None };
    engine.generate(request).unwrap()
}

/// Reads until the reader has enough; the tokens it saw.
async fn read(mut stream: TokenStream, cancel_after: Option<usize>) -> Vec<u32> {
    let mut seen = Vec::new();
    while cancel_after.is_none_or(|limit| seen.len() < limit) {
        match stream.next().await {
            Some(EngineEvent::Token(token)) => seen.push(token),
            Some(EngineEvent::Finished(FinishReason::Length)) => break,
            other => panic!("{other:?} after {} tokens", seen.len()),
        }
    }
    seen
}

/// Asks everything of `busy`, up to 64 at a time, and compares with each alone, in an engine without a prefix cache.
async fn expect_the_same_as_alone(name: &str, busy: &Engine, asks: &[Ask], random: &mut StdRng) {
    let alone = engine_with(
        name,
        EngineOptions { max_sequences: 1, prefix_cache: false, ..EngineOptions::default() },
    );
    let mut readers = JoinSet::new();
    let mut together = vec![None; asks.len()];
    for (index, ask) in asks.iter().enumerate() {
        let stream = generate(busy, ask);
        let limit = ask.cancel_after;
        readers.spawn(async move { (index, read(stream, limit).await) });
        // Some arrive together, some into a batch at work.
        for _ in 0..random.random_range(0..30) {
            tokio::task::yield_now().await;
        }
        while readers.len() >= 64 {
            let (index, seen) = readers.join_next().await.unwrap().unwrap();
            together[index] = Some(seen);
        }
    }
    for (index, seen) in readers.join_all().await {
        together[index] = Some(seen);
    }
    for (index, (ask, together)) in asks.iter().zip(together).enumerate() {
        let expected = read(generate(&alone, ask), ask.cancel_after).await;
        assert_eq!(together, Some(expected), "{name}, request {index}");
    }
    let stats = alone.stats();
    assert_eq!((stats.cached_tokens, stats.preemptions), (0, 0), "the reference has no cache: {stats:?}");
}

/// Bytes for so many blocks of this model.
fn block_bytes(name: &str, blocks: usize) -> u64 {
    (load(&fixture(name)).unwrap().decoder.block_bytes() * blocks) as u64
}

/// An engine on which much happens at once: many sequences, small steps, and fewer blocks than they come to need.
fn crowded(name: &str, blocks: usize) -> Engine {
    let kv_cache_bytes = Some(block_bytes(name, blocks));
    let options =
        EngineOptions { max_sequences: 64, max_batch_tokens: 90, kv_cache_bytes, prefix_cache: true };
    engine_with(name, options)
}

fn expect_that_much_happened(stats: &EngineStats) {
    let EngineStats { cancelled, preemptions, cached_tokens, prompt_tokens, .. } = *stats;
    println!("{stats:?}");
    assert!(cancelled > 10 && preemptions > 10, "{stats:?}");
    assert!(cached_tokens > prompt_tokens / 10, "{stats:?}");
}

/// The CPU kernels compute each row by itself, so not even close decisions may differ: nothing is excused.
#[tokio::test]
async fn each_of_many_random_sequences_equals_the_same_alone() {
    for name in ["plain", "grouped", "tied", "llama3", "qwen2_window", "phi3_partial", "gemma3"] {
        let seed = rand::random();
        println!("{name}: seed {seed}");
        let mut random = StdRng::seed_from_u64(seed);
        let asks: Vec<Ask> = (0..200).map(|_| random_ask(&mut random)).collect();
        // 64 sequences of up to ten blocks, of which some are shared.
        let busy = crowded(name, 160);
        expect_the_same_as_alone(name, &busy, &asks, &mut random).await;
        expect_that_much_happened(&busy.stats());
    }
}

#[tokio::test]
async fn after_thousands_of_requests_and_cancels_every_block_is_back() {
    let engine = crowded("tied", 30);
    let seed = rand::random();
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let mut readers = JoinSet::new();
    for _ in 0..3_000 {
        let mut ask = random_ask(&mut random);
        ask.max_tokens = ask.max_tokens.min(6);
        ask.cancel_after = random.random_bool(0.5).then(|| random.random_range(0..4));
        readers.spawn(read(generate(&engine, &ask), ask.cancel_after));
        if readers.len() >= 24 {
            readers.join_next().await.unwrap().unwrap();
        }
    }
    readers.join_all().await;
    // The last cancels are noticed at the next step: one more sequence makes sure there is one.
    tokens(engine.generate(greedy(&[5], 2)).unwrap()).await;
    let stats = engine.stats();
    assert_eq!((stats.running, stats.waiting, stats.cache_blocks_used), (0, 0, 0), "{stats:?}");
    assert_eq!(stats.finished + stats.cancelled, 3_001, "{stats:?}");
    assert!(stats.cancelled > 500, "{stats:?}");
}
