//! What a backend counts.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

use super::bucket::Traced;
use super::engine::EngineMetrics;
use super::exemplar::TraceLabel;
use super::gen_ai::GenAiMetrics;
use super::label::{Build, Cache, Departure, Finish, Status};
use super::process::Process;
use super::{bucket, encode, name};

/// A backend's registry. What is said of the model carries the model's name, as vLLM labels. Made once, shared by reference or in
/// an `Arc`.
#[derive(Debug)]
pub struct BackendMetrics {
    /// Everything about the model, with its name on it.
    registry: Registry,
    /// Everything about the process.
    process: Registry,
    engine: EngineGauges,
    gen_ai: GenAiMetrics,
    requests: Family<Status, Counter>,
    successes: Family<Finish, Counter>,
    concurrency_refusals: Counter,
    latency: Traced,
    first_token: Traced,
    per_token: Traced,
    prompt_tokens: Histogram,
    generation_tokens: Histogram,
}

/// What the engine says of itself, taken over at each scrape.
#[derive(Debug, Default)]
struct EngineGauges {
    running: Gauge,
    waiting: Gauge,
    abandoned: Gauge,
    slots: Gauge,
    cache_usage: Gauge<f64, AtomicU64>,
    since_step: Gauge<f64, AtomicU64>,
    prompt_tokens: Counter,
    generation_tokens: Counter,
    prefix_queries: Counter,
    prefix_hits: Counter,
    preemptions: Counter,
    steps: Counter,
    sequences: Family<Departure, Counter>,
}

/// The engine at the moment of a scrape. What follows `since_step` are totals since the start and only grow.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct EngineSample {
    /// Sequences in the batch.
    pub running: u64,
    /// Sequences that wait to join it.
    pub waiting: u64,
    /// Requests given up whose work has not stopped yet.
    pub abandoned: u64,
    /// Requests that may run at once.
    pub slots: u64,
    /// Share of the cache that running sequences hold, 0 to 1.
    pub cache_usage: f64,
    /// How long there has been work and no step; zero without work.
    pub since_step: Duration,
    /// Tokens read, whether computed or found in the cache.
    pub prompt_tokens: u64,
    /// Tokens written.
    pub generation_tokens: u64,
    /// Tokens of prompts that were looked up in the prefix cache.
    pub prefix_queries: u64,
    /// Of those, the tokens that it had.
    pub prefix_hits: u64,
    /// Times that a sequence gave up its cache blocks to a more urgent one.
    pub preemptions: u64,
    /// Forward passes.
    pub steps: u64,
    /// Sequences that came to their end.
    pub finished: u64,
    /// Sequences whose reader left.
    pub cancelled: u64,
    /// Sequences that a failed step ended.
    pub failed: u64,
    /// Sequences whose deadline passed.
    pub timed_out: u64,
}

/// What a backend serves.
#[derive(Debug, Clone)]
pub struct Served {
    /// The model's name.
    pub model_name: String,
    /// What the engine counts as it works.
    pub engine: EngineMetrics,
    /// Tokens of one block of the cache.
    pub block_tokens: u64,
    /// Blocks of the cache; 0 for a model that has none.
    pub blocks: u64,
}

impl BackendMetrics {
    /// An empty registry for a backend.
    #[must_use]
    pub fn new(served: &Served) -> Self {
        let label = ("model_name".into(), served.model_name.clone().into());
        let mut metrics = Self {
            registry: Registry::with_labels(std::iter::once(label)),
            process: Registry::default(),
            engine: EngineGauges::default(),
            gen_ai: GenAiMetrics::new(&served.model_name),
            requests: Family::default(),
            successes: Family::default(),
            concurrency_refusals: Counter::default(),
            latency: bucket::traced_request(),
            first_token: bucket::traced_request(),
            per_token: bucket::traced_short(),
            prompt_tokens: bucket::tokens(),
            generation_tokens: bucket::tokens(),
        };
        metrics.engine.register(&mut metrics.registry);
        served.engine.register(&mut metrics.registry);
        metrics.register_requests();
        let cache = Info::new(Cache { block_size: served.block_tokens, num_blocks: served.blocks });
        metrics.registry.register(name::CACHE_CONFIG, "The cache's blocks", cache);
        metrics.gen_ai.register(&mut metrics.process);
        metrics.process.register_collector(Box::new(Process));
        let build = Info::new(Build { component: "backend", version: env!("CARGO_PKG_VERSION") });
        metrics.process.register(name::BUILD, "Version and role", build);
        metrics
    }

    fn register_requests(&mut self) {
        let to = &mut self.registry;
        to.register(name::REQUESTS, "Answers of this backend", self.requests.clone());
        to.register(name::SUCCESSES, "Answers that came to their end", self.successes.clone());
        let help = "Requests refused because every slot was taken";
        to.register(name::CONCURRENCY_REFUSALS, help, self.concurrency_refusals.clone());
        to.register(name::LATENCY, "Seconds from arrival to the last byte", self.latency.clone());
        to.register(name::FIRST_TOKEN, "Seconds from arrival to the first token", self.first_token.clone());
        let help = "Seconds per token after the first, one mean a request";
        to.register(name::PER_TOKEN, help, self.per_token.clone());
        to.register(name::REQUEST_PROMPT_TOKENS, "Tokens of a request's prompts", self.prompt_tokens.clone());
        let help = "Tokens of a request's answers";
        to.register(name::REQUEST_GENERATION_TOKENS, help, self.generation_tokens.clone());
    }

