//! Runs the faults simulation over many seeds, or shows one.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use clap::Parser;
use tidegate_sim::faults;

/// Runs the ledger under faults, one run for each seed.
#[derive(Debug, Parser)]
struct Args {
    /// First seed.
    #[arg(long, env = "TIDEGATE_SIM_SEED", default_value_t = 1)]
    seed: u64,
    /// Seeds.
    #[arg(long, env = "TIDEGATE_SIM_SEEDS", default_value_t = 1000)]
    seeds: u64,
    /// Failures after which it stops.
    #[arg(long, default_value_t = 1)]
    failures: u64,
}

fn main() -> io::Result<ExitCode> {
    let args = Args::parse();
    let mut out = io::stdout().lock();
    let (mut failures, mut runs, mut events, mut requests, mut answered) = (0, 0_u64, 0, 0, 0);
    let (mut ghosts, mut reentries, mut slowest) = (0, 0, 0);
    for seed in args.seed..args.seed + args.seeds {
        runs += 1;
        match faults::run(seed) {
            Ok(passed) => {
                events += passed.events;
                requests += passed.requests;
                answered += passed.answered;
                ghosts += passed.ghosts;
                reentries += u64::from(passed.reentries > 0);
                slowest = slowest.max(passed.zero_after);
            }
            Err(failure) => {
                writeln!(out, "{failure}")?;
                failures += 1;
            }
        }
        if failures >= args.failures {
            break;
        }
    }
    writeln!(
        out,
        "{runs} seeds, {failures} failed: {events} events, {requests} requests, {answered} answered"
    )?;
    writeln!(
        out,
        "{ghosts} ghosts; re-entries in {reentries} seeds; zero at most {} s after the calm",
        slowest as f64 / 1e6
    )?;
    Ok(if failures == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
