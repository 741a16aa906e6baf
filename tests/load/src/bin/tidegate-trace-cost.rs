//! Measures what tracing costs a router, in turns with one that does not trace: the table of docs/telemetry.md.

use clap::Parser;
use std::io::{self, Write};
use std::path::PathBuf;
use tidegate_load::machine;
use tidegate_load::member::Member;
use tidegate_load::report::put_into;
use tidegate_load::trace_cost::figures::{Row, over, table};
use tidegate_load::trace_cost::round::{Measured, Turn, turn};
use tidegate_load::trace_cost::variant::{ALL, Variant};

/// CPU time for each request, latency and memory of routers that trace nothing, one request in a hundred, every request, and every
/// request with a collector that is away, silent or overloaded; ends with status 1 where a bar is passed.
#[derive(Debug, Parser)]
struct Args {
    /// Rounds; each router has a turn in each.
    #[arg(long, default_value_t = 15)]
    rounds: usize,
    /// Requests in a turn.
    #[arg(long, default_value_t = 2000)]
    requests: usize,
    /// Requests under way at once.
    #[arg(long, default_value_t = 8)]
    at_once: usize,
    /// The page into which the table is put; only printed where it does not exist.
    #[arg(long, default_value = "docs/telemetry.md")]
    report: PathBuf,
    /// Leaves the page as it is.
    #[arg(long)]
    dry_run: bool,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let flags = ["--slots", "1000", "--service", "constant:0"].map(str::to_owned);
    let mut node = Member::node(&flags);
    node.start().await;
    let mut variants = Vec::new();
    for tracing in ALL {
        variants.push(Variant::start(tracing, &node.url).await);
    }
    let rows = rows(&args, &variants).await?;
    let shown = format!(
        "{}; {} rounds of {} requests each, {} at once\n\n{}",
        machine::described(),
        args.rounds,
        args.requests,
        args.at_once,
        table(&rows)
    );
    writeln!(io::stdout(), "{shown}")?;
    if !args.dry_run && args.report.exists() {
        put_into(&args.report, "cost", &shown)?;
    }
    let over = over(&rows);
    anyhow::ensure!(over.is_empty(), "{}", over.join("\n"));
    Ok(())
}

/// All rounds, after one that does not count.
async fn rows(args: &Args, variants: &[Variant]) -> anyhow::Result<Vec<Row>> {
    let size = Turn { requests: args.requests, at_once: args.at_once };
    let mut turns: Vec<Vec<Measured>> = vec![Vec::new(); variants.len()];
    for variant in variants {
        turn(variant, size).await?;
    }
    for round in 0..args.rounds {
        for place in 0..variants.len() {
            // Another one begins in each round.
            let number = (round + place) % variants.len();
            turns[number].push(turn(&variants[number], size).await?);
        }
    }
    variants.iter().zip(turns).map(|(variant, turns)| Row::of(variant, turns)).collect()
}
