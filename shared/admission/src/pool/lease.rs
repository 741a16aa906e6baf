//! The routers of a pool: they renew as a whole, and die as a whole.

use super::{PROOF_LASTS, Pool, RouterLease, record::Phase};
use crate::{
    event::{AttemptId, Renewal, Reply, Roll},
    limits::Limits,
    time::Time,
};

impl Pool {
    /// Renews a router's lease, frees what the router has not known for two renewals, tells the fate of what it
    /// asks for, and reconciles abandoned work when that is due.
    pub(super) fn renew(&mut self, renewal: &Renewal) -> Reply {
        self.put_lease(&renewal.router, &renewal.flags, &renewal.limits);
        self.free_unknown(&renewal.router, &renewal.known);
        if self.now.since(self.last_reset) >= renewal.reset_interval {
            self.reset(renewal.reset_interval);
        }
        let granted = renewal.check.iter().filter_map(|id| self.granted(id)).collect();
        let gone = renewal.known.iter().filter(|id| !self.is_held_by(&renewal.router, id)).cloned().collect();
        Reply::Renewed { granted, gone, recovering: !self.grants(), roll: self.roll(&renewal.router) }
    }

    /// The routers as one of them sees them.
    pub(super) fn roll(&self, router: &str) -> Roll {
        let before = self.routers.keys().filter(|other| other.as_str() < router);
        Roll { at: self.now, routers: self.routers.len() as u32, rank: before.count() as u32 }
    }

    /// Gives a router a new lease.
    pub(super) fn put_lease(&mut self, router: &str, flags: &str, limits: &Limits) {
        let lease = RouterLease {
            renewed: self.now,
            flags: flags.to_owned(),
            max_queue_size: limits.max_queue_size,
            pool_memory: limits.pool_memory,
        };
        self.routers.insert(router.to_owned(), lease);
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
        for id in unproven {
            self.remove(&id);
        }
        self.last_reset = now;
    }

    /// A router is dead: all that it held is free.
    pub(super) fn reap(&mut self, router: &str) {
        self.routers.remove(router);
        for id in self.held_by(router) {
            self.remove(&id);
        }
    }

    fn free_unknown(&mut self, router: &str, known: &[AttemptId]) {
        for id in self.held_by(router) {
            let is_known = known.contains(&id);
            let Some(attempt) = self.attempts.get_mut(&id) else { continue };
            if !is_known && attempt.suspect {
                self.remove(&id);
            } else {
                attempt.suspect = !is_known;
            }
        }
    }

    fn is_held_by(&self, router: &str, id: &AttemptId) -> bool {
        self.attempts.get(id).is_some_and(|attempt| attempt.router == router)
    }

    pub(super) fn held_by(&self, router: &str) -> Vec<AttemptId> {
        self.attempts
            .iter()
            .filter(|(_, attempt)| attempt.router == router)
            .map(|(id, _)| id.clone())
            .collect()
    }
}
