//! The validated configuration: what flags and environment come to, checked all at once.

mod proxy;
mod security;

pub use proxy::{BackendPatience, Proxy};
pub use security::Security;

use crate::balance::Policy;
use crate::discovery::{base_url, dns, file::BackendsFile};
use crate::flags::Flags;
use crate::ledger::OnLoss;
use http::{HeaderName, StatusCode};
use std::fmt;
use std::net::IpAddr;
use std::num::NonZero;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;
use tidegate_admission::{Limits, Priority};
use tidegate_store::Address;
use tidegate_telemetry::LogFormat;
use tidegate_wire::flags::{BadFlags, FlagChecks};

/// Where the backends of this router come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fleet {
    /// One backend in this process, the ledger in memory.
    Embedded,
    /// The listed backends, the ledger in memory.
    Static,
    /// Backends that register themselves in Redis (and the listed ones), the ledger in Redis.
    Redis {
        /// `--redis-url`, with the password and the certificates that stand in files.
        address: Box<Address>,
        /// `--redis-prefix`.
        prefix: String,
    },
}

/// Everything that a router is started with.
#[derive(Debug, Clone)]
pub struct Config {
    /// Address for clients.
    pub host: IpAddr,
    /// Port for clients; 0 takes a free one.
    pub port: u16,
    /// Address for operators.
    pub admin_host: IpAddr,
    /// Port for operators; 0 takes a free one.
    pub admin_port: u16,
    /// Who may come in, and how both sides of a connection know each other.
    pub security: Security,
    /// Largest request body, in bytes.
    pub max_body_size: usize,
    /// What the bodies of all requests may take together, in bytes.
    pub max_body_memory: usize,
    /// Threads that serve clients.
    pub worker_threads: NonZero<usize>,
    /// Silence in a stream after which a comment is sent.
    pub keep_alive: Duration,
    /// Time that running requests get to end after a signal.
    pub drain_timeout: Duration,
    /// From a request's arrival to its last byte.
    pub request_timeout: Duration,
    /// The thresholds of admission.
    pub limits: Limits,
    /// Between two resets of the abandoned count.
    pub reset_interval: Duration,
    /// Highest priority that a client may ask for.
    pub max_client_priority: Priority,
    /// The file with the API keys; without one everybody may come in.
    pub api_keys_file: Option<PathBuf>,
    /// Status of a rejection.
    pub overload_status: StatusCode,
    /// Where backends come from.
    pub fleet: Fleet,
    /// Base URLs of `--backend`.
    pub backends: Vec<String>,
    /// `--backend-dns`: names whose addresses are backends, `host:port` each.
    pub backend_dns: Vec<String>,
    /// `--backends-file`.
    pub backends_file: Option<BackendsFile>,
    /// `--balance`.
    pub balance: Policy,
    /// `--session-header`.
    pub session_header: Option<HeaderName>,
    /// Slots of a `--backend` that does not report its own.
    pub backend_slots: u32,
    /// Time that Redis gets to answer before this router goes on alone.
    pub redis_timeout: Duration,
    /// What this router does while Redis is out of reach.
    pub on_redis_loss: OnLoss,
    /// Pools whose requests wait for a first backend.
    pub pools: Vec<String>,
    /// Time after which unconfirmed work on a foreign backend counts as stopped.
    pub abandon_grace: Duration,
    /// Form of the log.
    pub log_format: LogFormat,
    /// Whether prompts and answers are written into log and spans.
    pub log_content: bool,
    /// How it behaves towards backends and clients, beside admission.
    pub proxy: Proxy,
}

