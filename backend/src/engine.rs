//! The engine: one thread that steps one model, and a handle to it for everybody else.
//!
//! Every step decodes one token for each running sequence and prefills a bounded chunk of the prompts that
//! wait, in a single packed forward pass. Sequences join and leave between steps. Their keys and values lie in blocks;
//! a prompt that begins like one before it takes over that one's blocks instead of computing them again.
//!
//! Reading order: [`request`] (what is asked), [`stream`] (what comes back), `sequence` (one request at work),
//! `step_loop` (the thread), `scheduler` (who runs, and what the next step computes), `forward` (the model as the loop
//! sees it), `sampler` (logits to a token), `blocks` and `table` (who holds which block of the cache), `budget` (how
//! many there are), [`stats`], `timeline` and `told` (what can be seen from outside, of all and of one). [`embedding`] is the other kind of engine, for models that make embeddings.

mod blocks;
mod budget;
pub mod embedding;
mod forward;
pub mod request;
mod sampler;
mod scheduler;
mod sequence;
pub mod stats;
mod step_loop;
pub mod stream;
mod table;
mod timeline;
mod told;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use crate::model::cache::BLOCK_TOKENS;
use crate::model::{Decoder, Embedder, SerialModel};
use blocks::BlockPool;
use embedding::{EmbedLoop, Job};
pub use embedding::{EmbedRequest, Embedded, Embeddings};
use forward::{CachedDecoder, Forward};
pub use request::{EngineError, GenerateRequest, Priority, Room, Sampling, Service};
#[cfg(test)]
pub(crate) use sampler::tests::choose_on_host;
use scheduler::Scheduler;
use sequence::Sequence;
pub use stats::EngineStats;
use stats::{Counters, Unfinished};
use step_loop::StepLoop;
pub use stream::{EngineEvent, FinishReason, ScoredToken, TokenStream};
use tidegate_telemetry::metrics::EngineMetrics;
pub(crate) use told::Told;

/// How much the engine does at once.
#[derive(Clone, Copy, Debug)]
pub struct EngineOptions {
    /// Sequences that decode together; more wait in the engine, by priority, then first come, first served.
    pub max_sequences: usize,
    /// Tokens computed in one step, decodes first, the rest for prefill: a running stream never waits longer
    /// than one step of this size.
    pub max_batch_tokens: usize,
    /// Bytes for keys and values. `None`: on a GPU 0.9 of what the weights have left there; on the CPU what
    /// `max_sequences` full contexts need, but at most half of the memory that is free at start.
    pub kv_cache_bytes: Option<u64>,
    /// Whether a prompt takes over the blocks of those that began like it.
    pub prefix_cache: bool,
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self { max_sequences: 8, max_batch_tokens: 256, kv_cache_bytes: None, prefix_cache: true }
    }
}

/// Handle to a running engine. Cheap to clone; the thread ends when the last handle is dropped and the last
/// sequence has left.
#[derive(Clone, Debug)]
pub struct Engine {
    arrivals: Arrivals,
    counters: Arc<Counters>,
    context_length: usize,
    /// What the model itself was made for.
    model_context: usize,
    vocab_size: usize,
}

/// The way into the engine's thread.
#[derive(Clone, Debug)]
enum Arrivals {
    Generate(Sender<Sequence>),
    Embed(Sender<Job>),
}

impl Engine {
    /// Reserves the cache and starts the step loop on its own thread.
    ///
    /// # Errors
    /// When the cache does not fit or the thread cannot be started.
    pub fn start(decoder: Decoder, options: EngineOptions) -> Result<Self, EngineError> {
        let blocks = budget::cache_blocks(&decoder, &options)?;
        let (context, tokens) = (decoder.config().context_length, blocks * BLOCK_TOKENS);
        tracing::info!(blocks, tokens, bytes = blocks * decoder.block_bytes(), "key/value cache");
        if tokens < context {
            tracing::warn!(
                tokens,
                context,
                "the key/value cache is smaller than the model's context, and bounds it"
            );
        }
        let model = CachedDecoder::new(decoder, blocks).map_err(EngineError::Cache)?;
        Self::start_model(Box::new(model), &options, blocks, context)
    }

