//! The backends of a pool: they register, renew, drain, report, restart and go.

use std::collections::HashSet;

use super::{BACKEND_LEASE, Node, Pool, record::Phase};
use crate::event::{AttemptId, Backend};

impl Pool {
    /// Registers or renews. Another epoch is another life: what the old one ran has stopped. While a backend renews, an
    /// older epoch is a registration of a former life that comes late; once it no longer does, any life may be its next, for
    /// its host's clock may have been put back.
    pub(super) fn put_backend(&mut self, backend: &Backend) {
        let present = self.nodes.get(&backend.id).filter(|node| node.lease.is_some());
        if present.is_some_and(|node| backend.epoch < node.epoch) {
            return;
        }
        if self.nodes.get(&backend.id).is_some_and(|node| node.epoch != backend.epoch) {
            self.free_all_on(&backend.id);
            self.retire(&backend.id);
        }
        self.backend_seen = self.now;
        self.backend_slots = backend.slots;
        let lease = self.now.plus(BACKEND_LEASE);
        self.falls_due(lease);
        if !self.nodes.contains_key(&backend.id) {
            self.nodes.insert(backend.id.clone(), Node::new(&backend.epoch));
        }
        self.change_node(&backend.id, |node| {
            node.url.clone_from(&backend.url);
            node.slots = backend.slots;
            node.draining = backend.draining;
            node.lease = Some(lease);
        });
    }

    /// A backend takes no work any more. Its record stays while something may still run on it, so that a
    /// registration that flaps loses no count.
    pub(super) fn retire(&mut self, id: &str) {
        self.change_node(id, |node| node.lease = None);
        // What was given up on it is looked through when time passes next.
        self.falls_due(self.now);
    }

    /// Abandoned attempts that the backend does not hold have stopped; those that it holds are proven to run.
    pub(super) fn reconcile(&mut self, id: &str, held: &[AttemptId]) {
        if self.nodes.get(id).is_none_or(|node| node.abandoned == 0) {
            return;
        }
        let now = self.now;
        let held: HashSet<&AttemptId> = held.iter().collect();
        let mut stopped = Vec::new();
        for (attempt_id, attempt) in &mut self.attempts {
            let Phase::Abandoned { backend, proof } = &mut attempt.phase else { continue };
            if backend.as_str() != id {
                continue;
            }
            if held.contains(attempt_id) {
                *proof = now;
            } else {
                stopped.push(attempt_id.clone());
            }
        }
        for attempt in stopped {
            self.confirm(&attempt);
        }
    }

    /// Changes a backend, and with it the pool's slots and the order of the free ones. One that has gone is forgotten once
    /// nothing is left on it.
    pub(super) fn change_node(&mut self, id: &str, change: impl FnOnce(&mut Node)) {
        let Some(node) = self.nodes.get_mut(id) else { return };
        let before = node.load().map(f64::to_bits);
        self.slots -= node.offers();
        change(node);
        self.slots += node.offers();
        let after = node.load().map(f64::to_bits);
        if node.lease.is_none() && node.used() == 0 {
            self.nodes.remove(id);
        }
        if before != after {
            self.reorder(id, before, after);
        }
    }

    /// Moves a backend to its new place among the free ones.
    fn reorder(&mut self, id: &str, before: Option<u64>, after: Option<u64>) {
        let mut entry = (0, id.to_owned());
        if let Some(load) = before {
            entry.0 = load;
            self.free.remove(&entry);
        }
        if let Some(load) = after {
            entry.0 = load;
            self.free.insert(entry);
        }
    }

    /// Whether some backend takes work that a ticket with this `avoid` may have.
    pub(super) fn some_live(&self, avoid: &[String]) -> bool {
        self.nodes.iter().any(|(id, node)| node.offers() > 0 && !avoid.contains(&node.life(id)))
    }

    fn free_all_on(&mut self, id: &str) {
        let on_it: Vec<AttemptId> = self
            .attempts
            .iter()
            .filter(|(_, attempt)| attempt.backend() == Some(id))
            .map(|(attempt, _)| attempt.clone())
            .collect();
        for attempt in on_it {
            self.remove(&attempt);
        }
    }
}

impl Node {
    /// A backend that nothing is known of but its name: it takes no work until it registers.
    pub(super) fn new(epoch: &str) -> Node {
        Node {
            url: String::new(),
            epoch: epoch.to_owned(),
            slots: 0,
            draining: false,
            lease: None,
            running: 0,
            abandoned: 0,
        }
    }
}
