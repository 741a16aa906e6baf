//! Batches change nothing: whatever joins, leaves, is preempted or finds its beginning in the cache, each sequence gives
//! what it gives alone and without a cache, to the last bit of its log-probabilities.

mod asks;

use std::sync::Arc;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::json;
use tidegate_backend::engine::{Engine, EngineOptions, EngineStats};
use tidegate_backend::grammar::{Grammar, Grammars};
use tidegate_backend::model::{LoadedModel, ModelSource, Quantization};
use tidegate_backend::text::Vocabulary;
use tokio::task::JoinSet;

use crate::support::{engine_on, fixture, gguf, greedy, load_as, tokens};
use asks::Ask;

/// A model, and what its weights are kept as.
struct Subject {
    source: ModelSource,
    quantization: Option<Quantization>,
}

impl Subject {
    fn fixture(name: &str, quantization: Option<Quantization>) -> Self {
        Self { source: ModelSource::Folder(fixture(name)), quantization }
    }

    fn gguf(name: &str) -> Self {
        Self { source: ModelSource::Gguf(gguf(name).join("model.gguf")), quantization: None }
    }

    fn name(&self) -> String {
        format!("{:?}, quantised at load: {:?}", self.source, self.quantization)
    }

    fn load(&self) -> LoadedModel {
        load_as(&self.source, self.quantization).unwrap()
    }

    /// An engine on which much happens at once: many sequences, small steps, and fewer blocks than they come to need.
    fn crowded(&self, blocks: usize) -> Engine {
        let decoder = self.load().decoder;
        let kv_cache_bytes = Some((decoder.block_bytes() * blocks) as u64);
        let options =
            EngineOptions { max_sequences: 64, max_batch_tokens: 90, kv_cache_bytes, prefix_cache: true };
        engine_on(decoder, options)
    }

    /// One sequence at a time, each computed from its beginning.
    fn alone(&self) -> Engine {
        let options = EngineOptions { max_sequences: 1, prefix_cache: false, ..EngineOptions::default() };
        engine_on(self.load().decoder, options)
    }
}

/// Asks everything of `busy`, up to 64 at a time, and compares with each alone.
async fn expect_the_same_as_alone(subject: &Subject, busy: &Engine, asks: &[Ask], random: &mut StdRng) {
    let mut readers = JoinSet::new();
    let mut together = vec![None; asks.len()];
    for (index, ask) in asks.iter().enumerate() {
        let (stream, reader) = (ask.start(busy), ask.clone());
        readers.spawn(async move { (index, reader.read(stream).await) });
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
    let alone = subject.alone();
    for (index, (ask, together)) in asks.iter().zip(together).enumerate() {
        let expected = ask.read(ask.start(&alone)).await;
        assert_eq!(together, Some(expected), "{}, request {index}", subject.name());
    }
    let stats = alone.stats();
    assert_eq!((stats.cached_tokens, stats.preemptions), (0, 0), "the reference has no cache: {stats:?}");
}

fn expect_that_much_happened(stats: &EngineStats) {
    let EngineStats { cancelled, preemptions, cached_tokens, prompt_tokens, .. } = *stats;
    println!("{stats:?}");
    // How many are preempted hangs on the pace at which requests come in: some tens, on a busy machine a few.
    assert!(cancelled > 10 && preemptions > 0, "{stats:?}");
    assert!(cached_tokens > prompt_tokens / 10, "{stats:?}");
}

/// The CPU kernels compute each row by itself, so not even close decisions may differ: nothing is excused.
async fn random_sequences_equal_the_same_alone(subject: &Subject, grammar: Option<&Grammar>) {
    let seed = rand::random();
    println!("{}: seed {seed}", subject.name());
    let mut random = StdRng::seed_from_u64(seed);
    let asks: Vec<Ask> = (0..200).map(|_| Ask::random(&mut random, grammar)).collect();
    // 64 sequences of up to ten blocks, of which some are shared.
    let busy = subject.crowded(160);
    expect_the_same_as_alone(subject, &busy, &asks, &mut random).await;
    expect_that_much_happened(&busy.stats());
}

/// Each family, with and without windows, windows on some layers only, and both kinds of rotary positions.
#[tokio::test]
async fn sequences_of_every_architecture_equal_the_same_alone() {
    let llama = ["plain", "grouped", "tied", "llama3"];
    let others =
        ["mistral", "qwen2", "qwen2_window", "qwen3", "phi3_partial", "phi3_long", "gemma2", "gemma3"];
    for name in llama.into_iter().chain(others) {
        random_sequences_equal_the_same_alone(&Subject::fixture(name, None), None).await;
    }
}

#[tokio::test]
async fn sequences_with_quantised_weights_equal_the_same_alone() {
    for name in ["qwen2_window", "gemma2", "gemma3"] {
        let subject = Subject::fixture(name, Some(Quantization::Q8_0));
        random_sequences_equal_the_same_alone(&subject, None).await;
    }
    for name in ["llama_mixed", "qwen2_q8_0", "qwen3_q8_0", "gemma3_q8_0"] {
        random_sequences_equal_the_same_alone(&Subject::gguf(name), None).await;
    }
}

/// A sequence that was preempted goes on where it was in its grammar.
#[cfg(feature = "demo-model")]
#[tokio::test]
async fn sequences_that_write_what_a_schema_allows_equal_the_same_alone() {
    let subject = Subject { source: ModelSource::Demo, quantization: Some(Quantization::Q8_0) };
    let LoadedModel { tokenizer, info, .. } = subject.load();
    let vocabulary = Arc::new(Vocabulary::new(&tokenizer, info.vocab_size));
    let schema = json!({"type": "object", "properties": {"a": {"type": "integer"}, "b": {"enum": ["x", "yz"]}},
        "required": ["a", "b"], "additionalProperties": false});
    let grammar = Grammars::new(vocabulary, info.eos_token_ids).json_schema(&schema).unwrap();
    random_sequences_equal_the_same_alone(&subject, Some(&grammar)).await;
}

#[tokio::test]
async fn after_thousands_of_requests_and_cancels_every_block_is_back() {
    let engine = Subject::fixture("tied", None).crowded(30);
    let seed = rand::random();
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let mut readers = JoinSet::new();
    for _ in 0..3_000 {
        let mut ask = Ask::random(&mut random, None);
        ask.max_tokens = ask.max_tokens.min(6);
        ask.cancel_after = random.random_bool(0.5).then(|| random.random_range(0..4));
        let stream = ask.start(&engine);
        readers.spawn(async move { ask.read(stream).await });
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
