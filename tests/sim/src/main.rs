//! The simulation's command: prints tables.

use std::io::{self, Write};

use clap::Parser;
use tidegate_sim::tables::{Effort, batching, cheap, constants, fresh, steps, trouble};

#[derive(Debug, Parser)]
struct Args {
    /// Which table: fresh, batching, cheap, constants, steps, burst, stalls.
    table: String,
    /// Seeds.
    #[arg(long, default_value_t = 1)]
    seeds: u64,
    /// Part of the measured time.
    #[arg(long, default_value_t = 0.1)]
    part: f64,
}

fn main() -> io::Result<()> {
    let args = Args::parse();
    let effort = Effort { seeds: args.seeds, part: args.part };
    let mut out = io::stdout().lock();
    match args.table.as_str() {
        "fresh" => {
            let runs = fresh::run(effort);
            writeln!(out, "{}\n{}\n{}", fresh::bars(&runs), fresh::each(&runs), fresh::detail(&runs))
        }
        "batching" => writeln!(out, "{}", batching::run(effort)),
        "cheap" => writeln!(out, "{}", cheap::run(effort)),
        "constants" => writeln!(out, "{}", constants::run(effort)),
        "steps" => writeln!(out, "{}", steps::run(effort)),
        "burst" => writeln!(out, "{}", trouble::burst(effort)),
        "scale" => {
            let (a, b) = tidegate_sim::scale::run(args.part * 10.0);
            writeln!(out, "{a}\n{b}")
        }
        _ => writeln!(out, "{}", trouble::stalls(effort)),
    }
}
