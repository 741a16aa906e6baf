//! What a backend counts.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::label::Status;
use super::{bucket, encode, name};

/// A backend's registry, all of it labelled with the model's name, as vLLM labels. Made once, shared by reference or in an `Arc`.
#[derive(Debug)]
pub struct BackendMetrics {
    registry: Registry,
    engine: EngineMetrics,
    requests: Family<Status, Counter>,
    concurrency_refusals: Counter,
    latency: Histogram,
    first_token: Histogram,
    per_token: Histogram,
}

/// What the engine says of itself, taken over at each scrape.
#[derive(Debug, Default)]
struct EngineMetrics {
    running: Gauge,
    waiting: Gauge,
    abandoned: Gauge,
    cache_usage: Gauge<f64, AtomicU64>,
    prompt_tokens: Counter,
    generation_tokens: Counter,
    prefix_queries: Counter,
    prefix_hits: Counter,
    preemptions: Counter,
    steps: Counter,
}

/// The engine at the moment of a scrape. What follows `cache_usage` are totals since the start and only grow.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct EngineSample {
    /// Sequences in the batch.
    pub running: u64,
    /// Sequences that wait to join it.
    pub waiting: u64,
    /// Requests given up whose work has not stopped yet.
    pub abandoned: u64,
    /// Share of the cache that running sequences hold, 0 to 1.
    pub cache_usage: f64,
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
}

impl BackendMetrics {
    /// An empty registry for the backend that serves `model_name`.
    #[must_use]
    pub fn new(model_name: &str) -> Self {
        let label = ("model_name".into(), model_name.to_owned().into());
        let mut metrics = Self {
            registry: Registry::with_labels(std::iter::once(label)),
            engine: EngineMetrics::default(),
            requests: Family::default(),
            concurrency_refusals: Counter::default(),
            latency: bucket::request(),
            first_token: bucket::request(),
            per_token: bucket::short(),
        };
        metrics.register_engine();
        metrics.register_requests();
        metrics
    }

    fn register_engine(&mut self) {
        let (to, engine) = (&mut self.registry, &self.engine);
        to.register(name::RUNNING, "Sequences in the batch", engine.running.clone());
        to.register(name::WAITING, "Sequences that wait to join the batch", engine.waiting.clone());
        to.register(name::ABANDONED, "Requests given up whose work still runs", engine.abandoned.clone());
        to.register(
            name::CACHE_USAGE,
            "Share of the cache that running sequences hold, 0 to 1",
            engine.cache_usage.clone(),
        );
        let help = "Tokens read, computed or found in the cache";
        to.register(name::PROMPT_TOKENS, help, engine.prompt_tokens.clone());
        to.register(name::GENERATION_TOKENS, "Tokens written", engine.generation_tokens.clone());
        let help = "Tokens of prompts looked up in the prefix cache";
        to.register(name::PREFIX_QUERIES, help, engine.prefix_queries.clone());
        let help = "Tokens of prompts found in the prefix cache";
        to.register(name::PREFIX_HITS, help, engine.prefix_hits.clone());
        let help = "Times that a sequence gave up its cache blocks to a more urgent one";
        to.register(name::PREEMPTIONS, help, engine.preemptions.clone());
        to.register(name::ENGINE_STEPS, "Forward passes", engine.steps.clone());
    }

    fn register_requests(&mut self) {
        let to = &mut self.registry;
        to.register(name::REQUESTS, "Answers of this backend", self.requests.clone());
        let help = "Requests refused because every slot was taken";
        to.register(name::CONCURRENCY_REFUSALS, help, self.concurrency_refusals.clone());
        to.register(name::LATENCY, "Seconds from arrival to the last byte", self.latency.clone());
        to.register(name::FIRST_TOKEN, "Seconds from arrival to the first token", self.first_token.clone());
        to.register(name::PER_TOKEN, "Seconds per token after the first", self.per_token.clone());
    }

