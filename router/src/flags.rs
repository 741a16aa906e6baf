//! The command line of `tidegate-router`: names, defaults, help. Values are text here; [`crate::config`] checks them.

mod proxy;
mod security;

pub use proxy::ProxyFlags;
pub use security::SecurityFlags;

use crate::keys::command::KeysFlags;
use crate::top::TopFlags;
use clap::{Parser, Subcommand};
use std::path::PathBuf;
use std::sync::LazyLock;
use tidegate_serve::version;

#[cfg(feature = "embedded")]
pub use tidegate_backend::ModelFlags;

/// The backend's flags in a build without the embedded backend: accepted, so that one set of arguments fits all
/// processes, and without effect.
#[cfg(not(feature = "embedded"))]
#[derive(Debug, Default, clap::Args)]
pub struct ModelFlags {
    /// Without effect in this build.
    #[arg(long, env = "TIDEGATE_MODEL", hide = true)]
    pub model: Option<String>,
    /// Without effect in this build.
    #[arg(long, env = "TIDEGATE_MODEL_NAME", hide = true)]
    pub model_name: Option<String>,
    /// Without effect in this build.
    #[arg(long, env = "TIDEGATE_MAX_CONCURRENT_REQUESTS", hide = true)]
    pub max_concurrent_requests: Option<String>,
    /// Without effect in this build.
    #[arg(long, env = "TIDEGATE_DEVICE", hide = true)]
    pub device: Option<String>,
    /// Without effect in this build.
    #[arg(long, env = "TIDEGATE_DTYPE", hide = true)]
    pub dtype: Option<String>,
    /// Without effect in this build.
    #[arg(long, env = "TIDEGATE_QUANTIZE", hide = true)]
    pub quantize: Option<String>,
    /// Without effect in this build.
    #[arg(long, env = "TIDEGATE_MAX_MODEL_LEN", hide = true)]
    pub max_model_len: Option<String>,
    /// Without effect in this build.
    #[arg(long, env = "TIDEGATE_KV_CACHE_MEMORY", hide = true)]
    pub kv_cache_memory: Option<String>,
    /// Without effect in this build.
    #[arg(long, env = "TIDEGATE_MAX_BATCH_TOKENS", hide = true)]
    pub max_batch_tokens: Option<String>,
    /// Without effect in this build.
    #[arg(long, env = "TIDEGATE_ENGINE_STALL_TIMEOUT", hide = true)]
    pub engine_stall_timeout: Option<String>,
}

/// What `--version` says.
static VERSION: LazyLock<String> =
    LazyLock::new(|| version::describe(&[("embedded", cfg!(feature = "embedded"))]));

/// What the program does instead of being a router.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Shows in a terminal what the fleet does now, as any router's admin port tells it.
    ///
    /// Keys: q, Esc or Ctrl-C quit; tab and arrows choose a pool; w changes how far back the last minutes go. Colours
    /// are left out where NO_COLOR is set.
    #[command(max_term_width = 110)]
    Top(TopFlags),
    /// Makes, lists and revokes API keys in the key file.
    #[command(max_term_width = 110)]
    Keys(KeysFlags),
}

/// Stateless router: the OpenAI API in front of a fleet, with one exact account of who runs and who waits.
///
/// With neither --redis-url nor --backend it runs embedded: ledger and a backend in this process, with the demo model
/// unless --model names another. Every flag can also be given as an environment variable, and with underscores instead
/// of hyphens.
#[derive(Debug, Parser)]
#[command(name = "tidegate-router", version, long_version = VERSION.as_str(), about, max_term_width = 110, allow_negative_numbers = true)]
#[command(args_conflicts_with_subcommands = true, disable_help_subcommand = true)]
pub struct Flags {
    /// Something else to do than to be a router.
    #[command(subcommand)]
    pub command: Option<Command>,

