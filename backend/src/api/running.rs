//! The guards of a request that runs: its slot, whoever waits for it, and the count of how it ended.

use super::{
    answer::timeout,
    call::Call,
    tally::{CLIENT_LEFT, Tally},
};
use crate::{
    error::{ApiError, ErrorKind},
    health::Outcome,
    node::Backend,
    slots::{Slot, Waiter},
};
use std::sync::Arc;
use tidegate_wire::openai::Usage;
use tokio::time::Instant;

/// A request that got a slot. Dropped before it has [succeeded](Running::succeeded) or [failed](Running::failed), it
/// counts as left by its client.
#[derive(Debug)]
pub(crate) struct Running {
    backend: Backend,
    /// Held here until the answer is complete; the engine holds it too.
    slot: Arc<Slot>,
    /// None once it has ended.
    waiter: Option<Waiter>,
    /// True once a stream has begun, so that its status is on the way already.
    opened: bool,
    pub(crate) tally: Tally,
}

impl Running {
    /// Takes a slot for `call`.
    ///
    /// # Errors
    /// `timeout` where its time is over already, `draining`, or `concurrency` where no slot is free.
    pub(crate) fn admit(backend: &Backend, call: &Call) -> Result<Self, ApiError> {
        if Instant::now() >= call.deadline {
            return Err(timeout());
        }
        if backend.is_draining() {
            let message = "This backend takes no new work; it is about to stop.";
            return Err(ApiError::new(ErrorKind::Draining, message));
        }
        let Some((slot, waiter)) = backend.slots().take(call.attempt.clone()) else {
            backend.outcomes().record(Outcome::Rejected);
            backend.metrics().refused_concurrency();
            let message = format!("All {} slots of this backend are taken.", backend.slots().capacity());
            return Err(ApiError::new(ErrorKind::Concurrency, message));
        };
        let tally = Tally::new(backend, call.route, &call.attempt, call.arrived);
        Ok(Self { backend: backend.clone(), slot, waiter: Some(waiter), opened: false, tally })
    }

    /// What the engine holds until the sequence has left.
    pub(crate) fn slot(&self) -> Arc<Slot> {
        Arc::clone(&self.slot)
    }

    /// The status has been sent; what goes wrong from here on is told inside the stream.
    pub(crate) fn opened(&mut self) {
        self.opened = true;
    }

    /// The whole answer is made, at this cost.
    pub(crate) fn succeeded(mut self, usage: Usage) {
        if let Some(waiter) = self.waiter.take() {
            waiter.served();
            self.tally.succeeded(usage);
            self.backend.outcomes().record(Outcome::Succeeded);
        }
    }

    /// It ended with an error, which is given back: what the engine still does for it is abandoned.
    pub(crate) fn failed(mut self, error: ApiError) -> ApiError {
        let Some(waiter) = self.waiter.take() else { return error };
        match error.kind() {
            // The client's own mistake: it never ran.
            ErrorKind::Invalid(_) => waiter.served(),
            ErrorKind::Timeout => self.backend.outcomes().record(Outcome::TimedOut),
            _ => self.backend.outcomes().record(Outcome::Failed),
        }
        let status = error.kind().status().as_u16();
        match self.opened {
            true => self.tally.ended(status),
            false => self.tally.close(status),
        }
        error
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.waiter.take().is_some() {
            self.tally.ended(CLIENT_LEFT);
            self.backend.outcomes().record(Outcome::Left);
        }
    }
}