    /// Takes over what the engine says; to be called before [`encode`](Self::encode).
    pub fn set_engine(&self, sample: &EngineSample) {
        let whole = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        self.engine.running.set(whole(sample.running));
        self.engine.waiting.set(whole(sample.waiting));
        self.engine.abandoned.set(whole(sample.abandoned));
        self.engine.cache_usage.set(sample.cache_usage);
        raise(&self.engine.prompt_tokens, sample.prompt_tokens);
        raise(&self.engine.generation_tokens, sample.generation_tokens);
        raise(&self.engine.prefix_queries, sample.prefix_queries);
        raise(&self.engine.prefix_hits, sample.prefix_hits);
        raise(&self.engine.preemptions, sample.preemptions);
        raise(&self.engine.steps, sample.steps);
    }

    /// An answer with `status` on `route` (as the route table has it) ended, `took` after the request arrived.
    pub fn answered(&self, route: &'static str, status: u16, took: Duration) {
        self.requests.get_or_create(&Status { route, status }).inc();
        self.latency.observe(took.as_secs_f64());
    }

    /// Every slot was taken.
    pub fn refused_concurrency(&self) {
        self.concurrency_refusals.inc();
    }

    /// The first token came `took` after the request arrived.
    pub fn first_token(&self, took: Duration) {
        self.first_token.observe(took.as_secs_f64());
    }

    /// `tokens` more tokens took this long altogether; nothing is counted for none.
    pub fn next_tokens(&self, tokens: u32, took: Duration) {
        if tokens > 0 {
            self.per_token.observe(took.as_secs_f64() / f64::from(tokens));
        }
    }

    /// Everything as OpenMetrics text, to be served as [`CONTENT_TYPE`](super::CONTENT_TYPE).
    #[must_use]
    pub fn encode(&self) -> String {
        encode(&self.registry)
    }
}

/// Sets a counter to a total that is kept elsewhere. It never goes back, whatever order two scrapes come in.
fn raise(counter: &Counter, total: u64) {
    counter.inner().fetch_max(total, Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn busy() -> EngineSample {
        EngineSample {
            running: 3,
            waiting: 1,
            cache_usage: 0.25,
            prompt_tokens: 40,
            prefix_queries: 40,
            prefix_hits: 16,
            preemptions: 2,
            ..Default::default()
        }
    }

    #[test]
    fn a_scrape_shows_the_engine_and_never_goes_back() {
        let metrics = BackendMetrics::new("demo");
        let sample = busy();
        metrics.set_engine(&sample);
        metrics.set_engine(&EngineSample { prompt_tokens: 39, generation_tokens: 5, ..sample });
        metrics.answered("/v1/completions", 200, Duration::from_secs(1));
        metrics.refused_concurrency();
        metrics.first_token(Duration::from_millis(20));
        metrics.next_tokens(4, Duration::from_millis(8));
        metrics.next_tokens(0, Duration::ZERO);
        assert_lines(
            &metrics.encode(),
            &[
                "tidegate:num_requests_running{model_name=\"demo\"} 3",
                "tidegate:num_requests_waiting{model_name=\"demo\"} 1",
                "tidegate:kv_cache_usage_perc{model_name=\"demo\"} 0.25",
                "tidegate:prompt_tokens_total{model_name=\"demo\"} 40",
                "tidegate:generation_tokens_total{model_name=\"demo\"} 5",
                "tidegate:prefix_cache_queries_total{model_name=\"demo\"} 40",
                "tidegate:prefix_cache_hits_total{model_name=\"demo\"} 16",
                "tidegate:num_preemptions_total{model_name=\"demo\"} 2",
                "tidegate:requests_total{model_name=\"demo\",route=\"/v1/completions\",status=\"200\"} 1",
                "tidegate:concurrency_refusals_total{model_name=\"demo\"} 1",
                "tidegate:time_to_first_token_seconds_count{model_name=\"demo\"} 1",
                "tidegate:time_per_output_token_seconds_bucket{model_name=\"demo\",le=\"0.0025\"} 1",
                "tidegate:time_per_output_token_seconds_count{model_name=\"demo\"} 1",
            ],
        );
    }

    fn assert_lines(text: &str, lines: &[&str]) {
        for line in lines {
            assert!(text.lines().any(|found| found == *line), "{line} is not in\n{text}");
        }
    }
}
