//! Thousands of slow streams through one router: whether one fails, what each takes, and whether all is given back.

use clap::Parser;
use std::io::{self, Write};
use std::path::PathBuf;
use std::time::Duration;
use tidegate_load::streams::{Found, run};
use tidegate_load::{machine, report::put_into};
use tidegate_sim::table::Table;

/// Opens slow streams through one router, holds them, and lets the backend end them. Ends with status 1 where one fails, where a
/// stream takes more memory of the router than the bar, or where the router still holds a slot or a file after them.
#[derive(Debug, Parser)]
struct Args {
    /// Streams at once; with commas between, one run after the other.
    #[arg(long, value_delimiter = ',', default_value = "5000")]
    streams: Vec<usize>,
    /// Seconds for which they are held once all flow.
    #[arg(long, default_value_t = 10.0)]
    seconds: f64,
    /// Bytes that a stream may take.
    #[arg(long, default_value_t = 40_000)]
    bar: usize,
    /// The report into which the table is put; only printed where it does not exist.
    #[arg(long, default_value = "docs/router-benchmarks.md")]
    report: PathBuf,
    /// Leaves the report as it is.
    #[arg(long)]
    dry_run: bool,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    tidegate_serve::files::raise_limit();
    let mut table = Table::new(&[
        "streams at once",
        "failed",
        "all open after, s",
        "MB before",
        "MB with them",
        "MB after",
        "bytes per stream",
        "open files before, with, after",
    ]);
    let mut kept = true;
    for streams in args.streams.iter().copied() {
        let found = run(streams, Duration::from_secs_f64(args.seconds)).await?;
        for failure in found.failures.iter().take(5) {
            writeln!(io::stderr(), "a stream failed: {failure}")?;
        }
        let (with, after) = (found.with, found.after);
        kept &= found.failures.is_empty() && with.slots == streams as u64;
        kept &= found.memory_of_each(streams) <= args.bar;
        kept &= after.slots == 0 && after.files <= found.before.files;
        table.row(row(&found, streams));
    }
    let shown = format!("{}\n\n{table}", machine::described());
    writeln!(io::stdout(), "{shown}")?;
    if !args.dry_run && args.report.exists() {
        put_into(&args.report, "streams", &shown)?;
    }
    anyhow::ensure!(kept, "a stream failed, took too much, or left something behind");
    Ok(())
}

fn row(found: &Found, streams: usize) -> [String; 8] {
    let held = [found.before, found.with, found.after];
    let [before, with, after] = held.map(|held| format!("{:.1}", held.memory as f64 / 1e6));
    [
        streams.to_string(),
        found.failures.len().to_string(),
        format!("{:.1}", found.opened_in.as_secs_f64()),
        before,
        with,
        after,
        found.memory_of_each(streams).to_string(),
        held.map(|held| held.files.to_string()).join(", "),
    ]
}
