//! Free slots go to the first tickets, in the same step in which they came free.

use super::{Actions, Attempt, Pool, record::Phase};
use crate::event::{Action, AttemptId, Granted};

impl Pool {
    /// Gives every free slot to the first ticket that may have it. A ticket that avoids all free backends is passed
    /// over; the slots left after that are of no use to anybody who waits. The grant of the attempt that asks is its answer, and
    /// no action.
    pub(super) fn dispatch(&mut self, asking: Option<&AttemptId>, actions: &mut Actions) {
        let mut passed = None;
        while self.grants() && !self.free.is_empty() {
            let Some(ticket) = self.ticket_after(passed.as_ref()) else { return };
            if !self.grant(&ticket.2) {
                passed = Some(ticket);
            } else if asking != Some(&ticket.2) {
                actions.extend(self.granted(&ticket.2).map(Action::Grant));
            }
        }
    }

    fn ticket_after(&self, passed: Option<&(usize, u64, AttemptId)>) -> Option<(usize, u64, AttemptId)> {
        use std::ops::Bound::{Excluded, Unbounded};
        match passed {
            None => self.queue.first().cloned(),
            Some(passed) => self.queue.range((Excluded(passed), Unbounded)).next().cloned(),
        }
    }

    /// Gives a ticket a slot: on the backend that it prefers where that one is free, else on the least loaded one. False where
    /// there is none that it may have.
    fn grant(&mut self, id: &AttemptId) -> bool {
        let Some(ticket) = self.attempts.get(id) else { return false };
        let Some(backend) = self.free_backend(ticket) else { return false };
        let (place, caller) = (ticket.place, ticket.caller.clone());
        self.leave_queue(id, place, caller.as_deref());
        self.serves(place, caller.as_deref());
        let runs = self.occupy(backend);
        if let Some(ticket) = self.attempts.get_mut(id) {
            ticket.phase = runs;
        }
        true
    }

    /// The backend of a request that has come in and does not stand in the queue, where nobody waits before it. Most requests
    /// find a free slot: they need no place in the queue for it. The turns of tenants are kept by their tickets.
    pub(super) fn free_at_once(&self, ticket: &Attempt) -> Option<String> {
        let at_once = self.queue.is_empty() && self.grants() && ticket.caller.is_none();
        at_once.then(|| self.free_backend(ticket)).flatten()
    }

    /// The preferred backend, or the least loaded one, with a free slot and a life that the ticket does not avoid; the first
    /// id where loads are equal.
    fn free_backend(&self, ticket: &Attempt) -> Option<String> {
        let avoid = &ticket.avoid;
        let allowed = |id: &String| {
            avoid.is_empty() || self.nodes.get(id).is_some_and(|node| !avoid.contains(&node.life(id)))
        };
        let has_a_slot = |id: &&String| self.nodes.get(*id).is_some_and(|node| node.load().is_some());
        if let Some(id) = ticket.prefer.as_ref().filter(has_a_slot).filter(|id| allowed(id)) {
            return Some(id.clone());
        }
        self.free.iter().map(|(_, id)| id).find(|id| allowed(id)).cloned()
    }

    /// Takes a slot of a backend: whoever has it runs from now on.
    pub(super) fn occupy(&mut self, backend: String) -> Phase {
        self.running += 1;
        self.change_node(&backend, |node| node.running += 1);
        Phase::Running { backend, since: self.now }
    }

    /// The grant of an attempt on the account that runs.
    pub(super) fn granted(&self, id: &AttemptId) -> Option<Granted> {
        self.grant_of(id, self.attempts.get(id)?)
    }

    /// The grant of an attempt that runs.
    pub(super) fn grant_of(&self, id: &AttemptId, attempt: &Attempt) -> Option<Granted> {
        let Attempt { router, place, phase: Phase::Running { backend, since }, .. } = attempt else {
            return None;
        };
        let node = self.nodes.get(backend)?;
        Some(Granted {
            attempt: id.clone(),
            router: router.clone(),
            backend: backend.clone(),
            url: node.url.clone(),
            epoch: node.epoch.clone(),
            since: *since,
            place: *place,
        })
    }
}
