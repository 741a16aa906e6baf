//! The limit of open files: each connection is one, and the usual limit of 1,024 is less than a router has on a busy day.

/// Raises the process's own limit to the highest that it may have. Where that fails, the old one holds.
pub fn raise_limit() {
    match rlimit::increase_nofile_limit(u64::MAX) {
        Ok(limit) => tracing::debug!(limit, "limit of open files"),
        Err(error) => tracing::warn!(%error, "the limit of open files could not be raised"),
    }
}
