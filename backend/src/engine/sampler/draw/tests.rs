//! Uniform, and a function of seed and position alone.

use std::collections::HashSet;

use super::uniform;

#[test]
fn every_pair_of_seed_and_position_has_its_own_number() {
    let numbers: HashSet<u64> =
        (0..100).flat_map(|seed| (0..100).map(move |position| uniform(seed, position).to_bits())).collect();
    assert_eq!(numbers.len(), 10_000);
    assert_ne!(uniform(1, 2).to_bits(), uniform(2, 1).to_bits());
    assert_eq!(uniform(7, 9).to_bits(), uniform(7, 9).to_bits());
}

/// Chi-square over 64 bins along positions and along seeds: 63 degrees of freedom, 103.4 is the 99.9 % point.
#[test]
fn numbers_are_spread_evenly_along_positions_and_seeds() {
    const DRAWS: u64 = 64_000;
    let along: [fn(u64) -> f64; 2] = [|position| uniform(3, position), |seed| uniform(seed, 3)];
    for number in along {
        let mut bins = [0u64; 64];
        for at in 0..DRAWS {
            bins[(number(at) * 64.0) as usize] += 1;
        }
        let expected = DRAWS as f64 / 64.0;
        let chi: f64 = bins.iter().map(|count| (*count as f64 - expected).powi(2) / expected).sum();
        assert!(chi < 103.4, "{chi}: {bins:?}");
    }
}
