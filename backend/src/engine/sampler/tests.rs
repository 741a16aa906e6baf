//! The sampler against its definition.

use super::{Sampler, nucleus};
use crate::engine::Sampling;

fn draws(sampling: &Sampling, logits: &[f32], count: usize) -> Vec<u32> {
    let mut sampler = Sampler::new(sampling.clone());
    (0..count).map(|_| sampler.sample(&mut logits.to_vec()).unwrap()).collect()
}

#[test]
fn greedy_takes_the_lowest_of_equals() {
    assert_eq!(draws(&Sampling::greedy(), &[0.5, 2.0, 2.0, 1.0], 3), [1, 1, 1]);
}

#[test]
fn frequencies_follow_the_softmax() {
    let logits = [1.0f32, 2.0, 0.0, -1.0];
    let sampling = Sampling { temperature: 0.7, seed: Some(5), ..Sampling::default() };
    let count = 40_000;
    let drawn = draws(&sampling, &logits, count);
    let weights: Vec<f64> = logits.iter().map(|l| f64::from(l / 0.7).exp()).collect();
    let total: f64 = weights.iter().sum();
    for (token, weight) in weights.iter().enumerate() {
        let seen = drawn.iter().filter(|t| **t as usize == token).count() as f64 / count as f64;
        let expected = weight / total;
        assert!((seen - expected).abs() < 0.01, "token {token}: {seen} drawn, {expected} expected");
    }
}

#[test]
fn the_seed_decides_the_draws() {
    let logits: Vec<f32> = (0..50).map(|i| (i % 7) as f32 / 3.0).collect();
    let with = |seed| draws(&Sampling { seed: Some(seed), ..Sampling::default() }, &logits, 40);
    assert_eq!(with(1), with(1));
    assert_ne!(with(1), with(2));
    let unseeded = || draws(&Sampling::default(), &logits, 40);
    assert_ne!(unseeded(), unseeded());
}

#[test]
fn top_p_keeps_the_fewest_tokens_that_reach_it() {
    // Probabilities 0.5, 0.3, 0.15, 0.05.
    let logits = [0.5f32.ln(), 0.3f32.ln(), 0.15f32.ln(), 0.05f32.ln()];
    let kept = |top_p| {
        let mut tokens = draws(&Sampling { top_p, seed: Some(3), ..Sampling::default() }, &logits, 2_000);
        tokens.sort_unstable();
        tokens.dedup();
        tokens
    };
    assert_eq!(kept(0.0), [0]);
    assert_eq!(kept(0.49), [0]);
    assert_eq!(kept(0.51), [0, 1]);
    assert_eq!(kept(0.94), [0, 1, 2]);
    assert_eq!(kept(1.0), [0, 1, 2, 3]);
}

#[test]
fn leaving_out_the_needless_changes_no_nucleus() {
    let mut random = 1u64;
    for _ in 0..200 {
        let mut next = || {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (random >> 40) as f32 / (1u64 << 24) as f32
        };
        let weights: Vec<f32> = (0..64).map(|_| next().powi(6)).collect();
        let total: f64 = weights.iter().map(|w| f64::from(*w)).sum();
        let wanted = f64::from(next()) * total;
        let mut sorted = weights.clone();
        sorted.sort_unstable_by(|a, b| b.total_cmp(a));
        let mut mass = 0.0;
        let needed = sorted
            .iter()
            .take_while(|w| {
                let more = mass < wanted;
                mass += f64::from(**w);
                more
            })
            .count();
        assert_eq!(nucleus(&weights, wanted, total).0.len(), needed.max(1));
    }
}

#[test]
fn penalties_count_generated_tokens_as_openai_defines_them() {
    // Presence: once. After token 0 is taken, 1 is ahead for good.
    let presence = Sampling { presence_penalty: 0.2, ..Sampling::greedy() };
    assert_eq!(draws(&presence, &[1.0, 0.9, 0.0], 4), [0, 1, 0, 0]);
    // Frequency: each time. The two take turns.
    let frequency = Sampling { frequency_penalty: 0.2, ..Sampling::greedy() };
    assert_eq!(draws(&frequency, &[1.0, 0.9, 0.0], 4), [0, 1, 0, 1]);
}

#[test]
fn logits_that_are_no_numbers_are_an_error() {
    let mut sampler = Sampler::new(Sampling::greedy());
    assert!(sampler.sample(&mut [0.0, f32::NAN]).is_err());
    assert!(sampler.sample(&mut [f32::NEG_INFINITY; 2]).is_err());
}