    /// Address to listen on for clients.
    #[arg(long, env = "TIDEGATE_HOST", default_value = "127.0.0.1", help_heading = "Listening")]
    pub host: String,
    /// Port for clients; 0 takes a free one.
    #[arg(long, env = "TIDEGATE_PORT", default_value = "8000", help_heading = "Listening")]
    pub port: String,
    /// Address to listen on for operators: /metrics, /fleet, /live, /livez, /readyz.
    #[arg(long, env = "TIDEGATE_ADMIN_HOST", default_value = "127.0.0.1", help_heading = "Listening")]
    pub admin_host: String,
    /// Port for operators; 0 takes a free one.
    #[arg(long, env = "TIDEGATE_ADMIN_PORT", default_value = "8001", help_heading = "Listening")]
    pub admin_port: String,
    /// Largest request body, in bytes.
    #[arg(long, env = "TIDEGATE_MAX_BODY_SIZE", default_value = "10485760", help_heading = "Listening")]
    pub max_body_size: String,
    /// Bytes that the bodies of all requests may take together, from the first byte to the head of the answer; a request that finds no room is refused.
    #[arg(long, env = "TIDEGATE_MAX_BODY_MEMORY", default_value = "1073741824", help_heading = "Listening")]
    pub max_body_memory: String,
    /// Threads that serve clients; each has connections to backends of its own [default: one for each core].
    #[arg(long, env = "TIDEGATE_WORKER_THREADS", help_heading = "Listening")]
    pub worker_threads: Option<String>,
    /// Seconds of silence in a stream after which a comment keeps it open.
    #[arg(long, env = "TIDEGATE_KEEP_ALIVE", default_value = "15", help_heading = "Listening")]
    pub keep_alive: String,
    /// Seconds that running requests get to end after SIGTERM or Ctrl-C; a second signal exits at once.
    #[arg(long, env = "TIDEGATE_DRAIN_TIMEOUT", default_value = "120", help_heading = "Listening")]
    pub drain_timeout: String,

