//! What a backend reports about itself at `GET /node`, for routers that watch it.
//!
//! The report is the second way (beside the answers themselves) in which a router learns that work has stopped: an
//! attempt that stands in neither [`NodeReport::running`] nor [`NodeReport::abandoned`] holds nothing any more.

use serde::{Deserialize, Serialize};

/// Path of the report on a backend.
pub const NODE_PATH: &str = "/node";

/// A backend's account of itself at one instant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeReport {
    /// Names this life of the backend's process: a restart has a greater one (a UUID of version 7), so that what an old life said
    /// is known for late.
    pub epoch: String,
    /// Model names that it answers to; the first one names its pool.
    pub models: Vec<String>,
    /// Requests that it runs at once (`--max-concurrent-requests`).
    pub slots: u32,
    /// Attempt ids of the requests that somebody still waits for.
    pub running: Vec<String>,
    /// Attempt ids of the requests that were given up and whose work has not yet stopped.
    pub abandoned: Vec<String>,
    /// True once it takes no new work and waits for its streams to end.
    pub draining: bool,
    /// True while the model is loaded and the engine makes steps.
    pub ready: bool,
}
