//! The guards of a request that runs: its slot, whoever waits for it, and the count of how it ended.

use crate::{
    error::{ApiError, ErrorKind},
    health::Outcome,
    node::Backend,
    slots::{Slot, Waiter},
};
use std::sync::Arc;

/// A request that got a slot. Dropped before [`Running::end`], it counts as left by its client.
#[derive(Debug)]
pub(crate) struct Running {
    backend: Backend,
    /// Held here until the answer is complete; the engine holds it too.
    slot: Arc<Slot>,
    /// None once it has ended.
    waiter: Option<Waiter>,
}

impl Running {
    /// Takes a slot for `attempt`.
    ///
    /// # Errors
    /// `draining`, or `concurrency` where no slot is free.
    pub(crate) fn admit(backend: &Backend, attempt: String) -> Result<Self, ApiError> {
        if backend.is_draining() {
            let message = "This backend takes no new work; it is about to stop.";
            return Err(ApiError::new(ErrorKind::Draining, message));
        }
        match backend.slots().take(attempt) {
            Some((slot, waiter)) => Ok(Self { backend: backend.clone(), slot, waiter: Some(waiter) }),
            None => {
                backend.outcomes().record(Outcome::Rejected);
                let slots = backend.slots().capacity();
                let message = format!("All {slots} slots of this backend are taken.");
                Err(ApiError::new(ErrorKind::Concurrency, message))
            }
        }
    }

    /// What the engine holds until the sequence has left.
    pub(crate) fn slot(&self) -> Arc<Slot> {
        Arc::clone(&self.slot)
    }

    /// The whole answer is made.
    pub(crate) fn succeeded(mut self) {
        if let Some(waiter) = self.waiter.take() {
            waiter.served();
            self.backend.outcomes().record(Outcome::Succeeded);
        }
    }

    /// It ended with an error, which is given back: what the engine still does for it is abandoned.
    pub(crate) fn failed(mut self, error: ApiError) -> ApiError {
        if let Some(waiter) = self.waiter.take() {
            match error.kind() {
                // The client's own mistake: it never ran.
                ErrorKind::Invalid(_) => waiter.served(),
                ErrorKind::Timeout => self.backend.outcomes().record(Outcome::TimedOut),
                _ => self.backend.outcomes().record(Outcome::Failed),
            }
        }
        error
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.waiter.take().is_some() {
            self.backend.outcomes().record(Outcome::Left);
        }
    }
}