    /// Seconds from a request's arrival to its last byte, waiting included; clients can shorten it with the header
    /// x-request-timeout-ms.
    #[arg(long, env = "TIDEGATE_REQUEST_TIMEOUT", default_value = "60", help_heading = "Admission")]
    pub request_timeout: String,
    /// Requests that may wait per model, over all routers.
    #[arg(long, env = "TIDEGATE_MAX_QUEUE_SIZE", default_value = "50", help_heading = "Admission")]
    pub max_queue_size: String,
    /// Share of the queue that normal priority may fill (low: half of it, high: all), 0 to 1.
    #[arg(
        long,
        env = "TIDEGATE_QUEUE_REJECTION_THRESHOLD",
        default_value = "0.8",
        help_heading = "Admission"
    )]
    pub queue_rejection_threshold: String,
    /// Share of the capacity (slots and queue) at which graduated rejection begins, 0 to 1.
    #[arg(
        long,
        env = "TIDEGATE_VLLM_REJECTION_THRESHOLD",
        default_value = "0.7",
        visible_alias = "rejection-start-threshold",
        help_heading = "Admission"
    )]
    pub vllm_rejection_threshold: String,
    /// Share of its time that a request may spend waiting before it is refused at the door, 0 to 1; 1 lifts the bound.
    #[arg(long, env = "TIDEGATE_WAIT_SHARE", default_value = "0.15", help_heading = "Admission")]
    pub wait_share: String,
    /// Seconds between two resets of the abandoned count to what provably still runs.
    #[arg(long, env = "TIDEGATE_RESET_INTERVAL", default_value = "300", help_heading = "Admission")]
    pub reset_interval: String,
    /// Seconds for which requests for a model whose last backend has gone wait for another one to come.
    #[arg(long, env = "TIDEGATE_POOL_MEMORY", default_value = "60", help_heading = "Admission")]
    pub pool_memory: String,
    /// Highest priority that a client may ask for: high, normal or low.
    #[arg(long, env = "TIDEGATE_MAX_CLIENT_PRIORITY", default_value = "high", help_heading = "Admission")]
    pub max_client_priority: String,
    /// File with the API keys that clients must show, one JSON object a line: `tidegate-router keys make` writes it. It is read
    /// again whenever it changes. Without it everybody may come in.
    #[arg(long, env = "TIDEGATE_API_KEYS_FILE", value_name = "PATH", help_heading = "Admission")]
    pub api_keys_file: Option<PathBuf>,
    /// HTTP status of a rejection: 429 or 503.
    #[arg(long, env = "TIDEGATE_OVERLOAD_STATUS", default_value = "429", help_heading = "Admission")]
    pub overload_status: String,

    /// Redis that all routers and backends share, such as redis://127.0.0.1:6379, or rediss://user@redis.example:6380 with TLS;
    /// a password belongs into --redis-password-file or this flag's variable. Without it the account is kept in this
    /// process and only --backend is served.
    #[arg(long, env = "TIDEGATE_REDIS_URL", help_heading = "Fleet", hide_env_values = true)]
    pub redis_url: Option<String>,
    /// Prefix of all keys in Redis: fleets with different prefixes do not see each other.
    #[arg(long, env = "TIDEGATE_REDIS_PREFIX", default_value = "tidegate", help_heading = "Fleet")]
    pub redis_prefix: String,
    /// Seconds that Redis gets to answer before this router goes on alone.
    #[arg(long, env = "TIDEGATE_REDIS_TIMEOUT", default_value = "0.05", help_heading = "Fleet")]
    pub redis_timeout: String,
    /// What a router does while Redis is out of reach: share (its share of the limits and slots), closed (admits nothing) or
    /// open (the full limits, as if it were alone).
    #[arg(long, env = "TIDEGATE_ON_REDIS_LOSS", default_value = "share", help_heading = "Fleet")]
    pub on_redis_loss: String,
    /// Model whose requests wait for a first backend, however long that takes; repeat it for several.
    #[arg(long, env = "TIDEGATE_POOL", value_delimiter = ',', help_heading = "Fleet")]
    pub pool: Vec<String>,
    /// Base URL of a backend, any server with the OpenAI API; repeat it for several.
    #[arg(long, env = "TIDEGATE_BACKEND", value_delimiter = ',', help_heading = "Fleet")]
    pub backend: Vec<String>,
    /// Name whose addresses are backends, as host:port; asked again each second. Repeat it for several.
    #[arg(long, env = "TIDEGATE_BACKEND_DNS", value_delimiter = ',', help_heading = "Fleet")]
    pub backend_dns: Vec<String>,
    /// TOML file that lists backends with their own slots, models, weights and keys; read again when it changes.
    #[arg(long, env = "TIDEGATE_BACKENDS_FILE", help_heading = "Fleet")]
    pub backends_file: Option<String>,
    /// Which backend a request would rather have: least-loaded, prefix (the one that knows the beginning of its prompt),
    /// round-robin or random. One without a free slot is never waited for.
    #[arg(long, env = "TIDEGATE_BALANCE", default_value = "least-loaded", help_heading = "Fleet")]
    pub balance: String,
    /// Header by which sessions are told: requests with the same value go to the same backend while it has a free slot.
    #[arg(long, env = "TIDEGATE_SESSION_HEADER", help_heading = "Fleet")]
    pub session_header: Option<String>,
    /// Slots of each --backend that does not report its own.
    #[arg(long, env = "TIDEGATE_BACKEND_SLOTS", default_value = "8", help_heading = "Fleet")]
    pub backend_slots: String,
    /// Seconds after which given-up work on a --backend that confirms nothing counts as stopped.
    #[arg(long, env = "TIDEGATE_ABANDON_GRACE", default_value = "2", help_heading = "Fleet")]
    pub abandon_grace: String,

    /// Form of the log: auto (text on a terminal, JSON elsewhere), text or json.
    #[arg(long, env = "TIDEGATE_LOG_FORMAT", default_value = "auto", help_heading = "Telemetry")]
    pub log_format: String,
    /// Writes prompts and answers into the log and into spans. Without it neither ever holds any of them.
    #[arg(long, env = "TIDEGATE_LOG_CONTENT", help_heading = "Telemetry")]
    pub log_content: bool,

    /// Who may come in.
    #[command(flatten)]
    pub security: SecurityFlags,
    /// Names, keys, timeouts, browsers, the end.
    #[command(flatten)]
    pub proxy: ProxyFlags,

    /// The embedded backend's own flags.
    #[command(flatten)]
    pub model: ModelFlags,
}

impl Flags {
    /// Whether no flag lists a backend.
    pub fn lists_no_backend(&self) -> bool {
        self.backend.is_empty() && self.backend_dns.is_empty() && self.backends_file.is_none()
    }
}
