//! One backend: a loaded model, the engine that steps it, its slots, and what it reports about itself.

mod supervisor;

pub use supervisor::Stalled;

use crate::{
    chat_template::ChatTemplate,
    config::Config,
    engine::{Engine, EngineError, EngineOptions},
    error::{ApiError, ErrorKind},
    grammar::Grammars,
    health::Outcomes,
    model::{
        self, AnyModel, DeviceKernels, EmbeddingInfo, LoadError, LoadOptions, LoadedEmbedder, LoadedModel,
        LoadedSerial, ModelInfo, Tokenizer, cache::BLOCK_TOKENS,
    },
    slots::Slots,
    text::Vocabulary,
};
use std::{
    hash::{DefaultHasher, Hash, Hasher},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, UNIX_EPOCH},
};
use tidegate_telemetry::metrics::{BackendMetrics, Served};
use tidegate_wire::{node::NodeReport, openai::MAX_SEQUENCES};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Tokens of a step on a CPU, where a long one keeps running answers waiting.
const CPU_BATCH_TOKENS: u32 = 256;
/// Tokens of a step on a GPU, which needs as many to be busy.
const GPU_BATCH_TOKENS: u32 = 4096;
/// Tokens of a forward pass of embeddings on a CPU: arithmetic is the bound long before, and a pass is not interrupted.
const CPU_EMBED_TOKENS: usize = 512;
/// The same on a GPU, which needs as many to be busy.
const GPU_EMBED_TOKENS: usize = 16_384;

/// A backend whose model is loaded and whose engine steps. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Backend {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    settings: Settings,
    engine: Engine,
    tokenizer: Arc<Tokenizer>,
    vocabulary: Arc<Vocabulary>,
    grammars: Grammars,
    chat_template: Option<ChatTemplate>,
    info: ModelInfo,
    slots: Slots,
    outcomes: Outcomes,
    metrics: BackendMetrics,
    /// Names this life of the backend, so that a router can tell a restart; a later life has a greater name.
    epoch: String,
    /// Unix seconds: when the model was loaded.
    created: u64,
    /// See [`Backend::fingerprint`].
    fingerprint: String,
    draining: watch::Sender<bool>,
    /// Set once the engine has made no step for too long; never cleared.
    stalled: AtomicBool,
    /// When the abandoned count is next reset, for `/health`.
    next_reset: watch::Sender<Option<tokio::time::Instant>>,
}

/// The part of [`Config`] that requests meet.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) model_name: String,
    pub(crate) request_timeout: Duration,
    pub(crate) reset_interval: Duration,
    pub(crate) engine_stall_timeout: Duration,
    pub(crate) body_limit: usize,
    pub(crate) keep_alive: Duration,
    pub(crate) access_log: bool,
}

