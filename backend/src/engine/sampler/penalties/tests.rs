//! Penalties against a count of the text, token by token.

use proptest::prelude::*;

use super::Penalties;
use crate::engine::Sampling;

const VOCABULARY: u32 = 20;

fn naive(row: &[f32], prompt: &[u32], answer: &[u32], sampling: &Sampling) -> Vec<f32> {
    let mut row = row.to_vec();
    for (token, logit) in row.iter_mut().enumerate() {
        let times = |text: &[u32]| text.iter().filter(|seen| **seen as usize == token).count();
        if sampling.repetition_penalty != 1.0 && times(prompt) + times(answer) > 0 {
            *logit = if *logit > 0.0 {
                *logit / sampling.repetition_penalty
            } else {
                *logit * sampling.repetition_penalty
            };
        }
        *logit -= sampling.frequency_penalty * times(answer) as f32;
        if times(answer) > 0 {
            *logit -= sampling.presence_penalty;
        }
    }
    row
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn they_are_what_a_count_says(
        row in prop::collection::vec(-9f32..9.0, VOCABULARY as usize),
        prompt in prop::collection::vec(0..VOCABULARY, 0..15),
        answer in prop::collection::vec(0..VOCABULARY, 0..30),
        repetition_penalty in prop_oneof![Just(1f32), 0.5f32..2.0],
        frequency_penalty in prop_oneof![Just(0f32), -2f32..2.0],
        presence_penalty in prop_oneof![Just(0f32), -2f32..2.0],
    ) {
        let sampling =
            Sampling { repetition_penalty, frequency_penalty, presence_penalty, ..Sampling::default() };
        let mut penalties = Penalties::new(&sampling, &prompt);
        answer.iter().for_each(|token| penalties.count(*token));
        let mut found = row.clone();
        penalties.apply(&mut found);
        for (found, expected) in found.iter().zip(naive(&row, &prompt, &answer, &sampling)) {
            prop_assert!((found - expected).abs() < 1e-4, "{found} {expected}");
        }
    }
}

#[test]
fn a_token_of_the_prompt_beyond_the_models_rows_harms_nothing() {
    let sampling = Sampling { repetition_penalty: 2.0, ..Sampling::default() };
    let mut row = [1.0, 2.0];
    Penalties::new(&sampling, &[1, 900]).apply(&mut row);
    assert_eq!(row, [1.0, 1.0]);
}
