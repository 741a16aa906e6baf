//! How a backend makes itself known to routers through Redis.
//!
//! Each second a backend writes its [`Registration`] as JSON to [`key`] with a lifetime of [`LEASE_MS`], adds the key's
//! id to the set at [`index_key`], and publishes its id on [`channel`] whenever what it wrote has changed. Routers read
//! the set and the records; a record that has gone is a backend that died.

use serde::{Deserialize, Serialize};

/// Milliseconds for which a registration holds without renewal.
pub const LEASE_MS: u64 = 5_000;
/// Milliseconds between two renewals.
pub const RENEW_MS: u64 = 1_000;

/// What a backend writes about itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registration {
    /// Stable name of the backend: its advertised URL unless it was given another.
    pub id: String,
    /// Names this life of the backend's process; a later one is greater, as text.
    pub epoch: String,
    /// Base URL under which routers reach it.
    pub url: String,
    /// Model names that it answers to; the first one names its pool.
    pub models: Vec<String>,
    /// Requests that it runs at once.
    pub slots: u32,
    /// True once it takes no new work.
    pub draining: bool,
    /// Counts the renewals of this life from 1, so that a reader sees, without a clock, that the record was renewed; 0 from
    /// those that do not count.
    #[serde(default)]
    pub beat: u64,
}

/// Key of one backend's record. All registrations share a hash tag, so that one node of a Redis Cluster holds them.
pub fn key(prefix: &str, id: &str) -> String {
    format!("{prefix}:{{backends}}:{id}")
}

/// Key of the set of all backends' ids.
pub fn index_key(prefix: &str) -> String {
    format!("{prefix}:{{backends}}")
}

/// Channel on which a backend's id is published when its record has changed.
pub fn channel(prefix: &str) -> String {
    format!("{prefix}:backends:changed")
}
