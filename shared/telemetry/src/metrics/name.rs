//! The names. Counters are registered without `_total`, which the encoder appends.
//!
//! What vLLM has a name for has that name here, with the prefix `tidegate:` instead of `vllm:`.

/// Requests that have a slot.
pub const RUNNING: &str = "tidegate:num_requests_running";
/// Requests that wait for one.
pub const WAITING: &str = "tidegate:num_requests_waiting";
/// Work whose client has gone and which has not stopped yet.
pub const ABANDONED: &str = "tidegate:num_requests_abandoned";
/// Slots of a backend.
pub const SLOTS: &str = "tidegate:num_slots";
/// Share of the engine's cache that running sequences hold, 0 to 1.
pub const CACHE_USAGE: &str = "tidegate:kv_cache_usage_perc";
/// The cache's blocks; the value is 1.
pub const CACHE_CONFIG: &str = "tidegate:cache_config";
/// Arrival to the first byte of the answer, or at a backend to the first token.
pub const FIRST_TOKEN: &str = "tidegate:time_to_first_token_seconds";
/// Time between two tokens of an answer, each counted.
pub const INTER_TOKEN: &str = "tidegate:inter_token_latency_seconds";
/// Time per token after the first, one mean a request.
pub const PER_TOKEN: &str = "tidegate:request_time_per_output_token_seconds";
/// Arrival to the last byte of the answer.
pub const LATENCY: &str = "tidegate:e2e_request_latency_seconds";
/// At a router: arrival to the grant of a slot. At a backend: a sequence's wait for a place in the batch.
pub const QUEUE_TIME: &str = "tidegate:request_queue_time_seconds";
/// From a sequence's place in the batch to its first token.
pub const PREFILL_TIME: &str = "tidegate:request_prefill_time_seconds";
/// From a sequence's first token to its last.
pub const DECODE_TIME: &str = "tidegate:request_decode_time_seconds";
/// From a sequence's place in the batch to its last token.
pub const INFERENCE_TIME: &str = "tidegate:request_inference_time_seconds";
/// Tokens read.
pub const PROMPT_TOKENS: &str = "tidegate:prompt_tokens";
/// Tokens written.
pub const GENERATION_TOKENS: &str = "tidegate:generation_tokens";
/// Tokens of one prompt.
pub const REQUEST_PROMPT_TOKENS: &str = "tidegate:request_prompt_tokens";
/// Tokens of one answer.
pub const REQUEST_GENERATION_TOKENS: &str = "tidegate:request_generation_tokens";
/// Answers that came to their end.
pub const SUCCESSES: &str = "tidegate:request_success";
/// Tokens of prompts that were looked up in the prefix cache.
pub const PREFIX_QUERIES: &str = "tidegate:prefix_cache_queries";
/// Of those, the tokens that it had.
pub const PREFIX_HITS: &str = "tidegate:prefix_cache_hits";
/// Times that a sequence gave up its cache blocks to a more urgent one.
pub const PREEMPTIONS: &str = "tidegate:num_preemptions";
/// Sequences that left the engine.
pub const SEQUENCES: &str = "tidegate:engine_sequences_ended";
/// Forward passes of the engine.
pub const ENGINE_STEPS: &str = "tidegate:engine_steps";
/// Time of one step of the engine.
pub const STEP_TIME: &str = "tidegate:engine_step_seconds";
/// Sequences that one step computes.
pub const STEP_SEQUENCES: &str = "tidegate:engine_step_sequences";
/// Tokens that one step computes: vLLM's name, although it is a histogram and no counter.
pub const STEP_TOKENS: &str = "tidegate:iteration_tokens_total";
/// How long the engine has had work and made no step.
pub const SINCE_STEP: &str = "tidegate:engine_since_last_step_seconds";
/// Answers, by HTTP status.
pub const REQUESTS: &str = "tidegate:requests";
/// Requests that a backend had no slot for.
pub const CONCURRENCY_REFUSALS: &str = "tidegate:concurrency_refusals";
/// Requests let in.
pub const ADMISSIONS: &str = "tidegate:admissions";
/// Requests refused at the door.
pub const REJECTIONS: &str = "tidegate:admission_rejections";
/// Waits that are over.
pub const WAITS: &str = "tidegate:admission_waits";
/// Requests sent again to another backend before their first byte.
pub const RESENDS: &str = "tidegate:backend_resends";
/// What went wrong between router and backend.
pub const BACKEND_ERRORS: &str = "tidegate:backend_errors";
/// Requests that were not sent again because the budget of retries was spent.
pub const RETRIES_DENIED: &str = "tidegate:backend_retries_denied";
/// Times that a backend was left out because it failed.
pub const EJECTIONS: &str = "tidegate:backend_ejections";
/// Requests that wished for a backend.
pub const PREFERENCES: &str = "tidegate:backend_preferences";
/// The ledger's account of a pool, the same from every router: aggregate with `max`, not `sum`.
pub const POOL_SLOTS: &str = "tidegate:pool_slots";
/// See [`POOL_SLOTS`].
pub const POOL_RUNNING: &str = "tidegate:pool_running";
/// See [`POOL_SLOTS`].
pub const POOL_ABANDONED: &str = "tidegate:pool_abandoned";
/// See [`POOL_SLOTS`].
pub const POOL_QUEUED: &str = "tidegate:pool_queued";
/// Tickets that may wait at most.
pub const POOL_QUEUE_LIMIT: &str = "tidegate:pool_queue_limit";
/// Running, abandoned and queued in the whole pool.
pub const POOL_HELD: &str = "tidegate:pool_held";
/// Slots and queue together.
pub const POOL_CAPACITY: &str = "tidegate:pool_capacity";
/// The rejection probability of a request of normal priority.
pub const POOL_PROBABILITY: &str = "tidegate:pool_rejection_probability";
/// Slots that come free per second while all are busy.
pub const POOL_DRAIN: &str = "tidegate:pool_drain_per_second";
/// Seconds that the pool's oldest ticket has waited.
pub const POOL_OLDEST_WAIT: &str = "tidegate:pool_oldest_wait_seconds";
/// Backends that all that a pool holds would fill.
pub const POOL_DESIRED_BACKENDS: &str = "tidegate:pool_desired_backends";
/// Backends of a pool, by whether they take work.
pub const POOL_BACKENDS: &str = "tidegate:pool_backends";
/// Slots of one backend on the account.
pub const BACKEND_SLOTS: &str = "tidegate:backend_slots";
/// Requests that run on one backend.
pub const BACKEND_RUNNING: &str = "tidegate:backend_running";
/// Work given up on one backend.
pub const BACKEND_ABANDONED: &str = "tidegate:backend_abandoned";
/// Routers that share the account.
pub const ROUTERS: &str = "tidegate:routers";
/// Different sets of admission flags among the routers.
pub const FLAG_SETS: &str = "tidegate:router_flag_sets";
/// 1 while the ledger is out of reach.
pub const DEGRADED: &str = "tidegate:ledger_degraded";
/// Times that a router went on alone.
pub const LEDGER_LOSSES: &str = "tidegate:ledger_losses";
/// One call of the shared ledger.
pub const ROUND_TRIP: &str = "tidegate:ledger_round_trip_seconds";
/// Calls of the shared ledger that failed.
pub const LEDGER_ERRORS: &str = "tidegate:ledger_errors";
/// Requests refused from the last view of the ledger, without asking it.
pub const VIEW_REFUSALS: &str = "tidegate:ledger_view_refusals";
/// Leases of dead routers and backends.
pub const LEASES_EXPIRED: &str = "tidegate:ledger_leases_expired";
/// Tickets and slots taken back from routers that died or no longer knew them.
pub const RECLAIMED: &str = "tidegate:ledger_reclaimed";
/// Slots that a reset found counted as used, and nothing ran in them.
pub const DRIFT: &str = "tidegate:ledger_reset_drift";
/// Backends that stopped answering.
pub const BACKENDS_LOST: &str = "tidegate:backends_lost";
/// Version and role; the value is 1.
pub const BUILD: &str = "tidegate:build";
/// OpenTelemetry's `gen_ai.server.request.duration`.
pub const GEN_AI_DURATION: &str = "gen_ai_server_request_duration_seconds";
/// OpenTelemetry's `gen_ai.server.time_to_first_token`.
pub const GEN_AI_FIRST_TOKEN: &str = "gen_ai_server_time_to_first_token_seconds";
/// OpenTelemetry's `gen_ai.server.time_per_output_token`.
pub const GEN_AI_PER_TOKEN: &str = "gen_ai_server_time_per_output_token_seconds";
