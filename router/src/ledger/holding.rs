//! What this router itself holds: tickets that wait, slots that run, work that it gave up.
//!
//! The account is the truth; this is the router's side of it. It resolves the waits of this router's tickets, keeps
//! each attempt's place for a hand-back, and is what the router renews its lease with.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tidegate_admission::{Action, AttemptId, Granted, HandBack, Numbers, Place, Refusal, Reply};
use tokio::sync::oneshot;

use super::{Admission, Grant, LedgerError, Rejection, Ticket, Waited};

/// What an attempt of this router is doing, as far as this router knows.
#[derive(Debug)]
enum Stage {
    /// The ledger has been asked and has not answered; the grant may be faster than the answer.
    Asking(oneshot::Sender<Waited>),
    /// It waits.
    Waiting(oneshot::Sender<Waited>),
    /// It has a slot.
    Running(Place),
    /// It was given up; the ledger counts it until its work has stopped.
    Abandoned,
}

#[derive(Debug)]
struct Holding {
    pool: String,
    stage: Stage,
}

/// Everything that this router holds.
#[derive(Debug, Default)]
pub(super) struct Holdings {
    attempts: Mutex<HashMap<AttemptId, Holding>>,
}

impl Holdings {
    /// An attempt is about to ask. Must come before the call, since its grant can overtake the answer.
    pub(super) fn open(&self, pool: &str, attempt: &AttemptId) -> oneshot::Receiver<Waited> {
        let (sender, receiver) = oneshot::channel();
        let holding = Holding { pool: pool.to_owned(), stage: Stage::Asking(sender) };
        self.lock().insert(attempt.clone(), holding);
        receiver
    }

    /// The ledger has answered: what it means for the caller.
    pub(super) fn answered(
        &self,
        attempt: &AttemptId,
        receiver: oneshot::Receiver<Waited>,
        reply: Reply,
    ) -> Result<Admission, LedgerError> {
        match reply {
            Reply::Granted(granted, numbers) => {
                self.runs(attempt, granted.place);
                Ok(Admission::Granted(grant(granted, numbers)))
            }
            Reply::Queued { position, numbers, .. } => {
                self.waits(attempt);
                Ok(Admission::Queued(Ticket { attempt: attempt.clone(), position, grant: receiver, numbers }))
            }
            Reply::Rejected(refusal, numbers) => {
                self.close(attempt);
                Ok(Admission::Rejected(rejection(refusal, numbers)))
            }
            Reply::Done | Reply::Renewed { .. } => {
                self.close(attempt);
                Err(LedgerError::Protocol(format!("no verdict on attempt {attempt}")))
            }
        }
    }

    /// Resolves the wait of a ticket of this router; what is not this router's, or is resolved already, is ignored.
    pub(super) fn deliver(&self, action: Action) {
        match action {
            Action::Grant(granted) => {
                let id = granted.attempt.clone();
                if let Some(sender) = self.take_sender(&id, Some(granted.place)) {
                    // A receiver that is gone has called `cancel`, or is about to.
                    drop(sender.send(Waited::Granted(grant(granted, None))));
                }
            }
            Action::Drop { attempt, reason, .. } => {
                if let Some(sender) = self.take_sender(&attempt, None) {
                    drop(sender.send(Waited::Dropped(reason)));
                }
            }
        }
    }

    /// The ledger does not have these attempts any more: tickets among them are lost, abandoned work has stopped.
    pub(super) fn gone(&self, attempts: &[AttemptId]) {
        let mut held = self.lock();
        for attempt in attempts {
            if matches!(held.get(attempt), Some(Holding { stage: Stage::Waiting(_) | Stage::Abandoned, .. }))
            {
                held.remove(attempt);
            }
        }
    }

    /// The place of an attempt that has a slot.
    pub(super) fn place(&self, attempt: &AttemptId) -> Result<Place, LedgerError> {
        match self.lock().get(attempt) {
            Some(Holding { stage: Stage::Running(place), .. }) => Ok(*place),
            _ => Err(LedgerError::NotHeld(attempt.clone())),
        }
    }

    /// This router has given an attempt up, and the ledger counts it until its work has stopped.
    pub(super) fn abandon(&self, attempt: &AttemptId) {
        if let Some(holding) = self.lock().get_mut(attempt) {
            holding.stage = Stage::Abandoned;
        }
    }

    /// An attempt's slot was given back: free, or counted by the ledger until the backend's next report.
    pub(super) fn handed_back(&self, attempt: &AttemptId, why: HandBack) {
        match why {
            HandBack::Concurrency => self.abandon(attempt),
            HandBack::Unreachable => self.close(attempt),
        }
    }

    /// This router has nothing more to do with an attempt.
    pub(super) fn close(&self, attempt: &AttemptId) {
        self.lock().remove(attempt);
    }

    /// All attempts in a pool, and those whose fate only the ledger knows.
    pub(super) fn in_pool(&self, pool: &str) -> (Vec<AttemptId>, Vec<AttemptId>) {
        let held = self.lock();
        let here = || held.iter().filter(|(_, holding)| holding.pool == pool);
        let unsure = |stage: &Stage| matches!(stage, Stage::Waiting(_) | Stage::Abandoned);
        let check = here().filter(|(_, holding)| unsure(&holding.stage)).map(|(id, _)| id.clone());
        (here().map(|(id, _)| id.clone()).collect(), check.collect())
    }

    fn runs(&self, attempt: &AttemptId, place: Place) {
        if let Some(holding) = self.lock().get_mut(attempt) {
            holding.stage = Stage::Running(place);
        }
    }

    fn waits(&self, attempt: &AttemptId) {
        let mut held = self.lock();
        let Some(Holding { pool, stage: Stage::Asking(sender) }) = held.remove(attempt) else { return };
        held.insert(attempt.clone(), Holding { pool, stage: Stage::Waiting(sender) });
    }

    /// The sender of a ticket that waits; the ticket runs in `place` from now on, or is gone without one.
    fn take_sender(&self, attempt: &AttemptId, place: Option<Place>) -> Option<oneshot::Sender<Waited>> {
        let mut held = self.lock();
        let holding = held.remove(attempt)?;
        match (holding.stage, place) {
            (Stage::Asking(sender) | Stage::Waiting(sender), None) => Some(sender),
            (Stage::Asking(sender) | Stage::Waiting(sender), Some(place)) => {
                held.insert(attempt.clone(), Holding { pool: holding.pool, stage: Stage::Running(place) });
                Some(sender)
            }
            (stage, _) => {
                held.insert(attempt.clone(), Holding { pool: holding.pool, stage });
                None
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<AttemptId, Holding>> {
        self.attempts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn grant(granted: Granted, numbers: Option<Numbers>) -> Grant {
    Grant { attempt: granted.attempt, backend: granted.backend, url: granted.url, numbers }
}

fn rejection(refusal: Refusal, numbers: Option<Numbers>) -> Rejection {
    let retry_after = std::time::Duration::try_from_secs_f64(refusal.retry_after).unwrap_or_default();
    Rejection { reason: refusal.reason, retry_after, hopeless: refusal.hopeless, numbers }
}
