//! Attempts end: released, cancelled, abandoned, confirmed. Each is safe to apply twice.

use super::{Attempt, PROOF_LASTS, Pool, record::Phase};
use crate::{
    event::{AttemptId, End},
    snapshot::Counted,
};

impl Pool {
    /// Running or abandoned to gone. Only what finished is a sample of service time.
    pub(super) fn release(&mut self, id: &AttemptId, end: End, tokens: Option<u64>) {
        match self.attempts.get(id).map(|attempt| &attempt.phase) {
            None => {}
            Some(Phase::Queued) => self.cancel(id, end),
            Some(Phase::Abandoned { .. }) => self.confirm(id),
            Some(Phase::Running { since, .. }) => {
                let since = *since;
                if end == End::Finished {
                    self.estimate.served(self.now.since(since));
                }
                self.settle_use(id, since, tokens, end == End::Finished);
                self.slot_returns(id);
                self.count(Counted::Ended(end));
            }
        }
    }

    /// A ticket is given up; one that was granted meanwhile frees its slot, which is no release of work.
    pub(super) fn cancel(&mut self, id: &AttemptId, end: End) {
        match self.attempts.get(id).map(|attempt| &attempt.phase) {
            Some(Phase::Queued | Phase::Running { .. }) => {
                self.refund(id);
                self.remove(id);
                self.count(Counted::Ended(end));
            }
            Some(Phase::Abandoned { .. }) | None => {}
        }
    }

    /// Running to abandoned: the slot stays taken.
    pub(super) fn abandon(&mut self, id: &AttemptId, end: End, tokens: Option<u64>) {
        match self.attempts.get(id).map(|attempt| &attempt.phase) {
            Some(Phase::Queued) => self.cancel(id, end),
            Some(Phase::Running { since, .. }) => {
                self.settle_use(id, *since, tokens, false);
                self.mark_abandoned(id);
                self.count(Counted::Ended(end));
            }
            Some(Phase::Abandoned { .. }) | None => {}
        }
    }

    /// Abandoned to gone.
    pub(super) fn confirm(&mut self, id: &AttemptId) {
        if matches!(self.attempts.get(id).map(|attempt| &attempt.phase), Some(Phase::Abandoned { .. })) {
            self.slot_returns(id);
        }
    }

    /// Moves a running attempt among the abandoned ones.
    pub(super) fn mark_abandoned(&mut self, id: &AttemptId) {
        let now = self.now;
        let Some(attempt) = self.attempts.get_mut(id) else { return };
        let Phase::Running { backend, .. } = &attempt.phase else { return };
        let backend = backend.clone();
        attempt.phase = Phase::Abandoned { backend: backend.clone(), proof: now };
        self.falls_due(now.plus(PROOF_LASTS));
        self.running -= 1;
        self.abandoned += 1;
        self.change_node(&backend, |node| {
            node.running -= 1;
            node.abandoned += 1;
        });
    }

    /// Work has stopped and its slot returns: counted for the drain rate when all slots were busy.
    fn slot_returns(&mut self, id: &AttemptId) {
        if self.slots > 0 && self.free.is_empty() {
            self.estimate.releases += 1.0;
        }
        self.remove(id);
    }

    /// Takes an attempt off the account, with all that it holds.
    pub(super) fn remove(&mut self, id: &AttemptId) -> Option<Attempt> {
        self.leave_queue(id);
        let attempt = self.attempts.remove(id)?;
        self.disown(&attempt.router, id);
        if let Some(caller) = &attempt.caller {
            self.goes(caller);
        }
        match &attempt.phase {
            Phase::Queued => {}
            Phase::Running { backend, .. } => {
                self.running -= 1;
                self.change_node(backend, |node| node.running -= 1);
                self.forget_node_if_idle(backend);
            }
            Phase::Abandoned { backend, .. } => {
                self.abandoned -= 1;
                self.change_node(backend, |node| node.abandoned -= 1);
                self.forget_node_if_idle(backend);
            }
        }
        Some(attempt)
    }
}
