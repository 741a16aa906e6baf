//! Fair sharing: what one tenant asks for takes nothing from another that asks for less than its part.

#![expect(clippy::print_stdout, reason = "the figures are what a reader of the output wants")]

use std::collections::BTreeMap;
use tidegate_sim::tenants::{Got, Load, play};

const SEEDS: u64 = 2;
const SECONDS: f64 = 400.0;

fn load(offered: f64) -> Load {
    Load { offered, service: 1.0, weight: 1, keyed: true }
}

/// Plays with a few seeds, one after another; the sums.
fn sums(slots: u32, loads: &[Load]) -> Vec<Got> {
    let mut sums = vec![Got::default(); loads.len()];
    for seed in 1..=SEEDS {
        let (got, broken) = play(slots, loads, SECONDS, seed);
        assert_eq!(broken, BTreeMap::new(), "seed {seed}");
        for (sum, got) in sums.iter_mut().zip(got) {
            sum.asked += got.asked;
            sum.answered += got.answered;
            sum.work += got.work;
        }
    }
    println!("{slots} slots, {loads:?}: {sums:?}");
    sums
}

#[test]
fn a_flood_takes_nothing_from_a_tenant_that_asks_for_a_tenth() {
    for slots in [4, 16] {
        let alone = sums(slots, &[load(0.1)])[0];
        let both = sums(slots, &[load(0.1), load(10.0)]);
        assert!(both[0].asked == alone.asked, "the same requests");
        let kept = both[0].answered as f64 / alone.answered as f64;
        assert!(kept >= 0.95, "{slots} slots: it keeps {kept:.3} of what it gets alone");
        let work: f64 = both.iter().map(|got| got.work).sum();
        let used = work / (SEEDS as f64 * SECONDS * f64::from(slots));
        assert!(used > 0.95, "{slots} slots: {used:.3} of the fleet's work is done");
    }
}

/// The same flood, and nobody has a key: this is what fair sharing is for.
#[test]
fn without_keys_a_flood_takes_most_of_it() {
    let nobody = |offered| Load { keyed: false, ..load(offered) };
    let both = sums(16, &[nobody(0.1), nobody(10.0)]);
    let kept = both[0].answered as f64 / both[0].asked as f64;
    assert!(kept < 0.3, "{kept:.3}");
}

#[test]
fn two_floods_share_by_weight_and_by_tokens() {
    let got = sums(16, &[load(5.0), Load { weight: 3, ..load(5.0) }]);
    let share = got[1].work / got[0].work;
    assert!((2.6..3.4).contains(&share), "three to one: {share:.2}");
    // One asks for answers that are four times as short: it gets four times as many, and about the same work.
    let got = sums(16, &[load(3.0), Load { service: 0.25, ..load(3.0) }]);
    let share = got[1].work / got[0].work;
    assert!((0.8..1.25).contains(&share), "one to one: {share:.2}");
}