/// Why a backend does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The model cannot be loaded.
    #[error("cannot load the model: {0}")]
    Model(#[from] LoadError),
    /// The engine cannot run it.
    #[error("cannot start the engine: {0}")]
    Engine(#[from] EngineError),
}

impl Backend {
    /// Loads the model and starts the engine. Blocking: seconds for a large model. Ends soon after `stop` is cancelled.
    ///
    /// # Errors
    /// Names the file and tensor of a model that cannot be used.
    pub fn load(config: &Config, stop: CancellationToken) -> Result<Self, StartError> {
        let Config { device, dtype, quantization, .. } = *config;
        let max_model_len = config.max_model_len.map(|tokens| tokens as usize);
        let kernels = DeviceKernels::Own;
        let options = LoadOptions { device, dtype, quantization, max_model_len, kernels, stop };
        let Started { engine, tokenizer, chat_template, info } = match model::open(&config.model, &options)? {
            AnyModel::Generator(model) => Started::generator(*model, config)?,
            AnyModel::Serial(model) => Started::serial(*model)?,
            AnyModel::Embedder(model) => Started::embedder(*model)?,
        };
        let vocabulary = Arc::new(Vocabulary::new(&tokenizer, info.vocab_size));
        let served = served(config, &engine);
        let inner = Inner {
            settings: Settings::of(config),
            engine,
            grammars: Grammars::new(Arc::clone(&vocabulary), info.eos_token_ids.clone()),
            vocabulary,
            tokenizer,
            chat_template,
            slots: Slots::new(config.max_concurrent_requests),
            outcomes: Outcomes::new(),
            metrics: BackendMetrics::new(&served),
            epoch: uuid::Uuid::now_v7().simple().to_string(),
            created: unix_seconds(),
            fingerprint: fingerprint(&config.model_name, &info),
            draining: watch::Sender::new(false),
            stalled: AtomicBool::new(false),
            next_reset: watch::Sender::new(None),
            info,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// What runs here.
    pub fn model_info(&self) -> &ModelInfo {
        &self.inner.info
    }

    /// Name that requests ask for.
    pub fn model_name(&self) -> &str {
        &self.inner.settings.model_name
    }

    /// The account of itself that `GET /node` gives.
    pub fn report(&self) -> NodeReport {
        let attempts = self.inner.slots.attempts();
        NodeReport {
            epoch: self.inner.epoch.clone(),
            models: vec![self.model_name().to_owned()],
            slots: self.inner.slots.capacity(),
            running: attempts.running,
            abandoned: attempts.abandoned,
            draining: self.is_draining(),
            ready: self.is_ready(),
        }
    }

    /// Takes no new work from now on; what runs goes on.
    pub fn begin_drain(&self) {
        self.inner.draining.send_replace(true);
    }

    /// Waits until nothing runs any more.
    pub async fn drained(&self) {
        self.inner.slots.emptied().await;
    }

    /// True once [`Backend::begin_drain`] was called.
    pub fn is_draining(&self) -> bool {
        *self.inner.draining.borrow()
    }

    /// True while the engine steps and new work is taken.
    pub fn is_ready(&self) -> bool {
        !self.is_stalled() && !self.is_draining()
    }

    /// True once the engine has made no step for too long.
    pub fn is_stalled(&self) -> bool {
        self.inner.stalled.load(Ordering::Relaxed)
    }

    /// Tells when draining begins.
    pub(crate) fn draining(&self) -> watch::Receiver<bool> {
        self.inner.draining.subscribe()
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.inner.settings
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.inner.engine
    }

    pub(crate) fn tokenizer(&self) -> &Arc<Tokenizer> {
        &self.inner.tokenizer
    }

    pub(crate) fn vocabulary(&self) -> &Arc<Vocabulary> {
        &self.inner.vocabulary
    }

    pub(crate) fn grammars(&self) -> &Grammars {
        &self.inner.grammars
    }

    pub(crate) fn chat_template(&self) -> Option<&ChatTemplate> {
        self.inner.chat_template.as_ref()
    }

    pub(crate) fn slots(&self) -> &Slots {
        &self.inner.slots
    }

    pub(crate) fn outcomes(&self) -> &Outcomes {
        &self.inner.outcomes
    }

    pub(crate) fn metrics(&self) -> &BackendMetrics {
        &self.inner.metrics
    }

    pub(crate) fn created(&self) -> u64 {
        self.inner.created
    }

    /// Changes when model, precision or code change: a `seed` repeats its answer only under the same fingerprint.
    pub(crate) fn fingerprint(&self) -> &str {
        &self.inner.fingerprint
    }

    /// Time until the abandoned count is next reset.
    pub(crate) fn until_reset(&self) -> Duration {
        let next = *self.inner.next_reset.borrow();
        next.map_or(self.settings().reset_interval, |next| {
            next.saturating_duration_since(tokio::time::Instant::now())
        })
    }

    /// Refuses any model but the one that runs here.
    pub(crate) fn expect_model(&self, asked: &str) -> Result<(), ApiError> {
        let served = self.model_name();
        if asked == served {
            return Ok(());
        }
        let message = format!("The model '{asked}' does not exist here; this backend serves '{served}'.");
        Err(ApiError::new(ErrorKind::ModelNotFound, message).with_param("model"))
    }

    /// Refuses to generate where the model makes embeddings.
    pub(crate) fn expect_generator(&self) -> Result<(), ApiError> {
        match self.inner.info.embedding {
            None => Ok(()),
            Some(_) => {
                Err(self.other_task("makes embeddings; it generates no text. /v1/embeddings takes its texts"))
            }
        }
    }

    /// What embeddings the model makes; refuses where it generates text.
    pub(crate) fn expect_embeddings(&self) -> Result<&EmbeddingInfo, ApiError> {
        let embedding = self.inner.info.embedding.as_ref();
        embedding.ok_or_else(|| self.other_task("generates text; it makes no embeddings"))
    }

    fn other_task(&self, does: &str) -> ApiError {
        let message = format!("The model '{}' {does}.", self.model_name());
        ApiError::new(ErrorKind::Invalid("unsupported_operation"), message).with_param("model")
    }
}

/// A model whose engine steps.
struct Started {
    engine: Engine,
    tokenizer: Arc<Tokenizer>,
    chat_template: Option<ChatTemplate>,
    info: ModelInfo,
}

impl Started {
    fn generator(model: LoadedModel, config: &Config) -> Result<Self, EngineError> {
        let LoadedModel { decoder, tokenizer, chat_template, info } = model;
        // A request with several answers is one slot, and still decodes them all together.
        let max_sequences = config.max_concurrent_requests.max(MAX_SEQUENCES) as usize;
        let engine = Engine::start(decoder, engine_options(config, &info, max_sequences))?;
        Ok(Self { engine, tokenizer, chat_template, info })
    }

    fn serial(model: LoadedSerial) -> Result<Self, EngineError> {
        let LoadedSerial { model, tokenizer, chat_template, info } = model;
        tracing::warn!(architecture = %info.architecture, "this model runs one sequence at a time");
        let engine = Engine::start_serial(model, EngineOptions::default())?;
        Ok(Self { engine, tokenizer, chat_template, info })
    }

    fn embedder(model: LoadedEmbedder) -> Result<Self, EngineError> {
        let LoadedEmbedder { embedder, tokenizer, info } = model;
        let tokens = if info.device == "cpu" { CPU_EMBED_TOKENS } else { GPU_EMBED_TOKENS };
        let engine = Engine::start_embedder(embedder, tokens)?;
        Ok(Self { engine, tokenizer, chat_template: None, info })
    }
}

/// What the metrics say of the model.
fn served(config: &Config, engine: &Engine) -> Served {
    Served {
        model_name: config.model_name.clone(),
        engine: engine.metrics().clone(),
        block_tokens: BLOCK_TOKENS as u64,
        blocks: engine.stats().cache_blocks_total as u64,
    }
}

fn engine_options(config: &Config, info: &ModelInfo, max_sequences: usize) -> EngineOptions {
    let default = if info.device == "cpu" { CPU_BATCH_TOKENS } else { GPU_BATCH_TOKENS };
    EngineOptions {
        max_sequences,
        max_batch_tokens: config.max_batch_tokens.unwrap_or(default) as usize,
        kv_cache_bytes: config.kv_cache_memory,
        ..EngineOptions::default()
    }
}

impl Settings {
    fn of(config: &Config) -> Self {
        Self {
            model_name: config.model_name.clone(),
            request_timeout: config.request_timeout,
            reset_interval: config.reset_interval,
            engine_stall_timeout: config.engine_stall_timeout,
            body_limit: config.body_limit,
            keep_alive: config.keep_alive,
            access_log: config.access_log,
        }
    }
}

/// The wall clock, for the `created` members of the API.
#[expect(
    clippy::disallowed_methods,
    reason = "the API tells people the time of day; nothing is decided by it"
)]
pub(crate) fn unix_seconds() -> u64 {
    std::time::SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

fn fingerprint(model_name: &str, info: &ModelInfo) -> String {
    let mut hasher = DefaultHasher::new();
    (model_name, &info.architecture, info.parameters, info.precision(), &info.device).hash(&mut hasher);
    env!("CARGO_PKG_VERSION").hash(&mut hasher);
    format!("fp_{:016x}", hasher.finish())
}