    /// Starts the step loop of a model that runs one sequence at a time: the others wait for its end.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn start_serial(model: SerialModel, options: EngineOptions) -> Result<Self, EngineError> {
        let context_length = model.context_length();
        // The cache is the model's own: these blocks only count, and nobody takes over another one's.
        let blocks = context_length.div_ceil(BLOCK_TOKENS);
        let options = EngineOptions { max_sequences: 1, prefix_cache: false, ..options };
        Self::start_model(Box::new(model), &options, blocks, context_length)
    }

    fn start_model(
        model: Box<dyn Forward>,
        options: &EngineOptions,
        blocks: usize,
        model_context: usize,
    ) -> Result<Self, EngineError> {
        if options.max_sequences == 0 || options.max_batch_tokens == 0 {
            return Err(EngineError::Options("max_sequences and max_batch_tokens must be at least 1".into()));
        }
        let counters = Arc::new(Counters::new(blocks));
        let (vocab_size, context_length) = (model.vocab_size(), model_context.min(blocks * BLOCK_TOKENS));
        let pool = BlockPool::new(blocks, options.prefix_cache);
        let scheduler = Scheduler::new(pool, options.max_sequences, options.max_batch_tokens);
        let step_loop = StepLoop { model, scheduler, counters: Arc::clone(&counters) };
        let (arrivals, receiver) = arrivals();
        let thread = std::thread::Builder::new().name("engine".into());
        thread.spawn(move || step_loop.run(&receiver)).map_err(EngineError::Thread)?;
        Ok(Self {
            arrivals: Arrivals::Generate(arrivals),
            counters,
            context_length,
            model_context,
            vocab_size,
        })
    }

    /// Starts the loop of a model that makes embeddings on its own thread; a step takes `max_batch_tokens`.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn start_embedder(model: Embedder, max_batch_tokens: usize) -> Result<Self, EngineError> {
        let counters = Arc::new(Counters::new(0));
        let (context_length, vocab_size) = (model.max_tokens(), model.vocab_size());
        let jobs = VecDeque::new();
        let embed_loop = EmbedLoop { model, max_batch_tokens, jobs, counters: Arc::clone(&counters) };
        let (arrivals, receiver) = arrivals();
        let thread = std::thread::Builder::new().name("engine".into());
        thread.spawn(move || embed_loop.run(&receiver)).map_err(EngineError::Thread)?;
        Ok(Self {
            arrivals: Arrivals::Embed(arrivals),
            counters,
            context_length,
            model_context: context_length,
            vocab_size,
        })
    }

    /// Hands texts to the engine; their embeddings come together.
    ///
    /// # Errors
    /// When a text is empty, too long or holds an unknown token, when the model makes no embeddings, or when the engine
    /// has stopped.
    pub fn embed(&self, request: EmbedRequest) -> Result<Embeddings, EngineError> {
        let Arrivals::Embed(arrivals) = &self.arrivals else {
            return Err(EngineError::OtherTask("generates text and makes no embeddings"));
        };
        for (index, text) in request.texts.iter().enumerate() {
            let (tokens, max) = (text.len(), self.context_length);
            match tokens {
                0 => return Err(EngineError::EmptyPrompt),
                _ if tokens > max => return Err(EngineError::TextTooLong { index, tokens, max }),
                _ => self.check_tokens("input", text.iter())?,
            }
        }
        let (job, embeddings) = Job::new(request, Unfinished::new(&self.counters));
        arrivals.send(job).map_err(|_| EngineError::Stopped)?;
        Ok(embeddings)
    }

    /// Hands a request to the engine; tokens arrive on the stream that is returned.
    ///
    /// `max_tokens` is cut to what the context leaves after the prompt.
    ///
    /// # Errors
    /// When the prompt is empty, leaves no room in the context or holds an unknown token, when a sampling
    /// parameter is out of range, or when the engine has stopped.
    pub fn generate(&self, request: GenerateRequest) -> Result<TokenStream, EngineError> {
        let Arrivals::Generate(arrivals) = &self.arrivals else {
            return Err(EngineError::OtherTask("makes embeddings and generates no text"));
        };
        self.check(&request)?;
        let limit = request.prompt.len().saturating_add(request.max_tokens).min(self.context_length);
        // Room for every event that can come, so that the engine never waits for a reader.
        let (events, stream) = tokio::sync::mpsc::channel(limit - request.prompt.len() + 1);
        let told = Arc::<Told>::default();
        let unfinished = Unfinished::new(&self.counters);
        let sequence = Sequence::new(request, limit, events, Arc::clone(&told), unfinished);
        arrivals.send(sequence).map_err(|_| EngineError::Stopped)?;
        Ok(TokenStream::new(stream, told))
    }

    fn check(&self, request: &GenerateRequest) -> Result<(), EngineError> {
        request.sampling.check()?;
        let (prompt, context) = (request.prompt.len(), self.context_length);
        if prompt == 0 {
            return Err(EngineError::EmptyPrompt);
        }
        if request.max_tokens == 0 {
            return Err(EngineError::NoTokensWanted);
        }
        if prompt >= context {
            return Err(EngineError::PromptTooLong { prompt, room: self.room() });
        }
        self.check_tokens("prompt", request.prompt.iter())?;
        self.check_tokens("logit_bias", request.sampling.logit_bias.iter().map(|(token, _)| token))
    }

    fn check_tokens<'a>(
        &self,
        parameter: &'static str,
        mut tokens: impl Iterator<Item = &'a u32>,
    ) -> Result<(), EngineError> {
        match tokens.find(|token| **token as usize >= self.vocab_size) {
            Some(token) => {
                Err(EngineError::UnknownToken { parameter, token: *token, vocabulary: self.vocab_size })
            }
            None => Ok(()),
        }
    }

    /// The tokens that prompt and answer may have together: the model's context, or less where the cache is
    /// smaller than one context.
    #[must_use]
    pub fn context_length(&self) -> usize {
        self.context_length
    }

    /// What sets [`context_length`](Self::context_length), in words for people.
    #[must_use]
    pub fn room(&self) -> Room {
        if self.context_length < self.model_context {
            Room::Cache(self.context_length)
        } else {
            Room::Context(self.context_length)
        }
    }

    /// Times and sizes of steps, and what sequences go through.
    #[must_use]
    pub fn metrics(&self) -> &EngineMetrics {
        &self.counters.metrics
    }

    /// Counts since the start, and what runs now.
    #[must_use]
    pub fn stats(&self) -> EngineStats {
        self.counters.read()
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "each entry is a request that holds a slot of the backend: these bound it"
)]
fn arrivals<T>() -> (Sender<T>, Receiver<T>) {
    channel()
}

#[cfg(test)]
mod tests;
