//! What the account costs Redis: script time per call, admissions a second that one core carries, memory per ticket and slot.

use anyhow::Result;
use clap::Parser;
use tidegate_load::cost::{self, Size};

/// What the account in Redis costs: prints the tables of docs/scale.md. Starts a redis-server of its own.
#[derive(Debug, Parser)]
struct Flags {
    /// Backends of two slots each.
    #[arg(long, default_value_t = 512)]
    backends: u32,
    /// Tickets that wait.
    #[arg(long, default_value_t = 1000)]
    tickets: u32,
    /// Blocks of calls that are measured of each kind; the median counts.
    #[arg(long, default_value_t = 31)]
    blocks: usize,
    /// Calls in a block.
    #[arg(long, default_value_t = 200)]
    calls: usize,
    /// Seconds of full load.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Calls at once where Redis is busy.
    #[arg(long, default_value_t = 64)]
    at_once: usize,
}

#[tokio::main(flavor = "current_thread")]
#[expect(clippy::print_stdout, reason = "the tables are what this command is for")]
async fn main() -> Result<()> {
    let Flags { backends, tickets, blocks, calls, seconds, at_once } = Flags::parse();
    let size = Size { backends, tickets, blocks, calls };
    println!("{}", cost::script_times(size, at_once).await?);
    println!("{}", cost::full_load(size, seconds, at_once).await?);
    println!("{}", cost::memory(size).await?);
    Ok(())
}
