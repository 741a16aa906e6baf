//! Keeps a whole fleet above its capacity for a long time, and says whether anything grew, was lost or was wrong.

use clap::Parser;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use tidegate_load::soak::{Options, run};
use tokio::signal::unix::{SignalKind, signal};

/// A Redis, three routers and backends of the demo model under mixed traffic above their capacity: chats, streams, completions, short
/// deadlines, invalid requests, clients that leave. Every answer is checked. At the end every count must be zero, memory and file
/// descriptors flat, and no answer wrong; exits with 1 where a bar is missed.
#[derive(Debug, Parser)]
struct Args {
    /// Minutes of load; slopes of memory and file descriptors are judged from ten minutes on.
    #[arg(long, default_value_t = 30.0)]
    minutes: f64,
    /// Offered load over the capacity, which is measured first.
    #[arg(long, default_value_t = 1.5)]
    load: f64,
    /// Backends, three slots each.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=16))]
    backends: u8,
    /// All traffic is drawn from it: the same seed gives the same requests in the same order. A random one where it is left out.
    #[arg(long)]
    seed: Option<u64>,
    /// Folder for logs, one below it for each seed. `RUST_LOG=warn` keeps them short.
    #[arg(long, default_value = "target/soak")]
    logs: PathBuf,
    /// File for the report, which is printed too.
    #[arg(long)]
    out: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    let (Ok(mut ended), Ok(mut interrupted)) =
        (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        return ExitCode::FAILURE;
    };
    // The processes end with the run, however that ends.
    let reached = tokio::select! {
        reached = soak(&args) => reached,
        _ = ended.recv() => Err(anyhow::anyhow!("ended from outside")),
        _ = interrupted.recv() => Err(anyhow::anyhow!("interrupted")),
    };
    match reached {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            // Nobody listens: the exit status says it too.
            let _ = writeln!(io::stderr(), "{error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Runs it and shows the report: whether all bars are reached.
async fn soak(args: &Args) -> anyhow::Result<bool> {
    anyhow::ensure!(args.minutes > 0.0 && args.load > 0.0, "--minutes and --load must be above 0");
    let seed = args.seed.unwrap_or_else(|| u64::from(std::process::id()));
    let options = Options {
        seed,
        minutes: args.minutes,
        load: args.load,
        backends: args.backends.into(),
        folder: args.logs.join(format!("seed-{seed}")),
    };
    let (page, reached) = run(&options).await?.page()?;
    writeln!(io::stdout(), "{page}")?;
    if let Some(out) = &args.out {
        std::fs::write(out, page.trim_start())?;
    }
    Ok(reached)
}
