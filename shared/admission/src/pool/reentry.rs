//! Routers come back after a time without the account, or to an account that has lost something, and say what they hold.

use std::collections::BTreeSet;

use super::{Actions, Attempt, Node, PROOF_LASTS, Pool, ROUTER_LEASE, Recovery, admit::Wish, record::Phase};
use crate::{
    decide::Reason,
    event::{Action, AttemptId, End, Held, Reentry, Reply, Seat, Stage},
    snapshot::Counted,
};

impl Pool {
    /// Enters all that a router holds, even where that passes a limit: the work is there. Its word replaces what the
    /// account has of its attempts; what it leaves out is freed at once. One that comes twice, or late, changes nothing.
    pub(super) fn reenter(&mut self, reentry: &Reentry, actions: &mut Actions) -> Reply {
        if self.is_news(&reentry.router, reentry.number) {
            self.take_word(reentry, actions);
            self.dispatch(None, actions);
        }
        Reply::Reentered { recovering: !self.grants(), roll: self.roll(&reentry.router) }
    }

    fn take_word(&mut self, reentry: &Reentry, actions: &mut Actions) {
        self.put_lease(&reentry.router, reentry.number, &reentry.flags, &reentry.limits);
        if self.remembers_nobody_but(&reentry.router) || self.recovery.is_some() {
            self.begin_recovery(reentry.routers);
        }
        let listed: BTreeSet<&AttemptId> = reentry.held.iter().map(|held| &held.attempt).collect();
        let mine = self.held_by(&reentry.router);
        let left_out: Vec<AttemptId> = mine.filter(|id| !listed.contains(id)).cloned().collect();
        for id in left_out {
            self.remove(&id);
        }
        for held in &reentry.held {
            self.enter(&reentry.router, held, actions);
        }
        self.is_back(&reentry.router);
    }

    /// From now on nothing is granted, for the length of one lease at most, until so many routers have said what they hold.
    pub(super) fn begin_recovery(&mut self, routers: u32) {
        let until = self.now.plus(ROUTER_LEASE);
        let recovery =
            self.recovery.get_or_insert_with(|| Recovery { until, routers, back: BTreeSet::new() });
        recovery.routers = recovery.routers.max(routers);
        self.falls_due(until);
    }

    /// Ends a recovery that has lasted long enough.
    pub(super) fn expire_recovery(&mut self) {
        if self.recovery.as_ref().is_some_and(|recovery| recovery.until <= self.now) {
            self.recovery = None;
        }
    }

    /// Ends a recovery that this router was the last to come back from.
    fn is_back(&mut self, router: &str) {
        let Some(recovery) = &mut self.recovery else { return };
        recovery.back.insert(router.to_owned());
        if recovery.back.len() >= recovery.routers as usize {
            self.recovery = None;
        }
    }

    /// Whether this router is the first that an account which knows nothing meets.
    fn remembers_nobody_but(&self, router: &str) -> bool {
        self.attempts.is_empty() && self.routers.keys().all(|known| known == router)
    }

    fn enter(&mut self, router: &str, held: &Held, actions: &mut Actions) {
        if self.stands(held) {
            return;
        }
        let before = self.remove(&held.attempt);
        let charged = before.as_ref().map_or(0, |attempt| attempt.charged);
        let (prefer, caller) = (before.and_then(|attempt| attempt.prefer), held.caller.clone());
        let wish = Wish { avoid: held.avoid.clone(), prefer, caller, charged };
        if held.caller.is_none() {
            self.arrivals = self.arrivals.max(held.place.arrival);
        }
        match &held.stage {
            Stage::Waiting if held.place.deadline <= self.now => {
                let (attempt, router) = (held.attempt.clone(), router.to_owned());
                actions.push(Action::Drop { attempt, router, reason: Reason::Deadline });
                self.count(Counted::Ended(End::TimedOut));
            }
            Stage::Waiting => self.enqueue(&held.attempt, router, held.place, wish),
            Stage::Running(seat) => {
                // The clock of the account that granted it may have been ahead of this one's.
                let since = seat.since.min(self.now);
                let phase = Phase::Running { backend: seat.backend.clone(), since };
                self.seat(router, held, seat, (phase, charged));
            }
            Stage::Abandoned(seat) => {
                let phase = Phase::Abandoned { backend: seat.backend.clone(), proof: self.now };
                self.seat(router, held, seat, (phase, charged));
            }
        }
    }

    /// Whether the account has an attempt just as its router holds it.
    fn stands(&mut self, held: &Held) -> bool {
        let Some(attempt) = self.attempts.get_mut(&held.attempt) else { return false };
        let same = match (&attempt.phase, &held.stage) {
            (Phase::Queued, Stage::Waiting) => true,
            (Phase::Running { backend, .. }, Stage::Running(seat))
            | (Phase::Abandoned { backend, .. }, Stage::Abandoned(seat)) => *backend == seat.backend,
            _ => false,
        };
        attempt.suspect &= !same;
        same
    }

    /// Puts an attempt on the backend that it runs on. Work of another life of the backend than the one that is registered has
    /// ended with it; a backend that the account does not know is remembered by its name until it registers.
    fn seat(&mut self, router: &str, held: &Held, seat: &Seat, (phase, charged): (Phase, u64)) {
        if !self.nodes.contains_key(&seat.backend) {
            self.nodes.insert(seat.backend.clone(), Node::new(&seat.epoch));
        }
        if self.nodes.get(&seat.backend).is_some_and(|node| node.epoch != seat.epoch) {
            return;
        }
        let runs = matches!(phase, Phase::Running { .. });
        let router = router.to_owned();
        let avoid = held.avoid.clone();
        let (place, caller) = (held.place, held.caller.clone());
        if let Some(caller) = &caller {
            self.comes(caller, place, charged, false);
        }
        if runs {
            self.serves(place, caller.as_deref());
        } else {
            self.falls_due(self.now.plus(PROOF_LASTS));
        }
        let attempt = Attempt { router, place, phase, avoid, prefer: None, suspect: false, caller, charged };
        self.attempts.insert(held.attempt.clone(), attempt);
        let one = u32::from(runs);
        self.running += one;
        self.abandoned += 1 - one;
        self.change_node(&seat.backend, |node| {
            node.running += one;
            node.abandoned += 1 - one;
        });
    }
}
