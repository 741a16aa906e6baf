//! Free slots go to the first tickets, in the same step in which they came free.

use super::{Actions, Attempt, Pool, record::Phase};
use crate::event::{Action, AttemptId, Granted};

impl Pool {
    /// Gives every free slot to the first ticket that may have it. A ticket that avoids all free backends is passed
    /// over; the slots left after that are of no use to anybody who waits.
    pub(super) fn dispatch(&mut self, actions: &mut Actions) {
        let mut passed = None;
        while self.grants() && !self.free.is_empty() {
            let Some(ticket) = self.ticket_after(passed.as_ref()) else { return };
            match self.grant(&ticket.2) {
                Some(granted) => actions.push(Action::Grant(granted)),
                None => passed = Some(ticket),
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

    /// Gives a ticket a slot: on the backend that it prefers where that one is free, else on the least loaded one.
    fn grant(&mut self, id: &AttemptId) -> Option<Granted> {
        let attempt = self.attempts.get(id)?;
        let backend = self.free_backend(attempt)?;
        self.leave_queue(id);
        self.occupy(id, &backend);
        self.granted(id)
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

    /// Puts an attempt on a backend.
    pub(super) fn occupy(&mut self, id: &AttemptId, backend: &str) {
        let now = self.now;
        if let Some(attempt) = self.attempts.get_mut(id) {
            attempt.phase = Phase::Running { backend: backend.to_owned(), since: now };
            self.running += 1;
            self.change_node(backend, |node| node.running += 1);
        }
        self.serves(id);
    }

    /// The grant of an attempt that runs.
    pub(super) fn granted(&self, id: &AttemptId) -> Option<Granted> {
        let Attempt { router, place, phase: Phase::Running { backend, since }, .. } =
            self.attempts.get(id)?
        else {
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
