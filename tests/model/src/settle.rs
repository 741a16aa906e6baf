//! What becomes of a state in which all requests have ended: does every count come to zero within ten seconds?

use std::sync::Arc;

use tidegate_admission::Event;

use crate::{
    action::CutOff,
    facts::Spot,
    names::{Try, backend_id},
    setup::Setup,
    state::{Chore, Past, State},
};

/// Ticks in ten seconds.
const TEN_SECONDS: u32 = 4;

/// How work that was given up ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// It stops, and the routers and backends that live say so. No reset is needed.
    Confirmed,
    /// Work that a backend is at goes on for ever, and no backend reports: ten seconds are counted from the reset that
    /// finds it.
    Silent,
}

impl State {
    /// Whether every count comes to zero in time, once all requests have ended and whatever was under way
    /// is lost.
    pub fn settles(&self, setup: &Setup, ending: Ending) -> bool {
        if self.is_clean() || ending == Ending::Silent && !self.some_given_up() {
            return true;
        }
        let mut state = self.clone();
        state.fresh.clear();
        state.late.clear();
        let mut setup = setup.clone();
        if ending == Ending::Confirmed {
            setup.reset_interval = u32::MAX;
            state.machines.iter_mut().for_each(|machine| machine.work = None);
        }
        state.find_stopped(&setup);
        // A reset frees only what it finds unproved: it may take a second one.
        let ticks =
            if ending == Ending::Silent { 2 * setup.reset_interval + TEN_SECONDS } else { TEN_SECONDS };
        (0..ticks).any(|_| {
            state.tick(&setup, CutOff::Nobody);
            // Routers renew each second: at least twice in a tick.
            state.renew_all(&setup, CutOff::Nobody);
            if ending == Ending::Confirmed {
                state.report_all(&setup);
            }
            state.is_clean()
        })
    }

    /// Whether every count is zero, and nothing is on the account.
    ///
    /// One thing may be left for longer. An admission that runs a second time when its attempt has ended revives its
    /// ticket; where the router still renews that attempt as abandoned, the ticket waits until its time is over.
    fn is_clean(&self) -> bool {
        let facts = &self.ledger.facts;
        let revived = |one: Try| {
            let request = &self.requests[usize::from(one.request)];
            matches!(facts.spot(one), Spot::Queued(_)) && request.past[usize::from(one.number)].held
        };
        let tickets = facts.present().filter(|one| revived(*one)).count();
        facts.counts == [0, 0, tickets as u32] && facts.violated == 0 && facts.present().count() == tickets
    }

    fn some_given_up(&self) -> bool {
        let chores =
            self.requests.iter().flat_map(|request| request.past).any(|past| past != Past::default());
        chores || self.ledger.facts.entries.iter().any(|entry| matches!(entry.spot, Spot::Abandoned(..)))
    }

    /// Routers confirm what they have given up and no backend works on.
    fn find_stopped(&mut self, setup: &Setup) {
        for one in Try::all().filter(|one| usize::from(one.request) < setup.wishes.len()) {
            if self.past(one).chore != Chore::None && self.works_on(one).is_none() {
                *self.past(one) = Past::default();
                self.apply(setup, &Event::Confirm(one.id()));
            }
        }
    }

    fn report_all(&mut self, setup: &Setup) {
        for backend in (0..setup.backends).filter(|backend| self.machines[*backend].up) {
            Arc::make_mut(&mut self.ledger)
                .apply(setup.breakage, &Event::Reconcile(backend_id(backend), Vec::new()));
        }
    }
}
