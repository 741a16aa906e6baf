//! The simulation's command: runs the tables, prints them as Markdown, and puts them into the report.

use std::{
    fs,
    io::{self, Write},
    path::PathBuf,
    time::Instant,
};

use clap::Parser;
use tidegate_sim::{
    report::{Part, put},
    table::Table,
    tables::Effort,
};

/// Simulates admission on the real code, prints the tables and writes them into docs/admission-sim.md.
#[derive(Debug, Parser)]
struct Args {
    /// Seeds of each configuration; some tables take a multiple of it.
    #[arg(long, default_value_t = 5)]
    seeds: u64,
    /// Part of the measured time that is run: less than 1 for a quick look.
    #[arg(long, default_value_t = 1.0)]
    part: f64,
    /// Only these: fresh, held-out, constants, short, lengths, cheap, steps, batching, trouble, scale.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// The report; only printed where it does not exist.
    #[arg(long, default_value = "docs/admission-sim.md")]
    report: PathBuf,
    /// Print, and leave the report as it is.
    #[arg(long)]
    dry_run: bool,
}

fn main() -> io::Result<()> {
    let args = Args::parse();
    let effort = Effort { seeds: args.seeds, part: args.part };
    let mut times = Table::new(&["part", "seeds", "seconds"]);
    for part in Part::ALL {
        if !args.only.is_empty() && !args.only.iter().any(|name| name == part.name()) {
            continue;
        }
        let began = now();
        for (name, table) in part.run(effort) {
            show(&args, name, &table)?;
        }
        let seconds = format!("{:.0}", began.elapsed().as_secs_f64());
        times.row([part.name().to_owned(), args.seeds.to_string(), seconds]);
    }
    if args.only.is_empty() {
        show(&args, "time", &times.to_string())?;
    }
    Ok(())
}

/// Prints a table, and puts it into the report.
fn show(args: &Args, name: &str, table: &str) -> io::Result<()> {
    writeln!(io::stdout(), "{name}\n\n{table}")?;
    if args.dry_run || !args.report.exists() {
        return Ok(());
    }
    let page = fs::read_to_string(&args.report)?;
    match put(&page, name, table) {
        Some(page) => fs::write(&args.report, page),
        None => Err(io::Error::other(format!("{} has no place for {name}", args.report.display()))),
    }
}

#[expect(clippy::disallowed_methods, reason = "tells people how long the run takes; decides nothing")]
fn now() -> Instant {
    Instant::now()
}
