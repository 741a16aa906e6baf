//! Batches change nothing: whatever joins, leaves or is cancelled, each sequence gives what it gives alone.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tidegate_backend::engine::{Engine, EngineEvent, FinishReason, GenerateRequest, Sampling, TokenStream};
use tokio::task::JoinSet;

use crate::support::{engine, greedy, tokens};

/// One of the random requests.
#[derive(Clone)]
struct Ask {
    prompt: Vec<u32>,
    max_tokens: usize,
    sampling: Sampling,
    /// Leaves after so many tokens.
    cancel_after: Option<usize>,
}

fn random_ask(random: &mut StdRng) -> Ask {
    let length =
        if random.random_bool(0.3) { random.random_range(60..120) } else { random.random_range(1..25) };
    let sampling = match random.random_range(0..4) {
        0 => {
            Sampling { seed: Some(random.random()), top_p: 0.9, presence_penalty: 0.3, ..Sampling::default() }
        }
        1 => Sampling { frequency_penalty: 0.5, ..Sampling::greedy() },
        _ => Sampling::greedy(),
    };
    Ask {
        prompt: (0..length).map(|_| random.random_range(3..96)).collect(),
        max_tokens: random.random_range(1..40),
        sampling,
        cancel_after: random.random_bool(0.25).then(|| random.random_range(0..20)),
    }
}

fn generate(engine: &Engine, ask: &Ask) -> TokenStream {
    let (prompt, sampling) = (ask.prompt.clone(), ask.sampling.clone());
    let request = GenerateRequest { prompt, max_tokens: ask.max_tokens, sampling, eos: vec![], hold: None };
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

/// The CPU kernels compute each row by itself, so not even close decisions may differ: nothing is excused.
#[tokio::test]
async fn each_of_many_random_sequences_equals_the_same_alone() {
    const SEED: u64 = 20_261_123;
    for name in ["plain", "grouped", "tied", "llama3", "qwen2_window", "phi3_partial", "gemma3"] {
        let mut random = StdRng::seed_from_u64(SEED);
        let asks: Vec<Ask> = (0..150).map(|_| random_ask(&mut random)).collect();
        let (alone, busy) = (engine(name, 1, 512), engine(name, 7, 24));
        let mut readers = JoinSet::new();
        for (index, ask) in asks.iter().enumerate() {
            let stream = generate(&busy, ask);
            let limit = ask.cancel_after;
            readers.spawn(async move { (index, read(stream, limit).await) });
            // Some arrive together, some into a batch at work.
            for _ in 0..random.random_range(0..30) {
                tokio::task::yield_now().await;
            }
        }
        for (index, together) in readers.join_all().await {
            let ask = &asks[index];
            let expected = read(generate(&alone, ask), ask.cancel_after).await;
            assert_eq!(together, expected, "{name}, seed {SEED}, request {index}");
        }
        assert!(busy.stats().cancelled > 0, "nobody left early: {:?}", busy.stats());
    }
}

#[tokio::test]
async fn after_thousands_of_requests_and_cancels_every_block_is_back() {
    let engine = engine("tied", 8, 64);
    let mut random = StdRng::seed_from_u64(7);
    let mut readers = JoinSet::new();
    for _ in 0..3_000 {
        let mut ask = random_ask(&mut random);
        ask.prompt.truncate(random.random_range(1..40));
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
