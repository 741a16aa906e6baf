//! Time passes: estimates decay, and what is due expires before anything else happens.

use super::{Actions, BACKEND_LEASE, Pool, ROUTER_LEASE};
use crate::{
    decide::Reason,
    event::{Action, AttemptId, End},
    snapshot::Counted,
    time::Time,
};

impl Pool {
    /// Brings the account to `now`: backends and routers whose lease is over go, tickets whose time is over are
    /// dropped, and what came free by that goes to the first tickets.
    pub(super) fn advance(&mut self, now: Time, actions: &mut Actions) {
        let all_busy = self.slots > 0 && self.free.is_empty();
        let now = now.max(self.now);
        self.estimate.elapse(self.now, now, all_busy);
        self.now = now;
        self.expire_backends();
        self.expire_routers();
        self.expire_recovery();
        self.expire_tickets(actions);
        self.dispatch(actions);
    }

    /// The earliest instant at which something is due, if anything is.
    pub fn next_due(&self) -> Option<Time> {
        let ticket = self.deadlines.first().map(|(deadline, _)| *deadline);
        let backend = self.nodes.values().filter_map(|node| node.lease).min();
        let router = self.routers.values().map(|lease| lease.renewed.plus(ROUTER_LEASE)).min();
        let recovery = self.recovery.as_ref().map(|recovery| recovery.until);
        [ticket, backend, router, recovery].into_iter().flatten().min()
    }

    fn expire_backends(&mut self) {
        let now = self.now;
        let due = |lease: Option<Time>| lease.is_some_and(|lease| lease <= now);
        let gone: Vec<String> =
            self.nodes.iter().filter(|(_, node)| due(node.lease)).map(|(id, _)| id.clone()).collect();
        for id in gone {
            self.retire(&id);
        }
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
        if let Some(ticket) = self.remove(id) {
            actions.push(Action::Drop { attempt: id.clone(), router: ticket.router, reason });
        }
    }

    /// The end of a backend's lease when it renews now.
    pub(super) fn backend_lease(&self) -> Time {
        self.now.plus(BACKEND_LEASE)
    }
}
