//! What this router itself holds: tickets that wait, slots that run, work that it gave up.
//!
//! The account is the truth; this is the router's side of it. It resolves the waits of this router's tickets, keeps
//! each attempt's place for a hand-back, and is what the router renews its lease with: an attempt that is missing here at
//! two renewals is freed there. So whatever goes wrong in a call, forgetting the attempt here makes the account right.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use foldhash::fast::RandomState;
use tidegate_admission::{
    Action, AttemptId, Caller, Granted, HandBack, Held, Numbers, Place, Refusal, Reply, Seat,
    Stage as HeldStage,
};
use tokio::sync::oneshot;

use super::{Admission, Grant, LedgerError, Rejection, Ticket, Waited};

/// What an attempt of this router is doing, as far as this router knows.
#[derive(Debug)]
enum Stage {
    /// The ledger has been asked and has not answered; the grant may be faster than the answer.
    Asking(oneshot::Sender<Waited>),
    /// It waits there.
    Waiting(oneshot::Sender<Waited>, Place),
    /// It has a slot.
    Running(Place, Seat),
    /// It was given up; the ledger counts it until its work has stopped.
    Abandoned(Place, Seat),
}

#[derive(Debug)]
struct Holding {
    pool: String,
    stage: Stage,
    /// Lives of backends that could not be reached for this request.
    avoid: Vec<String>,
    /// Whose it is, where keys are in use.
    caller: Option<Arc<Caller>>,
}

/// Everything that this router holds.
#[derive(Debug, Default)]
pub(super) struct Holdings {
    attempts: Mutex<HashMap<AttemptId, Holding, RandomState>>,
    /// Pools whose account this router keeps itself for now: what is pushed for them is of another account.
    deaf: Mutex<HashSet<String>>,
    /// How often this router has said something of itself as a whole.
    said: AtomicU64,
}

/// An attempt whose verdict is under way. Dropped without one (the caller gave up, the ledger is away), it is forgotten.
pub(super) struct Asking {
    holdings: Arc<Holdings>,
    attempt: AttemptId,
    grant: Option<oneshot::Receiver<Waited>>,
}

impl Holdings {
    /// An attempt is about to ask. Must come before the call, since its grant can overtake the answer.
    pub(super) fn open(
        self: &Arc<Self>,
        pool: &str,
        attempt: &AttemptId,
        caller: Option<Arc<Caller>>,
    ) -> Asking {
        self.open_avoiding(pool, attempt, Vec::new(), caller)
    }

    /// The same for the attempt that follows one whose slot comes back unused: that one is over, or counted by the ledger until
    /// its backend's next report.
    pub(super) fn open_next(
        self: &Arc<Self>,
        pool: &str,
        returned: &AttemptId,
        why: HandBack,
        next: &AttemptId,
    ) -> Asking {
        let (mut avoid, mut caller) = (Vec::new(), None);
        if let Some(holding) = self.lock().get_mut(returned)
            && let Holding { avoid: before, stage: Stage::Running(_, seat), .. } = holding
        {
            // What is left behind is nobody's.
            caller = holding.caller.take();
            avoid.clone_from(before);
            if why == HandBack::Unreachable {
                avoid.push(seat.life());
            }
        }
        let asking = self.open_avoiding(pool, next, avoid, caller);
        match why {
            HandBack::Concurrency => self.abandon(returned),
            HandBack::Unreachable => self.close(returned),
        }
        asking
    }

    fn open_avoiding(
        self: &Arc<Self>,
        pool: &str,
        attempt: &AttemptId,
        avoid: Vec<String>,
        caller: Option<Arc<Caller>>,
    ) -> Asking {
        let (sender, receiver) = oneshot::channel();
        let holding = Holding { pool: pool.to_owned(), stage: Stage::Asking(sender), avoid, caller };
        self.lock().insert(attempt.clone(), holding);
        Asking { holdings: Arc::clone(self), attempt: attempt.clone(), grant: Some(receiver) }
    }

    /// What the shared ledger pushed: counts unless this router keeps the pool's account itself.
    pub(super) fn pushed(&self, action: Action) {
        let id = match &action {
            Action::Grant(granted) => &granted.attempt,
            Action::Drop { attempt, .. } => attempt,
        };
        let pool = lock(&self.attempts).get(id).map(|holding| holding.pool.clone());
        if pool.is_some_and(|pool| !lock(&self.deaf).contains(&pool)) {
            self.deliver(action);
        }
    }

