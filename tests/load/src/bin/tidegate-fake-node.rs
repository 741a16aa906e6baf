//! A fake backend as a process of its own, so that it can be killed.

use clap::Parser;
use std::io::{self, Write};
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tidegate_load::service;
use tidegate_sim::workload::Service;
use tidegate_tests::fake_node::{FakeNode, Plan, Setup};

/// A backend with fixed slots and service times from timers. Its answers repeat the last message of the request.
#[derive(Debug, Parser)]
struct Args {
    /// Port; 0 takes a free one.
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// Requests that it runs at once.
    #[arg(long, default_value_t = 8)]
    slots: u32,
    /// Service time: constant:SECONDS, exponential:MEAN, lognormal:MEAN:SIGMA or bimodal:SHORT:LONG:SHARE.
    #[arg(long, default_value = "constant:1", value_parser = service::parse)]
    service: Service,
    /// Seed of the service times. A prompt has the same one at every node with the same seed.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Takes any number of requests and runs them first in, first out, as servers without admission do.
    #[arg(long)]
    queue: bool,
    /// Does not report itself, as servers of another make.
    #[arg(long)]
    foreign: bool,
    /// Milliseconds from a hang-up to the free slot.
    #[arg(long, default_value_t = 0)]
    stop_ms: u64,
    /// Redis to register in.
    #[arg(long)]
    redis_url: Option<String>,
    /// Prefix of all keys in Redis.
    #[arg(long, default_value = "tidegate")]
    redis_prefix: String,
    /// File for a line at each beginning and end of a piece of work.
    #[arg(long)]
    diary: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> io::Result<()> {
    let args = Args::parse();
    let setup = Setup {
        own: !args.foreign,
        queues: args.queue,
        port: args.port,
        epoch: epoch(),
        stop_takes: Duration::from_millis(args.stop_ms),
        diary: args.diary,
        ..Setup::new(args.slots, Plan::Work(args.service, args.seed))
    };
    let node = FakeNode::start_with(setup).await;
    if let Some(redis_url) = &args.redis_url {
        node.register(redis_url, &args.redis_prefix).await;
    }
    writeln!(io::stdout(), "node {}", node.url)?;
    tokio::signal::ctrl_c().await
}

/// Names this life, a later one with a greater name: process ids come back, times do not.
#[expect(clippy::disallowed_methods, reason = "makes a name, and decides nothing")]
fn epoch() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    format!("{:020}-{}", now.as_micros(), std::process::id())
}
