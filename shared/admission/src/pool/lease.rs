//! The routers of a pool: they renew as a whole, and die as a whole.

use std::collections::HashSet;

use super::{PROOF_LASTS, Pool, ROUTER_LEASE, RouterLease, record::Phase};
use crate::{
    event::{AttemptId, Renewal, Reply, Roll},
    limits::Limits,
    time::Time,
};

impl Pool {
    /// Renews a router's lease, frees what the router has not known for two renewals, tells the fate of what it
    /// asks for, and reconciles abandoned work when that is due. One that comes twice, or late, only tells.
    pub(super) fn renew(&mut self, renewal: &Renewal) -> Reply {
        if self.is_news(&renewal.router, renewal.number) {
            self.put_lease(&renewal.router, renewal.number, &renewal.flags, &renewal.limits);
            self.free_unknown(&renewal.router, &renewal.known);
            if self.now.since(self.last_reset) >= renewal.reset_interval {
                self.reset(renewal.reset_interval);
            }
        }
        let granted = renewal.check.iter().filter_map(|id| self.granted(id)).collect();
        let gone = renewal.known.iter().filter(|id| !self.is_held_by(&renewal.router, id)).cloned().collect();
        Reply::Renewed { granted, gone, recovering: !self.grants(), roll: self.roll(&renewal.router) }
    }

    /// Whether a router says this for the first time, and has said nothing newer.
    pub(super) fn is_news(&self, router: &str, number: u64) -> bool {
        self.routers.get(router).is_none_or(|lease| lease.number < number)
    }

    /// The routers as one of them sees them.
    pub(super) fn roll(&self, router: &str) -> Roll {
        let before = self.routers.keys().take_while(|other| other.as_str() < router);
        Roll { at: self.now, routers: self.routers.len() as u32, rank: before.count() as u32 }
    }

    /// Gives a router a new lease.
    pub(super) fn put_lease(&mut self, router: &str, number: u64, flags: &str, limits: &Limits) {
        let lease = RouterLease {
            renewed: self.now,
            number,
            flags: flags.to_owned(),
            max_queue_size: limits.max_queue_size,
            pool_memory: limits.pool_memory,
        };
        self.routers.insert(router.to_owned(), lease);
        self.falls_due(self.now.plus(ROUTER_LEASE));
    }

    /// Sets the abandoned count to what is provably still running: what its backend has lately reported to hold, or
    /// what was given up only just now.
    fn reset(&mut self, reset_interval: u64) {
        let proof_lasts = PROOF_LASTS.min(reset_interval);
        let now = self.now;
        let stale = |proof: Time| now.since(proof) >= proof_lasts;
        let unproven: Vec<AttemptId> = self
            .attempts
            .iter()
            .filter(|(_, attempt)| matches!(attempt.phase, Phase::Abandoned { proof, .. } if stale(proof)))
            .map(|(id, _)| id.clone())
            .collect();
        self.mended.drift += unproven.len() as u32;
        for id in unproven {
            self.remove(&id);
        }
        self.forget_idle_keys();
        self.last_reset = now;
    }

    /// A router is dead: all that it held is free.
    pub(super) fn reap(&mut self, router: &str) {
        self.routers.remove(router);
        self.mended.routers += 1;
        let held: Vec<AttemptId> = self.held_by(router).cloned().collect();
        for id in held {
            self.reclaim(&id);
        }
    }

    fn free_unknown(&mut self, router: &str, known: &[AttemptId]) {
        let known: HashSet<&AttemptId> = known.iter().collect();
        let mut forgotten = Vec::new();
        for (id, attempt) in self.attempts.iter_mut().filter(|(_, attempt)| attempt.router == router) {
            let unknown = !known.contains(id);
            if unknown && attempt.suspect {
                forgotten.push(id.clone());
            }
            attempt.suspect = unknown;
        }
        for id in forgotten {
            self.reclaim(&id);
        }
    }

    /// Takes an attempt back that nobody gave back.
    fn reclaim(&mut self, id: &AttemptId) {
        match self.remove(id).map(|attempt| attempt.phase) {
            Some(Phase::Queued) => self.mended.tickets += 1,
            Some(Phase::Running { .. } | Phase::Abandoned { .. }) => self.mended.slots += 1,
            None => {}
        }
    }

    fn is_held_by(&self, router: &str, id: &AttemptId) -> bool {
        self.attempts.get(id).is_some_and(|attempt| attempt.router == router)
    }

    /// What a router holds, looked for among all attempts: a list by router would have to be kept with each that comes or goes.
    pub(super) fn held_by(&self, router: &str) -> impl Iterator<Item = &AttemptId> {
        self.attempts.iter().filter(move |(_, attempt)| attempt.router == router).map(|(id, _)| id)
    }
}