    /// Whether pushes for a pool count.
    pub(super) fn listen(&self, pool: &str, listens: bool) {
        let mut deaf = lock(&self.deaf);
        if listens {
            deaf.remove(pool)
        } else {
            deaf.insert(pool.to_owned())
        };
    }

    /// The number of what this router says next of itself as a whole. Taken before it looks at what it holds, so that what
    /// counts in the end was not seen before the last number was taken.
    pub(super) fn next_number(&self) -> u64 {
        self.said.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// All that this router holds in a pool, as it re-enters it, and the number of this word. What has no verdict yet holds
    /// nothing.
    pub(super) fn held(&self, pool: &str) -> (u64, Vec<Held>) {
        let number = self.next_number();
        let attempts = lock(&self.attempts);
        let here = attempts.iter().filter(|(_, holding)| holding.pool == pool);
        let held = here.filter_map(|(attempt, holding)| {
            let (place, stage) = match &holding.stage {
                Stage::Asking(_) => return None,
                Stage::Waiting(_, place) => (place, HeldStage::Waiting),
                Stage::Running(place, seat) => (place, HeldStage::Running(seat.clone())),
                Stage::Abandoned(place, seat) => (place, HeldStage::Abandoned(seat.clone())),
            };
            let (avoid, caller) = (holding.avoid.clone(), holding.caller.clone());
            Some(Held { attempt: attempt.clone(), place: *place, avoid, stage, caller })
        });
        (number, held.collect())
    }

    /// Resolves the wait of a ticket of this router; what is not this router's, or is resolved already, is ignored.
    pub(super) fn deliver(&self, action: Action) {
        match action {
            Action::Grant(granted) => {
                let id = granted.attempt.clone();
                let sender = self.take_sender(&id, Some(&granted));
                if sender.is_some_and(|sender| {
                    sender.send(Waited::Granted(Box::new(grant(granted, None)))).is_err()
                }) {
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

    /// Takes in what the ledger said of the attempts that it was asked for at a renewal. True where it has lost something that
    /// this router still holds.
    pub(super) fn reconcile(&self, granted: Vec<Granted>, gone: &[AttemptId]) -> bool {
        for granted in granted {
            let abandoned = matches!(
                self.lock().get(&granted.attempt),
                Some(Holding { stage: Stage::Abandoned(..), .. })
            );
            if abandoned {
                // The call that gave it up was lost.
                self.close(&granted.attempt);
            } else {
                self.deliver(Action::Grant(granted));
            }
        }
        let mut held = self.lock();
        let mut lost = false;
        for attempt in gone {
            match held.get(attempt).map(|holding| &holding.stage) {
                Some(Stage::Abandoned(..)) => drop(held.remove(attempt)),
                Some(Stage::Waiting(..) | Stage::Running(..)) => lost = true,
                Some(Stage::Asking(_)) | None => {}
            }
        }
        lost
    }

    /// The place of an attempt that has a slot.
    pub(super) fn place(&self, attempt: &AttemptId) -> Result<Place, LedgerError> {
        match self.lock().get(attempt) {
            Some(Holding { stage: Stage::Running(place, _), .. }) => Ok(*place),
            _ => Err(LedgerError::NotHeld(attempt.clone())),
        }
    }

    /// Whose an attempt is, where it came with a key.
    pub(super) fn caller(&self, attempt: &AttemptId) -> Option<Arc<Caller>> {
        self.lock().get(attempt)?.caller.clone()
    }

    /// This router has given an attempt up, and the ledger counts it until its work has stopped.
    pub(super) fn abandon(&self, attempt: &AttemptId) {
        if let Some(holding) = self.lock().get_mut(attempt)
            && let Stage::Running(place, seat) = &holding.stage
        {
            holding.stage = Stage::Abandoned(*place, seat.clone());
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
        held.retain(|_, holding| !matches!(&holding.stage, Stage::Waiting(sender, _) if sender.is_closed()));
        let here = || held.iter().filter(|(_, holding)| holding.pool == pool);
        let unsure = |stage: &Stage| matches!(stage, Stage::Waiting(..) | Stage::Abandoned(..));
        let check = here().filter(|(_, holding)| unsure(&holding.stage)).map(|(id, _)| id.clone());
        (here().map(|(id, _)| id.clone()).collect(), check.collect())
    }

    fn runs(&self, granted: &Granted) {
        if let Some(holding) = self.lock().get_mut(&granted.attempt) {
            holding.stage = Stage::Running(granted.place, seat(granted));
        }
    }

    fn waits(&self, attempt: &AttemptId, place: Place) {
        let mut held = self.lock();
        let Some(Holding { pool, stage, avoid, caller }) = held.remove(attempt) else { return };
        let stage = match stage {
            Stage::Asking(sender) => Stage::Waiting(sender, place),
            other => other,
        };
        held.insert(attempt.clone(), Holding { pool, stage, avoid, caller });
    }

    /// The sender of a ticket that waits; the ticket runs as granted from now on, or is gone without a grant.
    fn take_sender(&self, attempt: &AttemptId, granted: Option<&Granted>) -> Option<oneshot::Sender<Waited>> {
        let mut held = self.lock();
        let Holding { pool, stage, avoid, caller } = held.remove(attempt)?;
        let (stage, sender) = match (stage, granted) {
            (Stage::Asking(sender) | Stage::Waiting(sender, _), None) => return Some(sender),
            (Stage::Asking(sender) | Stage::Waiting(sender, _), Some(granted)) => {
                (Stage::Running(granted.place, seat(granted)), Some(sender))
            }
            (stage, _) => (stage, None),
        };
        held.insert(attempt.clone(), Holding { pool, stage, avoid, caller });
        sender
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<AttemptId, Holding, RandomState>> {
        lock(&self.attempts)
    }
}

impl Asking {
    /// The ledger has answered: what it means for the caller.
    pub(super) fn answered(mut self, reply: Reply) -> Result<Admission, LedgerError> {
        match (reply, self.grant.take()) {
            (Reply::Granted(granted, numbers), Some(_)) if granted.attempt == self.attempt => {
                self.holdings.runs(&granted);
                Ok(Admission::Granted(grant(granted, numbers)))
            }
            (Reply::Queued { position, place, numbers }, Some(receiver)) => {
                self.holdings.waits(&self.attempt, place);
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

fn seat(granted: &Granted) -> Seat {
    Seat { backend: granted.backend.clone(), epoch: granted.epoch.clone(), since: granted.since }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn grant(granted: Granted, numbers: Option<Numbers>) -> Grant {
    Grant { attempt: granted.attempt, backend: granted.backend, url: granted.url, numbers }
}

fn rejection(refusal: Refusal, numbers: Option<Numbers>) -> Rejection {
    let retry_after = Duration::try_from_secs_f64(refusal.retry_after).unwrap_or_default();
    Rejection { reason: refusal.reason, retry_after, hopeless: refusal.hopeless, numbers }
}

#[cfg(test)]
mod tests {
    use tidegate_admission::{Priority, Time};

    use super::*;

    #[test]
    fn the_slot_of_another_attempt_is_no_answer() {
        let place = Place { priority: Priority::Normal, arrival: 1, entered: Time(0), deadline: Time(9) };
        let word = |text: &str| text.to_owned();
        let granted = |attempt: &str| Granted {
            attempt: AttemptId::from(word(attempt)),
            router: word("r"),
            backend: word("b"),
            url: word("http://b"),
            epoch: word("e"),
            since: Time(1),
            place,
        };
        let holdings = Arc::new(Holdings::default());
        let (first, second) = (AttemptId::from(word("r-1")), AttemptId::from(word("r-2")));
        let asking = holdings.open("m", &first, None);
        let wrong = asking.answered(Reply::Granted(granted("r-2"), None));
        assert!(matches!(wrong, Err(LedgerError::Protocol(_))), "{wrong:?}");
        assert!(holdings.place(&first).is_err() && holdings.place(&second).is_err());
        let right = holdings.open("m", &first, None).answered(Reply::Granted(granted("r-1"), None));
        assert!(matches!(right, Ok(Admission::Granted(grant)) if grant.attempt == first));
        assert_eq!(holdings.place(&first), Ok(place));
    }
}
