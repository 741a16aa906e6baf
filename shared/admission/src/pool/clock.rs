//! Time passes: estimates decay, and what is due expires before anything else happens.

use super::{Actions, NEVER, PROOF_LASTS, Pool, ROUTER_LEASE, record::Phase};
use crate::{
    decide::Reason,
    event::{Action, AttemptId, End},
    snapshot::Counted,
    time::Time,
};

impl Pool {
    /// Brings the account to the present, as the caller's clock shows it, and expires what is due.
    pub(super) fn advance(&mut self, clock: Time, actions: &mut Actions) {
        let all_busy = self.slots > 0 && self.free.is_empty();
        // A clock that was put back, or another one that is behind, goes on from here at its own pace: leases that waited until
        // it had caught up would keep what the dead held.
        self.skew += self.now.since(clock.plus(self.skew));
        let now = clock.plus(self.skew);
        self.estimate.elapse(self.now, now, all_busy);
        self.now = now;
        if self.due <= now {
            self.expire(actions);
            self.due = self.earliest().unwrap_or(NEVER);
        }
    }

    /// Backends and routers whose lease is over go, tickets whose time is over are dropped, and what came free by that
    /// goes to the first tickets. The queue may be too long for the routers that are left.
    fn expire(&mut self, actions: &mut Actions) {
        self.expire_backends();
        self.stop_on_gone_backends();
        let allowed = self.largest_limit();
        self.expire_routers();
        self.expire_recovery();
        self.expire_tickets(actions);
        self.dispatch(None, actions);
        self.make_room(allowed.saturating_sub(self.largest_limit()), actions);
    }

    /// An instant before which nothing is due, on the clock that the caller goes by; `None` where nothing ever is.
    pub fn next_due(&self) -> Option<Time> {
        (self.due < NEVER).then(|| Time(self.due.0.saturating_sub(self.skew)))
    }

    /// Something will be due then.
    pub(super) fn falls_due(&mut self, at: Time) {
        self.due = self.due.min(at);
    }

    /// The instant at which the first thing is due, looked up anew.
    pub(crate) fn earliest(&self) -> Option<Time> {
        let ticket = self.deadlines.first().map(|(deadline, _)| *deadline);
        let backend = self.nodes.values().filter_map(|node| node.lease).min();
        let router = self.routers.values().map(|lease| lease.renewed.plus(ROUTER_LEASE)).min();
        let recovery = self.recovery.as_ref().map(|recovery| recovery.until);
        let stopped = self.given_up_on_gone_backends().map(|(_, proof)| proof.plus(PROOF_LASTS)).min();
        [ticket, backend, router, recovery, stopped].into_iter().flatten().min()
    }

    fn expire_backends(&mut self) {
        let now = self.now;
        let due = |lease: Option<Time>| lease.is_some_and(|lease| lease <= now);
        let gone: Vec<String> =
            self.nodes.iter().filter(|(_, node)| due(node.lease)).map(|(id, _)| id.clone()).collect();
        self.mended.backends += gone.len() as u32;
        for id in gone {
            self.retire(&id);
        }
    }

    /// Nobody reports on a backend that has gone: what was given up on it has stopped once nothing has proved for
    /// [`PROOF_LASTS`] that it runs.
    pub(super) fn stop_on_gone_backends(&mut self) {
        let now = self.now;
        let stopped: Vec<AttemptId> = self
            .given_up_on_gone_backends()
            .filter(|(_, proof)| now.since(*proof) >= PROOF_LASTS)
            .map(|(id, _)| id.clone())
            .collect();
        for id in stopped {
            self.remove(&id);
        }
    }

    /// Abandoned attempts on backends that have gone, and when each was last known to run. Mostly none has gone, and
    /// then nothing is looked through.
    fn given_up_on_gone_backends(&self) -> impl Iterator<Item = (&AttemptId, Time)> {
        let some_gone = self.nodes.values().any(|node| node.lease.is_none());
        let attempts = some_gone.then_some(&self.attempts).into_iter().flatten();
        attempts.filter_map(|(id, attempt)| match &attempt.phase {
            Phase::Abandoned { backend, proof } => {
                let gone = self.nodes.get(backend).is_some_and(|node| node.lease.is_none());
                gone.then_some((id, *proof))
            }
            Phase::Queued | Phase::Running { .. } => None,
        })
    }

    fn expire_routers(&mut self) {
        let now = self.now;
        let dead: Vec<String> = self
            .routers
            .iter()
            .filter(|(_, lease)| lease.renewed.plus(ROUTER_LEASE) <= now)
            .map(|(id, _)| id.clone())
            .collect();
        for router in &dead {
            self.reap(router);
        }
        if dead.len() > 1 && self.routers.is_empty() {
            // All of them at once: it was the account that was away, and the routers still hold what they held.
            self.begin_recovery(dead.len() as u32);
        }
    }

    fn expire_tickets(&mut self, actions: &mut Actions) {
        while let Some((deadline, id)) = self.deadlines.first() {
            if *deadline > self.now {
                break;
            }
            let id = id.clone();
            self.drop_ticket(&id, Reason::Deadline, actions);
            self.count(Counted::Ended(End::TimedOut));
        }
    }

    /// Takes a ticket out of the queue and tells its router.
    pub(super) fn drop_ticket(&mut self, id: &AttemptId, reason: Reason, actions: &mut Actions) {
        if let Some(ticket) = self.attempts.remove(id) {
            self.refund(&ticket);
            self.part_with(id, &ticket);
            actions.push(Action::Drop { attempt: id.clone(), router: ticket.router, reason });
        }
    }
}
