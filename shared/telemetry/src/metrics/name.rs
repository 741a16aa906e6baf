//! The names. Counters are registered without `_total`, which the encoder appends.

/// Requests that have a slot.
pub const RUNNING: &str = "tidegate:num_requests_running";
/// Requests that wait for one.
pub const WAITING: &str = "tidegate:num_requests_waiting";
/// Share of the engine's cache that running sequences hold, 0 to 1.
pub const CACHE_USAGE: &str = "tidegate:kv_cache_usage_perc";
/// Arrival to the first byte of the answer.
pub const FIRST_TOKEN: &str = "tidegate:time_to_first_token_seconds";
/// Time between two tokens of an answer.
pub const PER_TOKEN: &str = "tidegate:time_per_output_token_seconds";
/// Arrival to the last byte of the answer.
pub const LATENCY: &str = "tidegate:e2e_request_latency_seconds";
/// Arrival to the grant of a slot.
pub const QUEUE_TIME: &str = "tidegate:request_queue_time_seconds";
/// Tokens read.
pub const PROMPT_TOKENS: &str = "tidegate:prompt_tokens";
/// Tokens written.
pub const GENERATION_TOKENS: &str = "tidegate:generation_tokens";
/// Tokens of prompts that were looked up in the prefix cache.
pub const PREFIX_QUERIES: &str = "tidegate:prefix_cache_queries";
/// Of those, the tokens that it had.
pub const PREFIX_HITS: &str = "tidegate:prefix_cache_hits";
/// Times that a sequence gave up its cache blocks to a more urgent one.
pub const PREEMPTIONS: &str = "tidegate:num_preemptions";
/// Forward passes of the engine.
pub const ENGINE_STEPS: &str = "tidegate:engine_steps";
/// Answers, by HTTP status.
pub const REQUESTS: &str = "tidegate:requests";
/// Requests refused at the door.
pub const REJECTIONS: &str = "tidegate:admission_rejections";
/// Requests sent again to another backend before their first byte.
pub const RESENDS: &str = "tidegate:backend_resends";
/// The ledger's account of a pool, the same from every router: aggregate with `max`, not `sum`.
pub const POOL_SLOTS: &str = "tidegate:pool_slots";
/// See [`POOL_SLOTS`].
pub const POOL_RUNNING: &str = "tidegate:pool_running";
/// See [`POOL_SLOTS`].
pub const POOL_ABANDONED: &str = "tidegate:pool_abandoned";
/// See [`POOL_SLOTS`].
pub const POOL_QUEUED: &str = "tidegate:pool_queued";
/// Running, abandoned and queued in the whole pool.
pub const POOL_HELD: &str = "tidegate:pool_held";
/// Seconds that the pool's oldest ticket has waited.
pub const POOL_OLDEST_WAIT: &str = "tidegate:pool_oldest_wait_seconds";
/// Backends that all that a pool holds would fill.
pub const POOL_DESIRED_BACKENDS: &str = "tidegate:pool_desired_backends";
/// Different sets of admission flags among the routers.
pub const FLAG_SETS: &str = "tidegate:router_flag_sets";
/// Work whose client has gone and which has not stopped yet.
pub const ABANDONED: &str = "tidegate:num_requests_abandoned";
/// Requests that a backend had no slot for.
pub const CONCURRENCY_REFUSALS: &str = "tidegate:concurrency_refusals";
/// 1 while the ledger is out of reach.
pub const DEGRADED: &str = "tidegate:ledger_degraded";
