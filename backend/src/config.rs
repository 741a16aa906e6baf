//! The backend's settings: flags and environment variables in, one checked [`Config`] out.

mod flags;
mod security;

pub use flags::{Flags, ModelFlags, SecurityFlags, ServerFlags};
pub use security::Security;

use crate::model::{DeviceChoice, ModelSource, Quantization};
use bytesize::ByteSize;
use candle_core::DType;
use std::{
    fmt,
    net::{IpAddr, Ipv4Addr},
    path::Path,
    time::Duration,
};
use tidegate_store::Address;
use tidegate_telemetry::LogFormat;
use tidegate_wire::flags::{BadFlags, FlagChecks};

/// Name under which the compiled-in model is served unless it is given another.
pub const DEMO_MODEL_NAME: &str = "tidegate-demo";
/// Bytes that a request's body may have.
pub const BODY_LIMIT: usize = 8 * 1024 * 1024;
/// Time after which a silent stream gets a comment.
pub const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// What a drain waits beyond the request timeout, by which every request has ended.
const DRAIN_MARGIN: Duration = Duration::from_secs(5);

/// Everything a backend needs to know, checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// Address to listen on.
    pub host: IpAddr,
    /// Port to listen on; 0 lets the system choose.
    pub port: u16,
    /// Where the model comes from.
    pub model: ModelSource,
    /// Name that requests ask for.
    pub model_name: String,
    /// Where the model runs.
    pub device: DeviceChoice,
    /// Precision of weights and cache; the device decides where none is given.
    pub dtype: Option<DType>,
    /// What weights are kept as; as they are in the file where nothing is given.
    pub quantization: Option<Quantization>,
    /// Tokens that a request may have, prompt and answer together; what the model was made for where nothing is given.
    pub max_model_len: Option<u32>,
    /// Slots.
    pub max_concurrent_requests: u32,
    /// Bytes for keys and values; the device decides where nothing is given.
    pub kv_cache_memory: Option<u64>,
    /// Tokens that one step computes; the device decides where nothing is given.
    pub max_batch_tokens: Option<u32>,
    /// Time from a request's arrival to the last byte of its answer.
    pub request_timeout: Duration,
    /// Time between two resets of the abandoned count.
    pub reset_interval: Duration,
    /// Time without a step after which a busy engine counts as broken.
    pub engine_stall_timeout: Duration,
    /// Time that a drain waits for what runs.
    pub drain_timeout: Duration,
    /// Who may come in.
    pub security: Security,
    /// Redis in which the backend registers itself, with the password and the certificates that stand in files.
    pub redis: Option<Address>,
    /// Prefix of all keys in Redis.
    pub redis_prefix: String,
    /// URL under which routers reach this backend; derived from the listening address where none is given.
    pub advertise_url: Option<String>,
    /// Bytes that a request's body may have.
    pub body_limit: usize,
    /// Time after which a silent stream gets a comment.
    pub keep_alive: Duration,
    /// Shape of log lines.
    pub log_format: LogFormat,
    /// Whether each finished request gets a log line; a router that embeds this backend writes them itself.
    pub access_log: bool,
}

impl Config {
    /// Checks all flags of the backend's own binary.
    ///
    /// # Errors
    /// Names every flag whose value cannot be used, with what it accepts.
    pub fn from_flags(flags: &Flags) -> Result<Self, BadFlags> {
        let mut checks = FlagChecks::new();
        let config = Self::read(flags, &mut checks);
        checks.finish().map(|()| config)
    }

    fn read(flags: &Flags, checks: &mut FlagChecks) -> Self {
        let server = &flags.server;
        let request_timeout = checks.seconds("request-timeout", &server.request_timeout, 0.1..=86_400.0);
        let reset_interval = checks.seconds("reset-interval", &server.reset_interval, 1.0..=86_400.0);
        let mut config = Self::embedded(&flags.model, request_timeout, reset_interval, checks);
        config.host = read_host(checks, &server.host);
        config.port = checks.whole("port", &server.port, 0..=u16::MAX);
        if let Some(text) = &server.drain_timeout {
            config.drain_timeout = checks.seconds("drain-timeout", text, 0.0..=86_400.0);
        }
        config.redis = given(server.redis_url.as_deref())
            .and_then(|url| security::redis_address(checks, url, &flags.security));
        config.security = Security::check(checks, &flags.security);
        config.log_format = server.log_format.parse().unwrap_or_else(|_: String| {
            checks.refuse("log-format", &server.log_format, "auto, text or json");
            LogFormat::default()
        });
        config.access_log = true;
        config.redis_prefix.clone_from(&server.redis_prefix);
        config.advertise_url =
            read_url(checks, "advertise-url", server.advertise_url.as_deref(), &["http", "https"]);
        config
    }

