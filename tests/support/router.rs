//! A real router in this process, on ports of its own.

use crate::client::Client;
use crate::wait;
use clap::Parser;
use serde_json::Value;
use tidegate_router::config::Config;
use tidegate_router::embedded::Embedded;
use tidegate_router::flags::Flags;
use tidegate_router::run::{Listeners, run};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// A running router.
#[derive(Debug)]
pub struct TestRouter {
    /// For clients.
    pub client: Client,
    /// For operators.
    pub admin: Client,
    /// Base URL for clients.
    pub base: String,
    /// Base URL for operators.
    pub admin_base: String,
    shutdown: CancellationToken,
    task: JoinHandle<anyhow::Result<()>>,
}

impl TestRouter {
    /// Starts a router with these flags, which must name its backends (`--backend` or `--redis-url`).
    pub async fn start(flags: &[&str]) -> Self {
        Self::assemble(flags, false).await
    }

    /// Starts a router with a backend of the demo model in the same process.
    pub async fn start_embedded(flags: &[&str]) -> Self {
        Self::assemble(flags, true).await
    }

    async fn assemble(flags: &[&str], embedded: bool) -> Self {
        let flags = Flags::parse_from(std::iter::once("tidegate-router").chain(flags.iter().copied()));
        let config = Config::check(&flags).unwrap();
        let listeners = Listeners {
            client: TcpListener::bind("127.0.0.1:0").await.unwrap(),
            admin: TcpListener::bind("127.0.0.1:0").await.unwrap(),
        };
        let scheme = if config.security.tls.is_some() { "https" } else { "http" };
        let base = format!("{scheme}://{}", listeners.client.local_addr().unwrap());
        let admin_base = format!("http://{}", listeners.admin.local_addr().unwrap());
        let shutdown = CancellationToken::new();
        let local = embedded.then(|| Embedded::load(&flags.model, &config).unwrap().into_local());
        let task = tokio::spawn(run(config, local, listeners, shutdown.clone()));
        let (client, admin) = (Client::new(&base), Client::new(&admin_base));
        Self { client, admin, base, admin_base, shutdown, task }
    }

    /// Waits until the router knows a live backend.
    pub async fn with_backends(self, count: usize) -> Self {
        wait::until("the router knows its backends", || async {
            let fleet = self.fleet().await;
            let live = fleet["pools"].as_array()?.iter().flat_map(|pool| pool["backends"].as_array());
            let live = live.flatten().filter(|backend| backend["state"] == "live").count();
            (live == count).then_some(())
        })
        .await;
        self
    }

    /// `GET /fleet`.
    pub async fn fleet(&self) -> Value {
        self.admin.get("/fleet").await.json()
    }

    /// One number of the first pool in `/fleet`.
    pub async fn count(&self, field: &str) -> u64 {
        self.fleet().await["pools"][0][field].as_u64().unwrap_or_default()
    }

    /// Waits until the first pool's numbers are as given.
    pub async fn until_counts(&self, expected: &[(&str, u64)]) {
        wait::until(&format!("/fleet shows {expected:?}"), || async {
            let fleet = self.fleet().await;
            let pool = &fleet["pools"][0];
            expected.iter().all(|(field, count)| pool[*field] == *count).then_some(())
        })
        .await;
    }

    /// Asks for a drain, as SIGTERM does.
    pub fn begin_drain(&self) {
        self.shutdown.cancel();
    }

    /// Waits for the end of a drain.
    pub async fn ended(self) -> anyhow::Result<()> {
        self.task.await.unwrap()
    }
}
