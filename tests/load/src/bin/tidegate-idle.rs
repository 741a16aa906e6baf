//! Measures how long a slot stands idle while tickets wait, against the round trip to Redis: promise L3.

use clap::Parser;
use std::io::{self, Write};
use std::path::PathBuf;
use std::time::Duration;
use tidegate_load::idle::scene::{Found, run};
use tidegate_load::machine;
use tidegate_load::report::put_into;
use tidegate_sim::stats::quantile;
use tidegate_sim::table::Table;

/// Milliseconds by which the 99th percentile of idle may pass that of a round trip.
const BAR: f64 = 5.0;
/// Busy part of the cores, in percent, above which the figures are the machine's.
const MOST_CPU: f64 = 60.0;

/// How long a slot stands idle while tickets wait, against a PING of Redis in the same run; ends with status 1 where its 99th
/// percentile is more than 5 ms above the PING's, or the machine was too busy to tell.
#[derive(Debug, Parser)]
struct Args {
    /// Routers that share the account.
    #[arg(long, default_value_t = 2)]
    routers: usize,
    /// Seconds that are measured.
    #[arg(long, default_value_t = 30.0)]
    seconds: f64,
    /// The report into which the table is put; only printed where it does not exist.
    #[arg(long, default_value = "docs/overload.md")]
    report: PathBuf,
    /// Leaves the report as it is.
    #[arg(long)]
    dry_run: bool,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let measured = Duration::from_secs_f64(args.seconds);
    let shared = run(args.routers, true, measured).await?;
    // The same without Redis: what HTTP alone costs from a node to a router and back.
    let alone = run(1, false, measured).await?;
    let mut table = Table::new(&["what", "samples", "p50 ms", "p99 ms", "CPU %"]);
    let name = format!("idle, {} routers, account in Redis", args.routers);
    for (name, values, cpu) in [
        (name.as_str(), &shared.idle, shared.cpu),
        ("PING of Redis, in the same run", &shared.pings, shared.cpu),
        ("idle, one router, account in its memory", &alone.idle, alone.cpu),
    ] {
        let [median, high] = [0.5, 0.99].map(|part| format!("{:.2}", milliseconds(values, part)));
        table.row([name.to_owned(), values.len().to_string(), median, high, format!("{cpu:.0}")]);
    }
    let above = above(&shared);
    let shown = format!("{}\n\n{table}", machine::described());
    writeln!(io::stdout(), "{shown}")?;
    if !args.dry_run && args.report.exists() {
        put_into(&args.report, "idle", &shown)?;
    }
    writeln!(
        io::stdout(),
        "p99 of idle is {above:.2} ms above that of a PING; at most {BAR} ms are allowed"
    )?;
    anyhow::ensure!(shared.cpu <= MOST_CPU, "the cores were busy for {:.0} % of the time", shared.cpu);
    anyhow::ensure!(above <= BAR, "a slot stands idle for too long");
    Ok(())
}

fn above(found: &Found) -> f64 {
    milliseconds(&found.idle, 0.99) - milliseconds(&found.pings, 0.99)
}

fn milliseconds(values: &[f32], part: f64) -> f64 {
    1000.0 * quantile(values, part)
}
