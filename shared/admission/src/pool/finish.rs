//! Attempts end: released, cancelled, abandoned, confirmed. Each is safe to apply twice.

use super::{Attempt, PROOF_LASTS, Pool, record::Phase};
use crate::{
    event::{AttemptId, End},
    snapshot::Counted,
};

impl Pool {
    /// Off the account, whatever it does. Only what finished is a sample of service time.
    pub(super) fn release(&mut self, id: &AttemptId, end: End, tokens: Option<u64>) {
        let Some(attempt) = self.attempts.remove(id) else { return };
        match &attempt.phase {
            Phase::Queued => self.give_up(id, &attempt, end),
            Phase::Abandoned { .. } => self.slot_returns(id, &attempt),
            Phase::Running { since, .. } => {
                if end == End::Finished {
                    self.estimate.served(self.now.since(*since));
                }
                self.settle_use(&attempt, *since, tokens, end == End::Finished);
                self.slot_returns(id, &attempt);
                self.count(Counted::Ended(end));
            }
        }
    }

    /// A ticket is given up; one that was granted meanwhile frees its slot, which is no release of work.
    pub(super) fn cancel(&mut self, id: &AttemptId, end: End) {
        if let Some(attempt) = self.take(id, |phase| !matches!(phase, Phase::Abandoned { .. })) {
            self.give_up(id, &attempt, end);
        }
    }

    /// Nothing was done for an attempt that has left the account.
    fn give_up(&mut self, id: &AttemptId, attempt: &Attempt, end: End) {
        self.refund(attempt);
        self.part_with(id, attempt);
        self.count(Counted::Ended(end));
    }

    /// Running to abandoned: the slot stays taken.
    pub(super) fn abandon(&mut self, id: &AttemptId, end: End, tokens: Option<u64>) {
        let Some(attempt) = self.attempts.get(id) else { return };
        match &attempt.phase {
            Phase::Queued => self.cancel(id, end),
            Phase::Running { since, .. } => {
                let (attempt, since) = (attempt.clone(), *since);
                self.settle_use(&attempt, since, tokens, false);
                self.mark_abandoned(id);
                self.count(Counted::Ended(end));
            }
            Phase::Abandoned { .. } => {}
        }
    }

    /// Abandoned to gone.
    pub(super) fn confirm(&mut self, id: &AttemptId) {
        if let Some(attempt) = self.take(id, |phase| matches!(phase, Phase::Abandoned { .. })) {
            self.slot_returns(id, &attempt);
        }
    }

    /// An attempt that does such a thing leaves the account; all others stay.
    fn take(&mut self, id: &AttemptId, wanted: impl FnOnce(&Phase) -> bool) -> Option<Attempt> {
        self.attempts.get(id).filter(|attempt| wanted(&attempt.phase))?;
        self.attempts.remove(id)
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
    fn slot_returns(&mut self, id: &AttemptId, attempt: &Attempt) {
        if self.slots > 0 && self.free.is_empty() {
            self.estimate.releases += 1.0;
        }
        self.part_with(id, attempt);
    }

    /// Takes an attempt off the account, with all that it holds.
    pub(super) fn remove(&mut self, id: &AttemptId) -> Option<Attempt> {
        let attempt = self.attempts.remove(id)?;
        self.part_with(id, &attempt);
        Some(attempt)
    }

    /// Takes back all that an attempt held which has left the account.
    pub(super) fn part_with(&mut self, id: &AttemptId, attempt: &Attempt) {
        match &attempt.phase {
            Phase::Queued => self.leave_queue(id, attempt.place, attempt.caller.as_deref()),
            Phase::Running { backend, .. } => {
                self.running -= 1;
                self.change_node(backend, |node| node.running -= 1);
            }
            Phase::Abandoned { backend, .. } => {
                self.abandoned -= 1;
                self.change_node(backend, |node| node.abandoned -= 1);
            }
        }
        if let Some(caller) = &attempt.caller {
            self.goes(caller);
        }
    }
}