    /// Takes over what the engine says; to be called before [`encode`](Self::encode).
    pub fn set_engine(&self, sample: &EngineSample) {
        self.engine.set(sample);
    }

    /// An answer with `status` on `route` (as the route table has it) ended, `took` after the request arrived.
    pub fn answered(
        &self,
        route: &'static str,
        operation: &'static str,
        status: u16,
        took: Duration,
        trace: Option<TraceLabel>,
    ) {
        self.requests.get_or_create(&Status { route, status }).inc();
        self.gen_ai.answered(operation, status, took, trace.clone());
        self.latency.observe(took.as_secs_f64(), trace, None);
    }

    /// Every slot was taken.
    pub fn refused_concurrency(&self) {
        self.concurrency_refusals.inc();
    }

    /// One answer came to its end for this reason, in OpenAI's word.
    pub fn finished(&self, finished_reason: &'static str) {
        self.successes.get_or_create(&Finish { finished_reason }).inc();
    }

    /// The prompts of a request have so many tokens.
    pub fn prompt(&self, tokens: u64) {
        self.prompt_tokens.observe(tokens as f64);
    }

    /// The first token came `took` after the request arrived.
    pub fn first_token(&self, operation: &'static str, took: Duration, trace: Option<TraceLabel>) {
        self.gen_ai.first_token(operation, took, trace.clone());
        self.first_token.observe(took.as_secs_f64(), trace, None);
    }

    /// A request's answers have `tokens` tokens, and those after the first took this long altogether.
    pub fn generated(&self, operation: &'static str, tokens: u64, took: Duration, trace: Option<TraceLabel>) {
        self.generation_tokens.observe(tokens as f64);
        if tokens > 1 {
            let each = took.as_secs_f64() / (tokens - 1) as f64;
            self.gen_ai.per_token(operation, each, trace.clone());
            self.per_token.observe(each, trace, None);
        }
    }

    /// Everything as OpenMetrics text.
    #[must_use]
    pub fn encode(&self) -> String {
        encode(&[&self.registry, &self.process])
    }
}

impl EngineGauges {
    fn register(&self, to: &mut Registry) {
        to.register(name::RUNNING, "Sequences in the batch", self.running.clone());
        to.register(name::WAITING, "Sequences that wait to join the batch", self.waiting.clone());
        to.register(name::ABANDONED, "Requests given up whose work still runs", self.abandoned.clone());
        to.register(name::SLOTS, "Requests that may run at once", self.slots.clone());
        let help = "Share of the cache that running sequences hold, 0 to 1";
        to.register(name::CACHE_USAGE, help, self.cache_usage.clone());
        let help = "Seconds for which there has been work and no step; 0 without work";
        to.register(name::SINCE_STEP, help, self.since_step.clone());
        let help = "Tokens read, computed or found in the cache";
        to.register(name::PROMPT_TOKENS, help, self.prompt_tokens.clone());
        to.register(name::GENERATION_TOKENS, "Tokens written", self.generation_tokens.clone());
        let help = "Tokens of prompts looked up in the prefix cache";
        to.register(name::PREFIX_QUERIES, help, self.prefix_queries.clone());
        let help = "Tokens of prompts found in the prefix cache";
        to.register(name::PREFIX_HITS, help, self.prefix_hits.clone());
        let help = "Times that a sequence gave up its cache blocks to a more urgent one";
        to.register(name::PREEMPTIONS, help, self.preemptions.clone());
        to.register(name::ENGINE_STEPS, "Forward passes", self.steps.clone());
        to.register(name::SEQUENCES, "Sequences that left the engine, by how", self.sequences.clone());
    }

    fn set(&self, sample: &EngineSample) {
        let whole = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        self.running.set(whole(sample.running));
        self.waiting.set(whole(sample.waiting));
        self.abandoned.set(whole(sample.abandoned));
        self.slots.set(whole(sample.slots));
        self.cache_usage.set(sample.cache_usage);
        self.since_step.set(sample.since_step.as_secs_f64());
        raise(&self.prompt_tokens, sample.prompt_tokens);
        raise(&self.generation_tokens, sample.generation_tokens);
        raise(&self.prefix_queries, sample.prefix_queries);
        raise(&self.prefix_hits, sample.prefix_hits);
        raise(&self.preemptions, sample.preemptions);
        raise(&self.steps, sample.steps);
        let ended = [
            ("finished", sample.finished),
            ("cancelled", sample.cancelled),
            ("failed", sample.failed),
            ("timed_out", sample.timed_out),
        ];
        for (ended, total) in ended {
            raise(&self.sequences.get_or_create(&Departure { ended }), total);
        }
    }
}

/// Sets a counter to a total that is kept elsewhere. It never goes back, whatever order two scrapes come in.
fn raise(counter: &Counter, total: u64) {
    counter.inner().fetch_max(total, Ordering::Relaxed);
}

#[cfg(test)]
mod tests;
