//! One router of a comparison: how it traces, and what it has used.

use std::fs;
use tidegate_tests::client::Client;
use tidegate_tests::collector::{Collector, Manner};
use tidegate_tests::process::Process;
use tidegate_tests::redis::free_port;
use tidegate_tests::wait;

/// How a router of the comparison traces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tracing {
    /// No collector is named.
    Off,
    /// One request in a hundred.
    Hundredth,
    /// Every request.
    Every,
    /// Every request, to an address at which nobody listens.
    Away,
    /// Every request, to a collector that never answers.
    Silent,
    /// Every request, to a collector that answers 503.
    Refusing,
}

/// All of them; the first is what the others are compared with.
pub const ALL: [Tracing; 6] =
    [Tracing::Off, Tracing::Hundredth, Tracing::Every, Tracing::Away, Tracing::Silent, Tracing::Refusing];

impl Tracing {
    /// Its name in the table.
    pub fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Hundredth => "1 % of the requests",
            Self::Every => "every request",
            Self::Away => "every request, collector away",
            Self::Silent => "every request, collector silent",
            Self::Refusing => "every request, collector answers 503",
        }
    }

    /// By how much more CPU time than [`Tracing::Off`] it may use; none where only the latency counts.
    pub fn bar(self) -> Option<f64> {
        match self {
            Self::Hundredth => Some(0.10),
            Self::Every => Some(0.40),
            _ => None,
        }
    }

    async fn collector(self) -> Option<Collector> {
        match self {
            Self::Off | Self::Away => None,
            Self::Hundredth | Self::Every => Some(Collector::with(Manner::Count, None).await),
            Self::Silent => Some(Collector::with(Manner::Silent, None).await),
            Self::Refusing => Some(Collector::with(Manner::Unavailable, None).await),
        }
    }

    fn variables(self, collector: Option<&Collector>) -> Vec<(String, String)> {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let nobody = format!("http://127.0.0.1:{}", free_port());
        let endpoint = collector.map_or(nobody.as_str(), |collector| &collector.url);
        let share = if self == Self::Hundredth { "0.01" } else { "1" };
        match self {
            Self::Off => Vec::new(),
            _ => vec![
                pair("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint),
                pair("OTEL_TRACES_SAMPLER", "parentbased_traceidratio"),
                pair("OTEL_TRACES_SAMPLER_ARG", share),
                // So that the sending falls into the turn of which it is.
                pair("OTEL_BSP_SCHEDULE_DELAY", "100"),
            ],
        }
    }
}

/// A running router.
#[derive(Debug)]
pub struct Variant {
    /// How it traces.
    pub tracing: Tracing,
    /// For requests.
    pub client: Client,
    process: Process,
    collector: Option<Collector>,
}

impl Variant {
    /// Starts one in front of `node`, and waits until it knows it.
    pub async fn start(tracing: Tracing, node: &str) -> Self {
        let collector = tracing.collector().await;
        let flags = ["--port", "0", "--admin-port", "0", "--backend", node];
        let process = Process::start_with("tidegate-router", &flags, &tracing.variables(collector.as_ref()));
        let (client, admin) = (process.clients().await, Client::new(&process.operators().await));
        wait::until("the router knows the node", || async {
            let fleet = admin.get("/fleet").await.json();
            (fleet["pools"][0]["backends"][0]["state"] == "live").then_some(())
        })
        .await;
        Self { tracing, client: Client::new(&client), process, collector }
    }

    /// Microseconds of CPU that its threads have used so far (`schedstat` of each, proc(5): nanoseconds).
    ///
    /// # Errors
    /// If the system does not tell.
    pub fn cpu(&self) -> anyhow::Result<f64> {
        let mut nanoseconds = 0.0;
        for task in fs::read_dir(format!("/proc/{}/task", self.process.id()))? {
            let stat = fs::read_to_string(task?.path().join("schedstat"))?;
            nanoseconds += stat.split(' ').next().unwrap_or_default().parse::<f64>()?;
        }
        Ok(nanoseconds / 1e3)
    }

    /// MiB of memory that it holds (`VmRSS` of `status`, proc(5)).
    ///
    /// # Errors
    /// If the system does not tell.
    pub fn memory(&self) -> anyhow::Result<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
        Ok(line.trim().trim_end_matches(" kB").parse::<f64>()? / 1024.0)
    }

    /// Spans that its collector has taken.
    pub fn spans(&self) -> u64 {
        self.collector.as_ref().map_or(0, Collector::counted)
    }
}