    /// The part that an embedding router needs: the model's flags, and the times that both sides share.
    pub fn embedded(
        flags: &ModelFlags,
        request_timeout: Duration,
        reset_interval: Duration,
        checks: &mut FlagChecks,
    ) -> Self {
        let (model, model_name) = read_model(checks, flags);
        Self {
            host: Ipv4Addr::LOCALHOST.into(),
            port: 0,
            model,
            model_name,
            device: read_device(checks, &flags.device),
            dtype: read_dtype(checks, &flags.dtype),
            quantization: read_quantization(checks, &flags.quantize),
            max_model_len: read_max_model_len(checks, flags),
            max_concurrent_requests: read_slots(checks, flags),
            kv_cache_memory: read_bytes(checks, "kv-cache-memory", flags.kv_cache_memory.as_deref()),
            max_batch_tokens: read_batch_tokens(checks, flags),
            request_timeout,
            reset_interval,
            engine_stall_timeout: checks.seconds(
                "engine-stall-timeout",
                &flags.engine_stall_timeout,
                1.0..=86_400.0,
            ),
            drain_timeout: request_timeout + DRAIN_MARGIN,
            security: Security::default(),
            redis: None,
            redis_prefix: String::new(),
            advertise_url: None,
            body_limit: BODY_LIMIT,
            keep_alive: KEEP_ALIVE,
            log_format: LogFormat::default(),
            access_log: false,
        }
    }
}

impl fmt::Display for Config {
    /// The values in force, on one line, as flags would give them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = |time: Duration| time.as_secs_f64();
        let model = match &self.model {
            ModelSource::Folder(path) | ModelSource::Gguf(path) => path.display().to_string(),
            ModelSource::Hub(model) => model.to_string(),
            #[cfg(feature = "demo-model")]
            ModelSource::Demo => "(demo)".to_owned(),
        };
        write!(f, "--model {model} --model-name {}", self.model_name)?;
        write!(f, " --max-concurrent-requests {}", self.max_concurrent_requests)?;
        if let Some(bytes) = self.kv_cache_memory {
            write!(f, " --kv-cache-memory {bytes}")?;
        }
        if let Some(tokens) = self.max_batch_tokens {
            write!(f, " --max-batch-tokens {tokens}")?;
        }
        write!(f, " --request-timeout {}", seconds(self.request_timeout))?;
        write!(f, " --reset-interval {}", seconds(self.reset_interval))?;
        write!(f, " --engine-stall-timeout {}", seconds(self.engine_stall_timeout))?;
        write!(f, " --drain-timeout {}", seconds(self.drain_timeout))?;
        let device = match self.device {
            DeviceChoice::Auto => "auto".to_owned(),
            DeviceChoice::Cpu => "cpu".to_owned(),
            DeviceChoice::Cuda(number) => format!("cuda:{number}"),
            DeviceChoice::Metal => "metal".to_owned(),
        };
        write!(f, " --device {device} --dtype {}", self.dtype.map_or("auto", |dtype| dtype.as_str()))?;
        let quantization = self.quantization.map_or_else(|| "auto".to_owned(), |kind| kind.to_string());
        write!(f, " --quantize {quantization}")?;
        match self.max_model_len {
            Some(tokens) => write!(f, " --max-model-len {tokens}"),
            None => Ok(()),
        }
    }
}

/// An empty variable counts as left out: compose files and charts write `TIDEGATE_MODEL=""`.
fn given(text: Option<&str>) -> Option<&str> {
    text.filter(|text| !text.is_empty())
}

