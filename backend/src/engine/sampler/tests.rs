//! The sampler against its definition.

use proptest::prelude::*;

use super::{Sampled, Sampler, argmax};
use crate::engine::Sampling;
use crate::model::{Chosen, Draw};

/// How a device would be told to choose the first token, and which one the host chooses.
pub(crate) fn choose_on_host(sampling: Sampling, logits: &mut [f32]) -> (Draw, u32) {
    let mut sampler = Sampler::new(sampling, &[], &[]);
    (sampler.draw_ahead().unwrap(), sampler.sample(logits).unwrap().token())
}

fn sampler(sampling: &Sampling) -> Sampler {
    Sampler::new(sampling.clone(), &[], &[])
}

fn draws(sampling: &Sampling, logits: &[f32], count: usize) -> Vec<u32> {
    let mut sampler = sampler(sampling);
    (0..count).map(|_| sampler.sample(&mut logits.to_vec()).unwrap().token()).collect()
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
fn penalties_count_generated_tokens_as_openai_defines_them() {
    // Presence: once. After token 0 is taken, 1 is ahead for good.
    let presence = Sampling { presence_penalty: 0.2, ..Sampling::greedy() };
    assert_eq!(draws(&presence, &[1.0, 0.9, 0.0], 4), [0, 1, 0, 0]);
    // Frequency: each time. The two take turns.
    let frequency = Sampling { frequency_penalty: 0.2, ..Sampling::greedy() };
    assert_eq!(draws(&frequency, &[1.0, 0.9, 0.0], 4), [0, 1, 0, 1]);
}

#[test]
fn a_bias_makes_a_token_certain_or_impossible_also_for_greedy_choices() {
    let biased = |token, bias| Sampling { logit_bias: vec![(token, bias)], ..Sampling::greedy() };
    assert_eq!(draws(&biased(2, 100.0), &[1.0, 0.9, -3.0], 3), [2, 2, 2]);
    assert_eq!(draws(&biased(0, -100.0), &[1.0, 0.9, -3.0], 3), [1, 1, 1]);
}

#[test]
fn no_end_comes_before_min_tokens() {
    let sampling = Sampling { min_tokens: 2, ..Sampling::greedy() };
    let mut sampler = Sampler::new(sampling, &[], &[0, 1]);
    let mut next = || sampler.sample(&mut [3.0, 2.0, 1.0]).unwrap().token();
    assert_eq!([next(), next(), next()], [2, 2, 0]);
}

#[test]
fn log_probabilities_are_the_models_own_whatever_is_asked_for_besides() {
    let row = [2.0f32, 1.0, 0.0];
    let total: f32 = row.iter().map(|logit| logit.exp()).sum();
    let sampling = Sampling {
        logprobs: Some(2),
        logit_bias: vec![(2, 100.0)],
        temperature: 0.3,
        min_p: 0.9,
        ..Sampling::default()
    };
    let Sampled::Scored(scored) = sampler(&sampling).sample(&mut row.clone()).unwrap() else {
        panic!("log-probabilities were asked for");
    };
    assert_eq!((scored.token, scored.top[0].0, scored.top[1].0), (2, 0, 1));
    for (found, logit) in [(scored.logprob, 0.0), (scored.top[0].1, 2.0), (scored.top[1].1, 1.0)] {
        assert!((found - (logit - total.ln())).abs() < 1e-5, "{scored:?}");
    }
}

#[test]
fn a_device_may_choose_where_nothing_but_a_temperature_is_asked_for() {
    let ahead = |sampling: Sampling| sampler(&sampling).draw_ahead();
    assert_eq!(ahead(Sampling::greedy()), Some(Draw::Likeliest));
    let Some(Draw::At { inverse_temperature, point }) =
        ahead(Sampling { temperature: 0.5, seed: Some(4), ..Sampling::default() })
    else {
        panic!("a draw from the whole distribution")
    };
    assert_eq!((inverse_temperature, point), (2.0, super::draw::uniform(4, 0)));
    for touched in [
        Sampling { top_k: Some(5), ..Sampling::default() },
        Sampling { top_p: 0.9, ..Sampling::default() },
        Sampling { min_p: 0.1, ..Sampling::default() },
        Sampling { logprobs: Some(0), ..Sampling::greedy() },
        Sampling { logit_bias: vec![(1, 1.0)], ..Sampling::greedy() },
        Sampling { min_tokens: 1, ..Sampling::greedy() },
        Sampling { presence_penalty: 0.1, ..Sampling::greedy() },
    ] {
        assert_eq!(ahead(touched), None);
    }
    // The same position of the same seed, wherever the token before was chosen.
    let mut sampler = sampler(&Sampling { seed: Some(4), ..Sampling::default() });
    sampler.take(Chosen { token: 3, max: 1.0 }).unwrap();
    let point = super::draw::uniform(4, 1);
    assert_eq!(sampler.draw_ahead(), Some(Draw::At { inverse_temperature: 1.0, point }));
    assert!(sampler.take(Chosen { token: 3, max: f32::NAN }).is_err());
}

#[test]
fn logits_that_are_no_numbers_are_an_error() {
    let mut sampler = sampler(&Sampling::greedy());
    assert!(sampler.sample(&mut [0.0, f32::NAN]).is_err());
    assert!(sampler.sample(&mut [f32::NEG_INFINITY; 2]).is_err());
    assert!(sampler.sample(&mut [f32::INFINITY; 2]).is_err());
}

proptest! {
    #[test]
    fn the_largest_is_found_wherever_it_stands(
        row in prop::collection::vec((-5i8..5).prop_map(f32::from), 1..100), odd in prop::option::of(0usize..100),
    ) {
        let mut row = row;
        let expected = (0..row.len()).fold(0, |best, at| if row[at] > row[best] { at } else { best });
        prop_assert_eq!(argmax(&row), (expected as u32, row[expected]));
        if let Some(at) = odd.filter(|at| *at < row.len()) {
            row[at] = f32::NAN;
            prop_assert!(argmax(&row).1.is_nan());
        }
    }

    /// A sampler that begins in the middle of another's answer goes on as that one: nothing but seed, position and text
    /// decides.
    #[test]
    fn rows_seeds_and_positions_alone_decide(
        rows in prop::collection::vec(prop::collection::vec(-4f32..4.0, 40), 1..12),
        seed in any::<u64>(), temperature in 0.2f32..2.0, top_k in prop::option::of(1usize..40), top_p in 0.1f32..1.0,
    ) {
        let sampling = Sampling { seed: Some(seed), temperature, top_k, top_p, ..Sampling::default() };
        let (mut one, mut other) = (sampler(&sampling), sampler(&sampling));
        for row in rows {
            let mut noise = sampler(&Sampling::default());
            noise.sample(&mut row.clone()).unwrap();
            let (a, b) = (one.sample(&mut row.clone()).unwrap(), other.sample(&mut row.clone()).unwrap());
            prop_assert_eq!(a.token(), b.token());
        }
    }
}
