//! The backend and the clients between which `tests/load/peers/compare.py` puts one proxy after the other.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use serde::Serialize;
use tidegate_load::peers::client::Target;
use tidegate_load::peers::{mock, requests, streams};
use tokio::net::TcpListener;

/// One side of a proxy. What was measured is one line of JSON.
#[derive(Debug, Parser)]
struct Flags {
    #[command(subcommand)]
    part: Part,
}

#[derive(Debug, Subcommand)]
enum Part {
    /// The backend.
    Mock {
        /// Port; 0 takes a free one. The address is the first line that is printed.
        #[arg(long, default_value_t = 0)]
        port: u16,
    },
    /// Whole answers, as many as go.
    Requests(Clients),
    /// Whole answers, so many a second.
    Paced {
        #[command(flatten)]
        clients: Clients,
        /// Requests a second.
        #[arg(long, default_value_t = 200.0)]
        rate: f64,
    },
    /// Answers in chunks.
    Streams(Clients),
    /// Slow streams that stay open until standard input ends.
    Open(Clients),
    /// Leaving in the middle of an answer, and before one.
    Hangup {
        #[command(flatten)]
        clients: Clients,
        /// The backend itself, which knows when it was left.
        #[arg(long)]
        mock: SocketAddr,
    },
}

#[derive(Debug, Args)]
struct Clients {
    /// The proxy.
    #[arg(long)]
    address: SocketAddr,
    /// The model's name there.
    #[arg(long, default_value = "mock")]
    model: String,
    /// The key that the proxy wants.
    #[arg(long, default_value = "none")]
    token: String,
    /// Connections at once.
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// Seconds.
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
}

impl Clients {
    fn target(&self) -> Target {
        Target { address: self.address, model: self.model.clone(), token: self.token.clone() }
    }

    fn time(&self) -> Duration {
        Duration::from_secs_f64(self.seconds)
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    // Each connection is a file.
    tidegate_serve::files::raise_limit();
    match Flags::parse().part {
        Part::Mock { port } => {
            let listener = TcpListener::bind(("127.0.0.1", port)).await?;
            writeln!(io::stdout(), "{}", listener.local_addr()?)?;
            Ok(mock::serve(listener).await?)
        }
        Part::Requests(clients) => {
            say(&requests::full(&clients.target(), clients.connections, clients.time()).await?)
        }
        Part::Paced { clients, rate } => {
            say(&requests::paced(&clients.target(), rate, clients.connections, clients.time()).await?)
        }
        Part::Streams(clients) => {
            say(&streams::many(&clients.target(), clients.connections, clients.time()).await?)
        }
        Part::Open(clients) => streams::open(&clients.target(), clients.connections).await,
        Part::Hangup { clients, mock } => say(&streams::hangup(&clients.target(), mock).await?),
    }
}

fn say(figures: &impl Serialize) -> anyhow::Result<()> {
    Ok(writeln!(io::stdout(), "{}", serde_json::to_string(figures)?)?)
}
