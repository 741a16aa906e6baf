//! The backend's command line. Values stay text here: [`Config`](super::Config) checks them all at once.

mod security;

pub use security::SecurityFlags;

use clap::{Args, Parser};

/// Runs one model and serves it in OpenAI's API, alone or behind tidegate-router.
#[derive(Debug, Clone, Parser)]
#[command(name = "tidegate-backend", version, max_term_width = 110)]
pub struct Flags {
    /// Which model, and how much of it at once.
    #[command(flatten)]
    pub model: ModelFlags,
    /// How it is reached.
    #[command(flatten)]
    pub server: ServerFlags,
    /// Who may come in.
    #[command(flatten)]
    pub security: SecurityFlags,
}

/// Flags that a router with an embedded backend has as well.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Model")]
pub struct ModelFlags {
    /// Folder of the model (config.json, tokenizer.json, safetensors), GGUF file, or name on the Hugging Face Hub:
    /// organisation/name or organisation/name@revision [default: the demo model that is compiled in]
    #[arg(long, env = "TIDEGATE_MODEL", value_name = "PATH|NAME")]
    pub model: Option<String>,
    /// Name that requests ask for [default: the folder's or the file's name, organisation/name, or tidegate-demo]
    #[arg(long, env = "TIDEGATE_MODEL_NAME", value_name = "NAME")]
    pub model_name: Option<String>,
    /// Where the model runs: auto, cpu, cuda:N or metal
    #[arg(long, env = "TIDEGATE_DEVICE", value_name = "DEVICE", default_value = "auto")]
    pub device: String,
    /// Precision of weights and cache: auto, f32, f16 or bf16
    #[arg(long, env = "TIDEGATE_DTYPE", value_name = "DTYPE", default_value = "auto")]
    pub dtype: String,
    /// What weights are kept as: auto (as they are in the file), q8_0, q4_k, or none (numbers, also from a quantised
    /// file)
    #[arg(long, env = "TIDEGATE_QUANTIZE", value_name = "TYPE", default_value = "auto")]
    pub quantize: String,
    /// Tokens that a request may have, prompt and answer together [default: what the model was made for]
    #[arg(long, env = "TIDEGATE_MAX_MODEL_LEN", value_name = "N", allow_negative_numbers = true)]
    pub max_model_len: Option<String>,
    /// Requests that run at once; a backend that is full answers 503 concurrency
    #[arg(
        long,
        env = "TIDEGATE_MAX_CONCURRENT_REQUESTS",
        value_name = "N",
        default_value = "3",
        allow_negative_numbers = true
    )]
    pub max_concurrent_requests: String,
    /// Memory for keys and values, such as 8GiB or 500MB [default: on a GPU 0.9 of what the weights leave; on the CPU full
    /// contexts for all requests, at most half of what is free]
    #[arg(long, env = "TIDEGATE_KV_CACHE_MEMORY", value_name = "BYTES", allow_negative_numbers = true)]
    pub kv_cache_memory: Option<String>,
    /// Tokens that one step computes: one for each running answer, the rest from prompts, which get at least 16 [default:
    /// 256 on the CPU, 4096 on a GPU]
    #[arg(long, env = "TIDEGATE_MAX_BATCH_TOKENS", value_name = "N", allow_negative_numbers = true)]
    pub max_batch_tokens: Option<String>,
    /// Seconds without a step after which a busy engine counts as broken: the backend turns unready and exits
    #[arg(
        long,
        env = "TIDEGATE_ENGINE_STALL_TIMEOUT",
        value_name = "SECONDS",
        default_value = "60",
        allow_negative_numbers = true
    )]
    pub engine_stall_timeout: String,
}

/// Flags of the backend as a server of its own.
#[derive(Debug, Clone, Args)]
pub struct ServerFlags {
    /// Address to listen on
    #[arg(
        long,
        env = "TIDEGATE_HOST",
        value_name = "ADDRESS",
        default_value = "127.0.0.1",
        help_heading = "Network"
    )]
    pub host: String,
    /// Port to listen on; 0 takes a free one
    #[arg(
        long,
        env = "TIDEGATE_PORT",
        value_name = "PORT",
        default_value = "8100",
        help_heading = "Network",
        allow_negative_numbers = true
    )]
    pub port: String,
    /// Seconds from a request's arrival to the last byte of its answer; what takes longer is stopped with 504
    #[arg(
        long,
        env = "TIDEGATE_REQUEST_TIMEOUT",
        value_name = "SECONDS",
        default_value = "60",
        help_heading = "Limits",
        allow_negative_numbers = true
    )]
    pub request_timeout: String,
    /// Seconds after which the count of given-up requests is set to what provably still runs
    #[arg(
        long,
        env = "TIDEGATE_RESET_INTERVAL",
        value_name = "SECONDS",
        default_value = "300",
        help_heading = "Limits",
        allow_negative_numbers = true
    )]
    pub reset_interval: String,
    /// Seconds that a stopping backend waits for what runs [default: the request timeout and 5 seconds]
    #[arg(
        long,
        env = "TIDEGATE_DRAIN_TIMEOUT",
        value_name = "SECONDS",
        help_heading = "Limits",
        allow_negative_numbers = true
    )]
    pub drain_timeout: Option<String>,
    /// Form of the log: auto (text on a terminal, JSON elsewhere), text or json
    #[arg(
        long,
        env = "TIDEGATE_LOG_FORMAT",
        value_name = "FORMAT",
        default_value = "auto",
        help_heading = "Telemetry"
    )]
    pub log_format: String,
    /// Redis in which routers find this backend, such as redis://host:6379, or rediss://user@host:6380 with TLS; a password
    /// belongs into --redis-password-file or this flag's variable [default: none, it does not register]
    #[arg(
        long,
        env = "TIDEGATE_REDIS_URL",
        value_name = "URL",
        help_heading = "Fleet",
        hide_env_values = true
    )]
    pub redis_url: Option<String>,
    /// Prefix of all keys in Redis; the same on all routers and backends of a fleet
    #[arg(
        long,
        env = "TIDEGATE_REDIS_PREFIX",
        value_name = "TEXT",
        default_value = "tidegate",
        help_heading = "Fleet"
    )]
    pub redis_prefix: String,
    /// URL under which routers reach this backend [default: its own address, or the one that faces Redis]
    #[arg(long, env = "TIDEGATE_ADVERTISE_URL", value_name = "URL", help_heading = "Fleet")]
    pub advertise_url: Option<String>,
}
