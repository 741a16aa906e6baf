//! What is kept for each backend.

use foldhash::fast::RandomState;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Connections to one backend.
pub(super) trait Kept: Default {
    /// Whether none is open.
    fn is_empty(&self) -> bool;
}

/// What is kept for each backend, by its URL.
#[derive(Debug, Default)]
pub(super) struct ByUrl<T>(Mutex<HashMap<String, Arc<T>, RandomState>>);

impl<T: Kept> ByUrl<T> {
    /// What is kept for the backend at `url`, which may be nothing yet.
    pub(super) fn get(&self, url: &str) -> Arc<T> {
        let mut backends = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(backend) = backends.get(url) {
            return backend.clone();
        }
        // Those that have left the fleet leave nothing behind.
        backends.retain(|_, backend| Arc::strong_count(backend) > 1 || !backend.is_empty());
        backends.entry(url.to_owned()).or_default().clone()
    }
}
