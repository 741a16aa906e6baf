//! `tidegate-router`: flags, telemetry, sockets, and then [`tidegate_router::run`]; or `tidegate-router top` or `keys`.

mod allocator;

use allocator::Allocator;
use clap::Parser;
use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use tidegate_memory as _;
use tidegate_router::config::{Config, Fleet};
use tidegate_router::flags::{Command, Flags};
use tidegate_router::run::{Listeners, run};
use tidegate_router::start::{self, Started};
use tidegate_router::{keys, top};
use tidegate_serve::causes::with_causes;
use tidegate_telemetry::LogOptions;
use tidegate_wire::flags::normalise_flags;

#[global_allocator]
static ALLOCATOR: Allocator = Allocator;

// For all but clients' requests: those have threads of their own.
#[tokio::main(worker_threads = 2)]
async fn main() -> ExitCode {
    let flags = Flags::parse_from(normalise_flags(std::env::args_os()));
    let ended = match &flags.command {
        Some(Command::Top(flags)) => top::run(flags).await,
        Some(Command::Keys(flags)) => keys::command::run(flags),
        None => serve(&flags).await,
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Standard error may be closed; there is nobody else to tell.
            let _ = writeln!(std::io::stderr(), "tidegate-router: {}", with_causes(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}

async fn serve(flags: &Flags) -> anyhow::Result<()> {
    let config = Config::check(flags)?;
    let telemetry = tidegate_telemetry::init(
        "tidegate-router",
        LogOptions { format: config.log_format, ..LogOptions::default() },
    )?;
    tidegate_serve::files::raise_limit();
    // A model in this process has use for large ones.
    if config.fleet != Fleet::Embedded {
        tidegate_serve::pages::prefer_small();
    }
    let shutdown = tidegate_serve::signal::shutdown_token()?;
    let listeners = Listeners {
        client: tidegate_serve::listen::bind(config.host, config.port, "port").await?,
        admin: tidegate_serve::listen::bind(config.admin_host, config.admin_port, "admin-port").await?,
    };
    let Started { local, banner } = start::prepare(flags, &config, &listeners)?;
    // Elsewhere the log has said it: what stands between its lines would be no JSON.
    if std::io::stdout().is_terminal() {
        std::io::stdout().write_all(banner.as_bytes())?;
    }
    let ended = run(config, local, listeners, shutdown).await;
    telemetry.shutdown();
    ended
}
