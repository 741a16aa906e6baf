//! The backend's binary: flags to settings, then [`tidegate_backend::run`].

use anyhow::Context;
use clap::Parser;
use std::time::Duration;
use tidegate_backend::{Config, Flags, run, signal};
use tidegate_wire::flags::normalise_flags;
use tokio::{net::TcpListener, runtime};

/// Time that helper threads have to end; a model that is still being loaded does not keep the process.
const THREADS_END: Duration = Duration::from_secs(1);

fn main() -> anyhow::Result<()> {
    let flags = Flags::parse_from(normalise_flags(std::env::args_os()));
    let config = Config::from_flags(&flags)?;
    let runtime = runtime::Builder::new_multi_thread().enable_all().build().context("no runtime")?;
    let ended = runtime.block_on(serve(config));
    runtime.shutdown_timeout(THREADS_END);
    ended
}

async fn serve(config: Config) -> anyhow::Result<()> {
    let shutdown = signal::shutdown().context("no signal handlers")?;
    // Before the model is loaded: a port that is taken should not take a minute to show.
    let listener = TcpListener::bind((config.host.as_str(), config.port))
        .await
        .with_context(|| format!("cannot listen on {}:{}", config.host, config.port))?;
    run(config, listener, shutdown).await
}
