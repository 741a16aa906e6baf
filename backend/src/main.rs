//! `tidegate-backend`: flags, telemetry, a socket, and then [`tidegate_backend::run`].

use clap::Parser;
use std::{io::Write, process::ExitCode, time::Duration};
use tidegate_backend::{Config, Flags, run};
use tidegate_serve::causes::with_causes;
use tidegate_telemetry::LogOptions;
use tidegate_wire::flags::normalise_flags;
use tokio::runtime;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Time that helper threads have to end; a model that is still being loaded does not keep the process.
const THREADS_END: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    let flags = Flags::parse_from(normalise_flags(std::env::args_os()));
    match start(&flags) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Standard error may be closed; there is nobody else to tell.
            let _ = writeln!(std::io::stderr(), "tidegate-backend: {}", with_causes(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}

fn start(flags: &Flags) -> anyhow::Result<()> {
    let config = Config::from_flags(flags)?;
    let runtime = runtime::Builder::new_multi_thread().enable_all().build()?;
    let ended = runtime.block_on(serve(config));
    runtime.shutdown_timeout(THREADS_END);
    ended
}

async fn serve(config: Config) -> anyhow::Result<()> {
    let log = LogOptions { format: config.log_format, ..LogOptions::default() };
    let telemetry = tidegate_telemetry::init("tidegate-backend", log)?;
    let shutdown = tidegate_serve::signal::shutdown_token()?;
    // Before the model is loaded: a port that is taken should not take a minute to show.
    tidegate_serve::files::raise_limit();
    let listener = tidegate_serve::listen::bind(config.host, config.port, "port").await?;
    let ended = run(config, listener, shutdown.cancelled_owned()).await;
    telemetry.shutdown();
    ended
}
