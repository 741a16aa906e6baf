//! The overload scenario's command: runs its parts, keeps their results, and puts tables and chart into the report.

use anyhow::Context;
use clap::Parser;
use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;
use tidegate_load::machine;
use tidegate_load::overload::parts::Part;
use tidegate_load::overload::rows::{Row, Rows};
use tidegate_load::overload::{bars, chart, run, short, tables};
use tidegate_load::report::put_into;

/// Offers a fleet of real routers, a real Redis and backends of timers up to ten times what it can do, and says what comes out.
#[derive(Debug, Parser)]
struct Args {
    /// Only these: tidegate, off, replicas, hard, served, classes, routers, calls. Results of the others are kept.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Runs nothing, and makes the report from the results that are there.
    #[arg(long)]
    render: bool,
    /// Two points in some forty seconds, and a status that says whether they are as they must be; no report.
    #[arg(long)]
    short: bool,
    /// `--wait-share` of the routers; theirs if it is not given.
    #[arg(long)]
    wait_share: Option<f64>,
    /// Where results are kept.
    #[arg(long, default_value = "target/overload/rows.jsonl")]
    rows: PathBuf,
    /// The report; only printed where it does not exist.
    #[arg(long, default_value = "docs/overload.md")]
    report: PathBuf,
    /// The chart.
    #[arg(long, default_value = "docs/overload.svg")]
    chart: PathBuf,
    /// Leaves report and chart as they are.
    #[arg(long)]
    dry_run: bool,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    if args.short {
        return test().await;
    }
    let unknown = args.only.iter().find(|name| Part::ALL.iter().all(|part| part.name() != name.as_str()));
    anyhow::ensure!(unknown.is_none(), "there is no part {}", unknown.map_or("", String::as_str));
    let mut rows = Rows::read(&args.rows)?;
    let wanted = |part: &Part| args.only.is_empty() || args.only.iter().any(|name| name == part.name());
    for part in Part::ALL.into_iter().filter(|part| !args.render && wanted(part)) {
        run_part(&args, part, &mut rows).await?;
    }
    report(&args, &rows)
}

async fn test() -> anyhow::Result<()> {
    let (told, wrong) = short::check().await;
    writeln!(io::stdout(), "{}", told.join("\n"))?;
    anyhow::ensure!(wrong.is_empty(), "{}", wrong.join("; "));
    Ok(writeln!(io::stdout(), "the overload scenario holds")?)
}

async fn run_part(args: &Args, part: Part, rows: &mut Rows) -> anyhow::Result<()> {
    for point in part.points() {
        let figures = run::run(&point, args.wait_share).await;
        writeln!(
            io::stdout(),
            "{point}: goodput {:.1} %, missed {:.1} %, refused {:.1} %, served {:.1} %, CPU {:.0} %, late {:.0} ms",
            figures.goodput,
            figures.missed,
            figures.refused,
            figures.served,
            figures.cpu,
            figures.late_ms
        )?;
        let beside = [("unfired", figures.unfired), ("mixed up", figures.mixed_up)];
        for (what, many) in beside.into_iter().filter(|(_, many)| *many > 0) {
            writeln!(io::stdout(), "  {many} {what}")?;
        }
        if !figures.odd.is_empty() {
            writeln!(io::stdout(), "  ended oddly: {:?}", figures.odd)?;
        }
        rows.put(Row { point, wait_share: args.wait_share, machine: machine::described(), figures });
        rows.write(&args.rows)?;
    }
    Ok(())
}

/// Prints all tables; puts them and the chart into their files.
fn report(args: &Args, rows: &Rows) -> anyhow::Result<()> {
    let parts = Part::ALL.into_iter().flat_map(|part| tables::of(part, rows));
    let all = [("bars", bars::table(rows).to_string()), ("machine", tables::machines(rows))];
    for (name, table) in all.into_iter().chain(parts) {
        writeln!(io::stdout(), "{name}\n\n{table}")?;
        if !args.dry_run && args.report.exists() {
            put_into(&args.report, name, &table)?;
        }
    }
    if let Some(svg) = chart::svg(rows).filter(|_| !args.dry_run) {
        fs::write(&args.chart, svg).with_context(|| args.chart.display().to_string())?;
    }
    Ok(())
}
