//! What must hold of each step of the account, and cannot be seen in a state: who was served first, and why things go.

use std::cmp::Ordering;

use tidegate_admission::{Action, Event, Outcome, Reason};

use crate::{
    facts::{Facts, Spot},
    ledger::Ledger,
    names::{LEASE, TICK, Try, number},
};

/// A promise that a step broke.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Breach {
    /// L4: a ticket was granted before an earlier one that could have had the slot.
    Overtaken,
    /// L4 with keys: a ticket was granted before another tenant's that had been served less, by weight.
    OutOfTurn,
    /// L4 with keys: a ticket does not stand where its tenant's last one ends, or at the place that is served.
    Misplaced,
    /// A ticket was granted after its time.
    GrantedLate,
    /// L2: an attempt lost what it held, and nothing that happened gave it back.
    TakenAway,
    /// A key holds or uses more than its limit.
    OverLimit,
    /// A request was refused that its key's limit allows.
    Withheld,
    /// L5: a request was started again after its first byte had gone to the client.
    RunTwice,
}

/// One event and what it did.
pub struct Step<'a> {
    /// The account before.
    pub before: &'a Facts,
    /// What happened.
    pub event: &'a Event,
    /// It is no copy of what was heard before, and not older than that.
    pub news: bool,
    /// What it caused.
    pub outcome: &'a Outcome,
    /// The account after.
    pub ledger: &'a Ledger,
}

impl Step<'_> {
    /// What the step broke. `granted`: attempt, backend and deadline of each grant in it.
    pub fn breach(&self, granted: &[(Try, u8, u32)]) -> Option<Breach> {
        if let Some(breach) = granted.iter().find_map(|(one, backend, _)| self.overtook(*one, *backend)) {
            return Some(breach);
        }
        if granted.iter().any(|(.., deadline)| *deadline <= self.ledger.now) {
            return Some(Breach::GrantedLate);
        }
        let after = &self.ledger.facts;
        let gone = self.before.present().filter(|one| after.spot(*one) == Spot::Absent);
        let mut unjustified = gone.filter(|one| !self.justified(*one) && !self.backend_gone(*one));
        unjustified.next().map(|_| Breach::TakenAway)
    }

    /// The promise that is broken where a ticket still waits that should have had this slot.
    fn overtook(&self, granted: Try, backend: u8) -> Option<Breach> {
        let facts = &self.ledger.facts;
        let life = facts.life(backend);
        let could_have_it = |other: &Try| {
            let entry = facts.entry(*other);
            matches!(entry.spot, Spot::Queued(_)) && entry.avoids & life == 0
        };
        Try::all().filter(could_have_it).find_map(|other| self.is_before(other, granted))
    }

    /// The promise that is broken where one ticket waits while another one is granted.
    fn is_before(&self, waits: Try, granted: Try) -> Option<Breach> {
        let priority =
            |one: Try| self.ledger.pool.attempts().get(&one.id()).map(|attempt| attempt.place.priority);
        let arrived = |one: Try| self.ledger.arrived[one.index()];
        match priority(waits).cmp(&priority(granted)) {
            Ordering::Less => Some(Breach::Overtaken),
            Ordering::Greater => None,
            Ordering::Equal if self.ledger.books.keyed() => self.ledger.books.out_of_turn(granted, waits),
            Ordering::Equal => (arrived(waits) < arrived(granted)).then_some(Breach::Overtaken),
        }
    }

    /// Whether an attempt that has gone from the account had a reason to.
    fn justified(&self, one: Try) -> bool {
        let is = |id| Try::of(id) == one;
        let spot = self.before.spot(one);
        match self.event {
            Event::Release(id, ..) => is(id),
            Event::Cancel(id, _) => is(id) && !matches!(spot, Spot::Abandoned(..)),
            Event::Abandon(id, ..) => is(id) && matches!(spot, Spot::Queued(_)),
            Event::Confirm(id) => is(id) && matches!(spot, Spot::Abandoned(..)),
            Event::HandBack(back) => is(&back.attempt) || self.dropped(one),
            Event::PutBackend(backend) => {
                let new = |on: u8| {
                    let old = self.before.backends[usize::from(on)];
                    number(&backend.id) == on && old.is_some_and(|old| old.epoch != number(&backend.epoch))
                };
                self.news && matches!(spot, Spot::Running(on, _) | Spot::Abandoned(on, _) if new(on))
            }
            Event::Reconcile(id, held) => {
                matches!(spot, Spot::Abandoned(on, _) if on == number(id)) && !held.iter().any(is)
            }
            Event::Renew(renewal) => {
                let unknown = !renewal.known.iter().any(is) && self.before.entry(one).suspect;
                self.news && (unknown || self.unproved(one, renewal.reset_interval))
            }
            Event::Tick => self.dropped(one) || self.router_died(one),
            Event::Admit(ask) => ask.caller.is_some() && self.dropped(one),
            // No router re-enters here: that is for the simulation of faults.
            Event::RemoveBackend(_) | Event::Reenter(_) | Event::Refused(_) => false,
        }
    }

    /// A ticket whose time is over, or the last one of a queue that became too long.
    fn dropped(&self, one: Try) -> bool {
        let Spot::Queued(place) = self.before.spot(one) else { return false };
        self.outcome.actions.iter().any(|action| match action {
            Action::Drop { attempt, reason, .. } if Try::of(attempt) == one => match reason {
                Reason::Deadline => place.deadline <= self.ledger.now,
                Reason::QueueFull => {
                    matches!(self.event, Event::Admit(_) | Event::HandBack(_) | Event::Tick)
                }
                _ => false,
            },
            _ => false,
        })
    }

    /// Given up, with a reset due, and nothing has lately shown that it runs.
    fn unproved(&self, one: Try, reset_interval: u64) -> bool {
        let due = u64::from(self.before.since_reset) * TICK >= reset_interval;
        let age = self.ledger.now - self.ledger.proved[one.index()];
        due && age >= LEASE && matches!(self.before.spot(one), Spot::Abandoned(..))
    }

    /// Given up on a backend that no longer renews, and nothing has lately shown that it runs.
    fn backend_gone(&self, one: Try) -> bool {
        let Spot::Abandoned(backend, _) = self.before.spot(one) else { return false };
        let live = |facts: &Facts| facts.backends[usize::from(backend)].is_some_and(|known| known.live);
        let goes = matches!(self.event, Event::Tick | Event::RemoveBackend(_));
        let gone = !live(self.before) || goes && !live(&self.ledger.facts);
        gone && self.ledger.now - self.ledger.proved[one.index()] >= LEASE
    }

    /// Its router's lease was over: one tick older than before.
    fn router_died(&self, one: Try) -> bool {
        let before = self.before.leases;
        let after = self.ledger.facts.leases;
        let died =
            |router: usize| before[router].is_some_and(|age| age + 1 >= LEASE) && after[router].is_none();
        died(usize::from(self.before.entry(one).router))
    }
}
