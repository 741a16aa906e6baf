//! What is kept for each backend.

use super::UpstreamError;
use super::address::Address;
use foldhash::fast::RandomState;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Connections to one backend.
pub(super) trait Kept {
    /// None yet to the backend at `address`.
    fn at(address: Address) -> Self;
    /// Whether none is open.
    fn is_empty(&self) -> bool;
}

/// What is kept for each backend, by its URL.
#[derive(Debug)]
pub(super) struct ByUrl<T>(Mutex<HashMap<String, Arc<T>, RandomState>>);

impl<T> Default for ByUrl<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T: Kept> ByUrl<T> {
    /// What is kept for the backend at `url`, which may be nothing yet.
    ///
    /// # Errors
    /// If that is no URL.
    pub(super) fn get(&self, url: &str) -> Result<Arc<T>, UpstreamError> {
        let mut backends = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(backend) = backends.get(url) {
            return Ok(backend.clone());
        }
        let address = Address::parse(url)?;
        // Those that have left the fleet leave nothing behind.
        backends.retain(|_, backend| Arc::strong_count(backend) > 1 || !backend.is_empty());
        Ok(backends.entry(url.to_owned()).or_insert_with(|| Arc::new(T::at(address))).clone())
    }
}
