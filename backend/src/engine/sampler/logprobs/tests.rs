//! Log-probabilities against a softmax in double precision.

use proptest::prelude::*;

use super::Distribution;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn they_are_the_softmax_and_sum_to_one(
        row in prop_oneof![
            prop::collection::vec(-30f32..30.0, 1..200),
            prop::collection::vec((-2i8..3).prop_map(f32::from), 1..50),
        ],
        chosen in any::<prop::sample::Index>(),
        top in 0usize..25,
    ) {
        let max = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let total: f64 = row.iter().map(|logit| f64::from(logit - max).exp()).sum();
        let expected = |token: u32| f64::from(row[token as usize] - max) - total.ln();
        let token = chosen.index(row.len()) as u32;
        let scored = Distribution::new(&row, top).unwrap().score(token);
        prop_assert!((f64::from(scored.logprob) - expected(token)).abs() < 1e-4);
        prop_assert_eq!(scored.top.len(), top.min(row.len()));
        let mut ranked: Vec<u32> = (0..row.len() as u32).collect();
        ranked.sort_by(|a, b| row[*b as usize].total_cmp(&row[*a as usize]).then(a.cmp(b)));
        for ((found, logprob), likeliest) in scored.top.iter().zip(&ranked) {
            prop_assert_eq!(found, likeliest);
            prop_assert!((f64::from(*logprob) - expected(*found)).abs() < 1e-4);
        }
        let whole = Distribution::new(&row, row.len()).unwrap().score(token);
        let sum: f64 = whole.top.iter().map(|(_, logprob)| f64::from(*logprob).exp()).sum();
        prop_assert!((sum - 1.0).abs() < 1e-4, "{sum}");
    }
}

#[test]
fn a_token_that_is_impossible_says_so_and_nothing_at_all_is_an_error() {
    let scored = Distribution::new(&[0.0, f32::NEG_INFINITY], 2).unwrap().score(1);
    assert_eq!(scored.logprob, f32::NEG_INFINITY);
    assert_eq!(scored.top, [(0, 0.0), (1, f32::NEG_INFINITY)]);
    assert!(Distribution::new(&[f32::NEG_INFINITY; 3], 0).is_err());
    assert!(Distribution::new(&[0.0, f32::NAN], 0).is_err());
}
