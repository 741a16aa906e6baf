//! What this router itself holds: tickets that wait, slots that run, work that it gave up.
//!
//! The account is the truth; this is the router's side of it. It resolves the waits of this router's tickets, keeps
//! each attempt's place for a hand-back, and is what the router renews its lease with: an attempt that is missing here at
//! two renewals is freed there. So whatever goes wrong in a call, forgetting the attempt here makes the account right.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
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

/// An attempt whose verdict is under way. Dropped without one (the caller gave up, the ledger is away), it is forgotten.
pub(super) struct Asking {
    holdings: Arc<Holdings>,
    attempt: AttemptId,
    grant: Option<oneshot::Receiver<Waited>>,
}

impl Holdings {
    /// An attempt is about to ask. Must come before the call, since its grant can overtake the answer.
    pub(super) fn open(self: &Arc<Self>, pool: &str, attempt: &AttemptId) -> Asking {
        let (sender, receiver) = oneshot::channel();
        let holding = Holding { pool: pool.to_owned(), stage: Stage::Asking(sender) };
        self.lock().insert(attempt.clone(), holding);
        Asking { holdings: Arc::clone(self), attempt: attempt.clone(), grant: Some(receiver) }
    }

    /// Resolves the wait of a ticket of this router; what is not this router's, or is resolved already, is ignored.
    pub(super) fn deliver(&self, action: Action) {
        match action {
            Action::Grant(granted) => {
                let id = granted.attempt.clone();
                let sender = self.take_sender(&id, Some(granted.place));
                if sender.is_some_and(|sender| sender.send(Waited::Granted(grant(granted, None))).is_err()) {
                    // Nobody waits for it any more: the caller cancels, and if not, the next renewals do.
                    self.close(&id);
                }
            }
            Action::Drop { attempt, reason, .. } => {
                if let Some(sender) = self.take_sender(&attempt, None) {
                    drop(sender.send(Waited::Dropped(reason)));
                }
            }
        }
    }

    /// Takes in what the ledger said of the attempts that it was asked for at a renewal.
    pub(super) fn reconcile(&self, granted: Vec<Granted>, gone: &[AttemptId]) {
        for granted in granted {
            let abandoned =
                matches!(self.lock().get(&granted.attempt), Some(Holding { stage: Stage::Abandoned, .. }));
            if abandoned {
                // The call that gave it up was lost.
                self.close(&granted.attempt);
            } else {
                self.deliver(Action::Grant(granted));
            }
        }
        let mut held = self.lock();
        for attempt in gone {
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

    /// All attempts in a pool, and those whose fate only the ledger knows. A ticket for which nobody waits any more is
    /// left out, and so freed.
    pub(super) fn in_pool(&self, pool: &str) -> (Vec<AttemptId>, Vec<AttemptId>) {
        let mut held = self.lock();
        held.retain(|_, holding| !matches!(&holding.stage, Stage::Waiting(sender) if sender.is_closed()));
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
        match held.remove(attempt) {
            Some(Holding { pool, stage: Stage::Asking(sender) }) => {
                held.insert(attempt.clone(), Holding { pool, stage: Stage::Waiting(sender) });
            }
            Some(other) => {
                held.insert(attempt.clone(), other);
            }
            None => {}
        }
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

impl Asking {
    /// The ledger has answered: what it means for the caller.
    pub(super) fn answered(mut self, reply: Reply) -> Result<Admission, LedgerError> {
        match (reply, self.grant.take()) {
            (Reply::Granted(granted, numbers), Some(_)) => {
                self.holdings.runs(&self.attempt, granted.place);
                Ok(Admission::Granted(grant(granted, numbers)))
            }
            (Reply::Queued { position, numbers, .. }, Some(receiver)) => {
                self.holdings.waits(&self.attempt);
                let attempt = self.attempt.clone();
                Ok(Admission::Queued(Ticket { attempt, position, grant: receiver, numbers }))
            }
            (Reply::Rejected(refusal, numbers), _) => {
                self.holdings.close(&self.attempt);
                Ok(Admission::Rejected(rejection(refusal, numbers)))
            }
            _ => {
                self.holdings.close(&self.attempt);
                Err(LedgerError::Protocol(format!("no verdict on attempt {}", self.attempt)))
            }
        }
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        if self.grant.is_some() {
            self.holdings.close(&self.attempt);
        }
    }
}

fn grant(granted: Granted, numbers: Option<Numbers>) -> Grant {
    Grant { attempt: granted.attempt, backend: granted.backend, url: granted.url, numbers }
}

fn rejection(refusal: Refusal, numbers: Option<Numbers>) -> Rejection {
    let retry_after = Duration::try_from_secs_f64(refusal.retry_after).unwrap_or_default();
    Rejection { reason: refusal.reason, retry_after, hopeless: refusal.hopeless, numbers }
}