impl Config {
    /// Checks all flags; every bad one is in the error, with what it accepts.
    pub fn check(flags: &Flags) -> Result<Self, BadFlags> {
        let mut checks = FlagChecks::new();
        let admin_host = address(&mut checks, "admin-host", &flags.admin_host);
        let config = Self {
            security: Security::check(&mut checks, &flags.security, admin_host),
            host: address(&mut checks, "host", &flags.host),
            port: checks.whole("port", &flags.port, 0..=u16::MAX),
            admin_host,
            admin_port: checks.whole("admin-port", &flags.admin_port, 0..=u16::MAX),
            max_body_size: checks.whole("max-body-size", &flags.max_body_size, 1024..=1 << 30),
            max_body_memory: body_memory(&mut checks, flags),
            worker_threads: worker_threads(&mut checks, flags.worker_threads.as_deref()),
            keep_alive: checks.seconds("keep-alive", &flags.keep_alive, 0.1..=3600.0),
            drain_timeout: checks.seconds("drain-timeout", &flags.drain_timeout, 0.0..=86_400.0),
            request_timeout: checks.seconds("request-timeout", &flags.request_timeout, 0.1..=86_400.0),
            limits: limits(&mut checks, flags),
            reset_interval: checks.seconds("reset-interval", &flags.reset_interval, 1.0..=86_400.0),
            max_client_priority: priority(&mut checks, &flags.max_client_priority),
            api_keys_file: flags.api_keys_file.clone(),
            overload_status: overload_status(&mut checks, &flags.overload_status),
            fleet: fleet(&mut checks, flags),
            backends: flags.backend.iter().map(|url| backend(&mut checks, url)).collect(),
            backend_dns: flags.backend_dns.iter().map(|name| backend_dns(&mut checks, name)).collect(),
            backends_file: backends_file(&mut checks, flags),
            balance: balance(&mut checks, &flags.balance),
            session_header: session_header(&mut checks, flags.session_header.as_deref()),
            backend_slots: checks.whole("backend-slots", &flags.backend_slots, 1..=100_000),
            redis_timeout: checks.seconds("redis-timeout", &flags.redis_timeout, 0.005..=10.0),
            on_redis_loss: on_redis_loss(&mut checks, &flags.on_redis_loss),
            pools: flags.pool.clone(),
            abandon_grace: checks.seconds("abandon-grace", &flags.abandon_grace, 0.0..=3600.0),
            log_format: log_format(&mut checks, &flags.log_format),
            log_content: flags.log_content,
            proxy: Proxy::check(&mut checks, &flags.proxy),
        };
        checks.finish().map(|()| config)
    }
}

/// The values in force, on one line, named like their flags.
impl fmt::Display for Config {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "request_timeout={} reset_interval={} {}",
            self.request_timeout.as_secs_f64(),
            self.reset_interval.as_secs_f64(),
            self.limits
        )
    }
}

fn limits(checks: &mut FlagChecks, flags: &Flags) -> Limits {
    Limits {
        max_queue_size: checks.whole("max-queue-size", &flags.max_queue_size, 0..=1_000_000),
        queue_rejection_threshold: checks.decimal(
            "queue-rejection-threshold",
            &flags.queue_rejection_threshold,
            0.0..=1.0,
        ),
        rejection_start: checks.decimal(
            "vllm-rejection-threshold",
            &flags.vllm_rejection_threshold,
            0.0..=1.0,
        ),
        wait_share: checks.decimal("wait-share", &flags.wait_share, 0.0..=1.0),
        pool_memory: (checks.seconds("pool-memory", &flags.pool_memory, 0.0..=86_400.0).as_secs_f64() * 1e6)
            as u64,
    }
}

fn fleet(checks: &mut FlagChecks, flags: &Flags) -> Fleet {
    match &flags.redis_url {
        Some(url) => match security::redis_address(checks, url, &flags.security) {
            Some(address) => Fleet::Redis { address: Box::new(address), prefix: flags.redis_prefix.clone() },
            None => Fleet::Embedded,
        },
        None if flags.lists_no_backend() => Fleet::Embedded,
        None => Fleet::Static,
    }
}

fn address(checks: &mut FlagChecks, flag: &str, text: &str) -> IpAddr {
    let name = if text == "localhost" { "127.0.0.1" } else { text };
    name.parse().unwrap_or_else(|_| {
        checks.refuse(flag, text, "an IP address such as 127.0.0.1 or 0.0.0.0");
        IpAddr::from([127, 0, 0, 1])
    })
}

fn backend(checks: &mut FlagChecks, text: &str) -> String {
    base_url(text).unwrap_or_else(|| {
        checks.refuse(
            "backend",
            text,
            "a base URL such as http://127.0.0.1:8100 or https://backend.example:8100",
        );
        String::new()
    })
}

fn backend_dns(checks: &mut FlagChecks, text: &str) -> String {
    if !dns::is_name(text) {
        checks.refuse("backend-dns", text, "a name with a port, such as llm.default.svc:8000");
    }
    text.to_owned()
}

/// The file is read here for the first time, so that what is wrong with it is said with everything else.
fn backends_file(checks: &mut FlagChecks, flags: &Flags) -> Option<BackendsFile> {
    let path = flags.backends_file.as_ref()?;
    // A number of slots that is none is said beside this.
    let slots = flags.backend_slots.trim().parse().unwrap_or(1);
    BackendsFile::open(path.into(), slots, flags.proxy.backend_http2)
        .map_err(|error| {
            checks.refuse("backends-file", path, format_args!("a TOML list of backends ({error})"));
        })
        .ok()
}

fn body_memory(checks: &mut FlagChecks, flags: &Flags) -> usize {
    // A limit that is none is said beside this.
    let one = flags.max_body_size.trim().parse().unwrap_or(1024);
    checks.whole("max-body-memory", &flags.max_body_memory, one..=1 << 40)
}

