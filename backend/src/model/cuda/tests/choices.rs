//! Tokens chosen on the device against the host's sampler.

use candle_core::DType;
use rand::RngExt;

use super::{kernels, numbers, seeded};
use crate::engine::{Sampling, choose_on_host};
use crate::model::attention::Geometry;
use crate::model::cuda::{Chosen, Draw};

fn any_kernels(seed: u64) -> super::Kernels {
    let geometry = Geometry { heads: 1, kv_heads: 1, head_dim: 2, scale: 1.0, softcap: None, window: None };
    kernels(geometry, DType::F32, seed)
}

/// Vocabularies with fewer tokens than threads, and with several for each.
#[test]
fn the_same_tokens_as_the_hosts_sampler() {
    let (seed, mut random) = seeded();
    let kernels = any_kernels(seed);
    for vocabulary in [3, 700, 1024, 5003] {
        let rows = 12;
        // Far apart in the last, so that most weights are 0.
        let spread = if vocabulary == 5003 { 40.0 } else { 3.0 };
        let logits = (numbers(&mut random, rows, vocabulary, DType::F32) * spread).unwrap();
        let asked: Vec<Sampling> = (0..rows)
            .map(|row| Sampling {
                temperature: if row % 4 == 0 { 0.0 } else { random.random_range(0.1..2.0) },
                seed: Some(random.random()),
                ..Sampling::default()
            })
            .collect();
        let on_host: Vec<(Draw, u32)> = asked
            .into_iter()
            .zip(logits.to_vec2::<f32>().unwrap())
            .map(|(sampling, mut row)| choose_on_host(sampling, &mut row))
            .collect();
        let draws: Vec<Draw> = on_host.iter().map(|(draw, _)| *draw).collect();
        let ours: Vec<u32> = kernels.choose(&logits, &draws).unwrap().iter().map(|c| c.token).collect();
        let theirs: Vec<u32> = on_host.iter().map(|(_, token)| *token).collect();
        assert_eq!(ours, theirs, "vocabulary of {vocabulary}");
    }
}

#[test]
fn equals_give_the_lowest_and_what_is_no_number_comes_out() {
    let kernels = any_kernels(1);
    let (low, odd) = (f32::NEG_INFINITY, f32::NAN);
    let rows = [[1.0, 3.0, 3.0, 2.0], [low; 4], [odd, 5.0, 1.0, 2.0], [1.0, 2.0, f32::INFINITY, odd]];
    let logits = candle_core::Tensor::new(&rows, &candle_core::Device::Cpu).unwrap();
    let draw = Draw::At { inverse_temperature: 1.0, point: 0.5 };
    for draw in [Draw::Likeliest, draw] {
        let chosen = kernels.choose(&logits, &[draw; 4]).unwrap();
        assert!(matches!(chosen[0], Chosen { token: 1 | 2, max: 3.0 }), "{chosen:?}");
        assert!(draw != Draw::Likeliest || chosen[0].token == 1);
        assert!(chosen[1..].iter().all(|chosen| !chosen.max.is_finite()), "{chosen:?}");
    }
}
