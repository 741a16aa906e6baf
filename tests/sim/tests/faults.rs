//! The ledger under faults, with 1,000 seeds. A failure prints its seed; to see it again:
//! `TIDEGATE_SIM_SEED=<seed> TIDEGATE_SIM_SEEDS=1 cargo test --release -p tidegate-sim --test faults`,
//! or `cargo run --release -p tidegate-sim --bin tidegate-faults -- --seed <seed> --seeds 1`, which also runs more seeds.

use tidegate_sim::faults;

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(default)
}

#[test]
fn the_ledger_keeps_its_promises_under_faults() {
    // Without optimisation a run takes some twenty times as long.
    let usual = if cfg!(debug_assertions) { 100 } else { 1000 };
    let (first, seeds) = (setting("TIDEGATE_SIM_SEED", 1), setting("TIDEGATE_SIM_SEEDS", usual));
    let (mut answered, mut slowest) = (0, 0);
    for seed in first..first + seeds {
        match faults::run(seed) {
            Ok(passed) => {
                answered += passed.answered;
                slowest = slowest.max(passed.zero_after);
            }
            Err(failure) => panic!("{failure}"),
        }
    }
    assert!(answered > 0, "no request was ever answered: nothing was tried");
    assert!(slowest < 10_000_000, "L2: an account was zero only {slowest} us after the calm");
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let run = |seed| faults::run(seed).map_err(|failure| failure.to_string());
    assert_eq!(run(7), run(7));
    assert_ne!(run(7), run(8));
}