fn read_model(checks: &mut FlagChecks, flags: &ModelFlags) -> (ModelSource, String) {
    let source = match given(flags.model.as_deref()) {
        Some(path) => ModelSource::at(Path::new(path)),
        None => default_model(checks),
    };
    let name = given(flags.model_name.as_deref()).map(str::to_owned).or_else(|| source.name());
    (source, name.unwrap_or_else(|| DEMO_MODEL_NAME.to_owned()))
}

#[cfg(feature = "demo-model")]
fn default_model(_checks: &mut FlagChecks) -> ModelSource {
    ModelSource::Demo
}

#[cfg(not(feature = "demo-model"))]
fn default_model(checks: &mut FlagChecks) -> ModelSource {
    checks.refuse("model", "", "a model's folder (this build has no demo model)");
    ModelSource::Folder(std::path::PathBuf::new())
}

fn read_host(checks: &mut FlagChecks, text: &str) -> IpAddr {
    let text = if text == "localhost" { "127.0.0.1" } else { text };
    text.parse().unwrap_or_else(|_| {
        checks.refuse("host", text, "an IP address such as 127.0.0.1, 0.0.0.0 or ::");
        Ipv4Addr::LOCALHOST.into()
    })
}

fn read_device(checks: &mut FlagChecks, text: &str) -> DeviceChoice {
    text.parse().unwrap_or_else(|_: String| {
        checks.refuse("device", text, "auto, cpu, cuda:N or metal");
        DeviceChoice::Auto
    })
}

fn read_dtype(checks: &mut FlagChecks, text: &str) -> Option<DType> {
    match text {
        "auto" => None,
        "f32" => Some(DType::F32),
        "f16" => Some(DType::F16),
        "bf16" => Some(DType::BF16),
        other => {
            checks.refuse("dtype", other, "auto, f32, f16 or bf16");
            None
        }
    }
}

fn read_quantization(checks: &mut FlagChecks, text: &str) -> Option<Quantization> {
    if text == "auto" {
        return None;
    }
    text.parse().map_err(|_: String| checks.refuse("quantize", text, "auto, none, q8_0 or q4_k")).ok()
}

fn read_max_model_len(checks: &mut FlagChecks, flags: &ModelFlags) -> Option<u32> {
    given(flags.max_model_len.as_deref()).map(|text| checks.whole("max-model-len", text, 1..=u32::MAX))
}

fn read_slots(checks: &mut FlagChecks, flags: &ModelFlags) -> u32 {
    checks.whole("max-concurrent-requests", &flags.max_concurrent_requests, 1..=4096)
}

fn read_batch_tokens(checks: &mut FlagChecks, flags: &ModelFlags) -> Option<u32> {
    let text = given(flags.max_batch_tokens.as_deref())?;
    Some(checks.whole("max-batch-tokens", text, 1..=1_048_576))
}

/// A number of bytes, with a unit or without: GB is 1000 MB, GiB is 1024 MiB.
fn read_bytes(checks: &mut FlagChecks, flag: &str, text: Option<&str>) -> Option<u64> {
    let text = given(text)?;
    let bytes = text.trim().parse::<ByteSize>().ok().map(|size| size.as_u64()).filter(|bytes| *bytes > 0);
    if bytes.is_none() {
        checks.refuse(flag, text, "a number of bytes above 0 such as 8GiB, 500MB or 1000000000");
    }
    bytes
}

fn read_url(checks: &mut FlagChecks, flag: &str, text: Option<&str>, schemes: &[&str]) -> Option<String> {
    let text = given(text)?;
    let known =
        text.split_once("://").is_some_and(|(scheme, rest)| schemes.contains(&scheme) && !rest.is_empty());
    if !known {
        // A URL may hold a password, so that no more of it is repeated than the part that is wrong.
        let scheme =
            text.split("://").next().filter(|_| text.contains("://")).unwrap_or("text without a scheme");
        checks.refuse(flag, scheme, format_args!("a URL that begins with {}://", schemes.join(":// or ")));
    }
    Some(text.trim_end_matches('/').to_owned())
}

#[cfg(test)]
mod tests;
