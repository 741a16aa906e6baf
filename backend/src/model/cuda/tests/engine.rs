//! The whole engine on the kernels: the same text as without, whether tokens are chosen on the device or on the host.

use candle_core::DType;

use super::models::{fuse, load};
use crate::engine::{Engine, EngineEvent, EngineOptions, GenerateRequest, Sampling, Service};
use crate::model::Decoder;

/// What is asked for together: choices that the device makes, and others whose logits come to the host.
fn asked() -> Vec<Sampling> {
    let seeded = |seed| Sampling { seed: Some(seed), ..Sampling::default() };
    vec![
        Sampling::greedy(),
        seeded(1),
        Sampling { temperature: 0.4, ..seeded(2) },
        Sampling { top_k: Some(5), ..seeded(3) },
        Sampling { repetition_penalty: 1.3, ..Sampling::greedy() },
    ]
}

/// The answers to all, from one engine at once; `together` sequences share a step.
async fn answers(decoder: Decoder, together: usize) -> Vec<Vec<u32>> {
    let options = EngineOptions {
        max_sequences: together,
        max_batch_tokens: 24,
        kv_cache_bytes: Some(1 << 20),
        ..EngineOptions::default()
    };
    let engine = Engine::start(decoder, options).unwrap();
    let request = |(salt, sampling)| GenerateRequest {
        prompt: (0..9 + 7 * salt).map(|i| ((i * 5 + salt) % 60) as u32).collect(),
        max_tokens: 12,
        sampling,
        eos: vec![],
        service: Service::default(),
        hold: None,
    };
    let streams = asked().into_iter().enumerate().map(|asked| engine.generate(request(asked)).unwrap());
    let mut answers = Vec::new();
    for mut stream in streams.collect::<Vec<_>>() {
        let mut tokens = Vec::new();
        while let Some(EngineEvent::Token(token)) = stream.next().await {
            tokens.push(token);
        }
        answers.push(tokens);
    }
    answers
}

#[tokio::test]
async fn the_same_text_with_kernels_and_without() {
    let plain = answers(load("qwen3_bias", DType::F32), 5).await;
    assert!(plain.iter().all(|answer| answer.len() == 12));
    for together in [1, 5] {
        let mut decoder = load("qwen3_bias", DType::F32);
        fuse(&mut decoder);
        assert_eq!(answers(decoder, together).await, plain, "{together} at once");
    }
}
