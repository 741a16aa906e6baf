//! Kills, stops and restarts a whole fleet under load, and says which promises held.

use clap::Parser;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use tidegate_load::chaos::{Options, run};
use tokio::signal::unix::{SignalKind, signal};

/// Three routers, a Redis and four backends under three times their load, while they are killed with -9, stopped and started again
/// at random; then every promise is held against what happened. Exits with 1 where one was broken.
#[derive(Debug, Parser)]
struct Args {
    /// Everything is drawn from it: the same seed gives the same requests and the same faults. A random one where it is left out.
    #[arg(long)]
    seed: Option<u64>,
    /// Seconds of load.
    #[arg(long, default_value_t = 60.0)]
    seconds: f64,
    /// Folder for logs and diaries, one below it for each seed.
    #[arg(long, default_value = "target/chaos")]
    logs: PathBuf,
}

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    let seed = args.seed.unwrap_or_else(|| u64::from(std::process::id()));
    let options = Options { seed, seconds: args.seconds, folder: args.logs.join(format!("seed-{seed}")) };
    let (Ok(mut ended), Ok(mut interrupted)) =
        (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        return ExitCode::FAILURE;
    };
    // The processes end with the run, however that ends.
    let verdict = tokio::select! {
        verdict = run(&options) => verdict,
        _ = ended.recv() => Err(anyhow::anyhow!("ended from outside")),
        _ = interrupted.recv() => Err(anyhow::anyhow!("interrupted")),
    };
    let (text, code) = match verdict {
        Ok(verdict) => {
            (verdict.to_string(), if verdict.held() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        Err(error) => (format!("seed {seed}: {error:#}"), ExitCode::FAILURE),
    };
    // Nobody listens: the exit status says it too.
    let _ = writeln!(io::stdout(), "{text}");
    code
}
