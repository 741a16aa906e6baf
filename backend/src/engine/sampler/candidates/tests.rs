//! Each filter against its meaning, with a sort and double precision.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::{Candidate, Candidates, keep_nucleus};
use crate::engine::Sampling;

/// Probabilities after the temperature, the likeliest token first, of equals the lower id.
fn ranked(logits: &[f32], temperature: f32) -> Vec<(u32, f64)> {
    let max = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let weights: Vec<f64> =
        logits.iter().map(|l| (f64::from(l - max) / f64::from(temperature)).exp()).collect();
    let total: f64 = weights.iter().sum();
    let mut ranked: Vec<(u32, f64)> = (0..).zip(weights.iter().map(|weight| weight / total)).collect();
    ranked.sort_by(|a, b| logits[b.0 as usize].total_cmp(&logits[a.0 as usize]).then(a.0.cmp(&b.0)));
    ranked
}

fn kept(logits: &[f32], sampling: &Sampling) -> Vec<Candidate> {
    let max = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    match Candidates::new(&mut logits.to_vec(), max, sampling) {
        Candidates::All(weights) => {
            weights.iter().zip(0..).map(|(weight, token)| Candidate { token, weight: *weight }).collect()
        }
        Candidates::Some(kept) => kept,
    }
}

fn tokens(candidates: &[Candidate]) -> BTreeSet<u32> {
    candidates.iter().map(|candidate| candidate.token).collect()
}

/// Rows as models give them and worse: continuous, with many equals, and far apart.
fn rows() -> impl Strategy<Value = Vec<f32>> {
    prop_oneof![
        prop::collection::vec(-8f32..8.0, 1..300),
        prop::collection::vec((-3i8..3).prop_map(f32::from), 1..300),
        prop::collection::vec(-200f32..200.0, 1..60),
    ]
}

const ROUNDING: f64 = 1e-5;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn top_k_keeps_exactly_the_k_likeliest(row in rows(), k in 1usize..80, temperature in 0.1f32..3.0) {
        let sampling = Sampling { top_k: Some(k), temperature, ..Sampling::default() };
        let expected: BTreeSet<u32> = ranked(&row, temperature).iter().take(k).map(|(token, _)| *token).collect();
        prop_assert_eq!(tokens(&kept(&row, &sampling)), expected);
    }

    #[test]
    fn min_p_keeps_what_reaches_its_share_of_the_likeliest(
        row in rows(), min_p in 0.001f32..1.0, temperature in 0.1f32..3.0,
    ) {
        let kept = tokens(&kept(&row, &Sampling { min_p, temperature, ..Sampling::default() }));
        let ranked = ranked(&row, temperature);
        let bound = f64::from(min_p) * ranked[0].1;
        for (token, probability) in ranked {
            if kept.contains(&token) {
                prop_assert!(probability >= bound * (1.0 - ROUNDING * 100.0), "{token} at {probability}, bound {bound}");
            } else {
                prop_assert!(probability < bound * (1.0 + ROUNDING * 100.0), "{token} at {probability}, bound {bound}");
            }
        }
    }

    /// The fewest of the likeliest that reach the share.
    #[test]
    fn top_p_keeps_the_smallest_set_that_reaches_it(row in rows(), top_p in 0f32..1.0, temperature in 0.1f32..3.0) {
        let kept = kept(&row, &Sampling { top_p, temperature, ..Sampling::default() });
        let ranked = ranked(&row, temperature);
        let likeliest: BTreeSet<u32> = ranked.iter().take(kept.len()).map(|(token, _)| *token).collect();
        // Logits far apart have weights that are equal (0) in single precision: those are never needed.
        prop_assert_eq!(tokens(&kept), likeliest);
        let mass = |count: usize| ranked.iter().take(count).map(|(_, probability)| probability).sum::<f64>();
        prop_assert!(!kept.is_empty());
        prop_assert!(mass(kept.len()) >= f64::from(top_p) - ROUNDING);
        prop_assert!(kept.len() == 1 || mass(kept.len() - 1) < f64::from(top_p) + ROUNDING);
    }

    /// In this order: min_p, then top_k, then top_p of what is left, with the probabilities made whole again.
    #[test]
    fn together_they_apply_in_their_order(
        row in prop::collection::vec(-6f32..6.0, 2..200), min_p in 0.01f32..0.5, k in 1usize..60, top_p in 0.05f32..1.0,
    ) {
        let sampling = Sampling { min_p, top_k: Some(k), top_p, ..Sampling::default() };
        let ranked = ranked(&row, 1.0);
        let bound = f64::from(min_p) * ranked[0].1;
        let left: Vec<_> = ranked.into_iter().filter(|(_, probability)| *probability >= bound).take(k).collect();
        let total: f64 = left.iter().map(|(_, probability)| probability).sum();
        let kept = kept(&row, &sampling);
        let mass = |count: usize| left.iter().take(count).map(|(_, probability)| probability / total).sum::<f64>();
        // A token at a bound may fall either way in single precision; so may the count, by one.
        prop_assert!(mass(kept.len()) >= f64::from(top_p) - 1e-3, "{} kept of {}", kept.len(), left.len());
        prop_assert!(kept.len() <= 1 || mass(kept.len() - 1) < f64::from(top_p) + 1e-3);
        prop_assert!(kept.len() <= k);
    }

    /// Large vocabularies take the path that selects in parts.
    #[test]
    fn a_nucleus_that_is_selected_in_parts_is_that_of_a_sort(
        weights in prop::collection::vec(0f32..1.0, 500..3_000), top_p in 0.0f32..1.0,
    ) {
        let all: Vec<Candidate> =
            weights.iter().zip(0..).map(|(weight, token)| Candidate { token, weight: *weight }).collect();
        let mut sorted = all.clone();
        sorted.sort_by(super::likelier);
        let wanted = f64::from(top_p) * super::mass(&all);
        let mut passed = 0.0;
        let needed = sorted.iter().take_while(|candidate| {
            let more = passed < wanted;
            passed += f64::from(candidate.weight);
            more
        }).count().max(1);
        let mut nucleus = all;
        keep_nucleus(&mut nucleus, wanted);
        prop_assert_eq!(&nucleus[..], &sorted[..needed]);
    }

    /// The weights of what is kept are the probabilities but for one factor, and each point belongs to its token.
    #[test]
    fn every_point_belongs_to_the_token_whose_share_it_falls_in(row in rows(), top_p in 0.1f32..1.2, point in 0f64..1.0) {
        let sampling = Sampling { top_p: top_p.min(1.0), ..Sampling::default() };
        let kept = kept(&row, &sampling);
        let max = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let token = Candidates::new(&mut row.clone(), max, &sampling).pick(point);
        let total: f64 = kept.iter().map(|candidate| f64::from(candidate.weight)).sum();
        let at = kept.iter().position(|candidate| candidate.token == token);
        prop_assert!(at.is_some(), "{token} was filtered out");
        let before: f64 = kept.iter().take(at.unwrap()).map(|candidate| f64::from(candidate.weight)).sum();
        let share = f64::from(kept[at.unwrap()].weight);
        prop_assert!(share > 0.0);
        prop_assert!(before / total <= point + 1e-9 && point <= (before + share) / total + 1e-9);
    }
}
