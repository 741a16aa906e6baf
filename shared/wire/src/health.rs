//! The body of `GET /health`: how far a router's fleet, or one backend alone, is from what it can bear.

use serde::{Deserialize, Serialize};

/// Path of the report on routers and backends.
pub const HEALTH_PATH: &str = "/health";

/// The whole body.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HealthReport {
    /// The worst that holds.
    pub status: HealthStatus,
    /// The numbers behind it.
    pub graceful_degradation: GracefulDegradation,
    /// What runs the model; only a backend says it, and only once the model is loaded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub engine: Option<EngineHealth>,
}

/// What runs a backend's model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EngineHealth {
    /// As the model's config.json names it.
    pub architecture: String,
    /// `continuous`: all sequences that run share each step. `serial`: one sequence runs, and the others wait for its end.
    pub batching: String,
}

/// How far the load is from the limits, mildest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HealthStatus {
    /// Slots are free and nothing waits.
    Healthy,
    /// All slots are taken, or something waits.
    Stressed,
    /// Some requests are refused, or given-up work has not stopped yet.
    Degraded,
    /// Nothing more can be taken.
    Critical,
}

/// The numbers behind a status. Rates are over the last 60 s, counts are since the start.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GracefulDegradation {
    /// Refused requests over all requests, 0 to 1.
    pub rejection_rate: f64,
    /// What waits.
    pub queue_statistics: QueueStatistics,
    /// What runs.
    pub backend_statistics: BackendStatistics,
}

/// What waits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct QueueStatistics {
    /// Requests that wait.
    pub current_size: u64,
    /// Most that may wait; a backend alone has no queue.
    pub max_size: u64,
    /// The first as a percentage of the second.
    pub capacity_percent: f64,
    /// The queue's own part of the status.
    pub status: HealthStatus,
}

/// What runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BackendStatistics {
    /// Requests that got a slot and have ended.
    pub total_requests: u64,
    /// Those that ended well.
    pub successful_requests: u64,
    /// Those that ran out of time.
    pub timeout_requests: u64,
    /// Ended well over ended, 0 to 1; 1 where nothing has ended.
    pub success_rate: f64,
    /// Ran out of time over ended, 0 to 1.
    pub timeout_rate: f64,
    /// Requests that may run at once.
    pub slots: u64,
    /// Requests that run and that somebody waits for.
    pub running: u64,
    /// Requests that were given up and whose work has not stopped yet.
    pub abandoned: u64,
    /// Running and abandoned over slots, 0 to 1.
    pub capacity_used: f64,
    /// Seconds until the abandoned count is next set to what provably still runs.
    pub time_until_reset: f64,
    /// Share of the capacity at which refusals begin, 0 to 1.
    pub rejection_threshold: f64,
}