fn worker_threads(checks: &mut FlagChecks, text: Option<&str>) -> NonZero<usize> {
    let threads = text.and_then(|text| NonZero::new(checks.whole("worker-threads", text, 1..=1024)));
    threads.or_else(|| thread::available_parallelism().ok()).unwrap_or(NonZero::<usize>::MIN)
}

fn balance(checks: &mut FlagChecks, text: &str) -> Policy {
    text.parse().unwrap_or_else(|()| {
        checks.refuse("balance", text, "least-loaded, prefix, round-robin or random");
        Policy::default()
    })
}

fn session_header(checks: &mut FlagChecks, text: Option<&str>) -> Option<HeaderName> {
    let text = text?;
    let name = text.parse().ok();
    if name.is_none() {
        checks.refuse("session-header", text, "the name of a header, such as x-session-id");
    }
    name
}

fn priority(checks: &mut FlagChecks, text: &str) -> Priority {
    match text {
        "high" => Priority::High,
        "normal" => Priority::Normal,
        "low" => Priority::Low,
        _ => {
            checks.refuse("max-client-priority", text, "high, normal or low");
            Priority::Normal
        }
    }
}

fn overload_status(checks: &mut FlagChecks, text: &str) -> StatusCode {
    match text {
        "429" => StatusCode::TOO_MANY_REQUESTS,
        "503" => StatusCode::SERVICE_UNAVAILABLE,
        _ => {
            checks.refuse("overload-status", text, "429 or 503");
            StatusCode::TOO_MANY_REQUESTS
        }
    }
}

fn on_redis_loss(checks: &mut FlagChecks, text: &str) -> OnLoss {
    match text {
        "share" => OnLoss::Share,
        "closed" => OnLoss::Closed,
        "open" => OnLoss::Open,
        _ => {
            checks.refuse("on-redis-loss", text, "share, closed or open");
            OnLoss::Share
        }
    }
}

fn log_format(checks: &mut FlagChecks, text: &str) -> LogFormat {
    text.parse().unwrap_or_else(|_| {
        checks.refuse("log-format", text, "auto, text or json");
        LogFormat::Auto
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    pub(super) fn check(args: &[&str]) -> Result<Config, BadFlags> {
        let args = std::iter::once("tidegate-router").chain(args.iter().copied()).map(Into::into);
        Config::check(&Flags::parse_from(tidegate_wire::flags::normalise_flags(args)))
    }

    #[test]
    fn the_seed_flags_have_their_defaults_and_both_spellings() {
        let config = check(&[]).unwrap();
        assert_eq!(config.limits, Limits::default());
        assert_eq!((config.request_timeout.as_secs(), config.reset_interval.as_secs()), (60, 300));
        let config = check(&[
            "--request_timeout",
            "90",
            "--max_queue_size=200",
            "--queue-rejection-threshold",
            "0.9",
            "--reset_interval",
            "600",
            "--vllm_rejection_threshold",
            "0.8",
        ])
        .unwrap();
        assert_eq!(
            config.to_string(),
            "request_timeout=90 reset_interval=600 max_queue_size=200 queue_rejection_threshold=0.9 vllm_rejection_threshold=0.8 wait_share=0.15 pool_memory=60"
        );
        assert_eq!(check(&["--rejection-start-threshold", "0.5"]).unwrap().limits.rejection_start, 0.5);
    }

    #[test]
    fn all_bad_flags_are_reported_at_once() {
        let error = check(&[
            "--max-queue-size",
            "-1",
            "--wait-share=2",
            "--port",
            "tcp://10.0.0.1:8000",
            "--backend",
            "ftp://x",
            "--backend-dns=http://llm",
            "--backends-file=/no/such/file",
            "--balance=best",
            "--session-header=a b",
        ]);
        let bad = error.unwrap_err().bad;
        assert_eq!(bad.len(), 8, "{bad:?}");
        assert!(bad.iter().any(|line| line.contains("/no/such/file: No such file")), "{bad:?}");
    }

    #[test]
    fn the_fleet_follows_from_the_flags() {
        assert_eq!(check(&[]).unwrap().fleet, Fleet::Embedded);
        let listed =
            check(&["--backend", "http://127.0.0.1:9/v1", "--backend", "http://127.0.0.1:10/"]).unwrap();
        assert_eq!(listed.fleet, Fleet::Static);
        assert_eq!(check(&["--backend-dns", "llm.svc:8000"]).unwrap().fleet, Fleet::Static);
        assert_eq!(listed.backends, ["http://127.0.0.1:9", "http://127.0.0.1:10"]);
        let shared = check(&["--redis-url", "redis://127.0.0.1:6379"]).unwrap();
        assert!(matches!(shared.fleet, Fleet::Redis { .. }));
    }
}
