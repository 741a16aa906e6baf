//! How a router comes back to an account that has lost something that it holds: it says all of it, and until that is heard its
//! other calls wait.

use tidegate_admission::{Event, Held, Reentry, Reply, Seat, Stage as HeldStage};

use super::{
    END, Happening, Life, World,
    node::{self, epoch},
    router::{Call, Router, Slot, Stage, name},
};

/// Microseconds from one attempt to come back to the next.
const RETURN_EVERY: u64 = 100_000;

/// A router's way back.
#[derive(Debug, Default)]
pub(super) struct Rejoin {
    /// It is on its way.
    under_way: bool,
    /// Routers that it last heard of.
    pub(super) fleet: u32,
    /// Calls that are made, or made again, once it is back.
    held_up: Vec<(Call, Event)>,
}

impl Rejoin {
    /// Keeps a call back while the router is on its way. A renewal that would say less is left out.
    pub(super) fn hold_up(&mut self, call: Call, event: Event) -> Option<(Call, Event)> {
        match call {
            _ if !self.under_way => Some((call, event)),
            Call::Reenters => Some((call, event)),
            Call::Renews => None,
            Call::Asks(_) | Call::GivesBack(..) => {
                self.held_up.push((call, event));
                None
            }
        }
    }
}

impl World {
    /// The account has lost something: what is under way is asked again later.
    pub(super) fn rejoins(&mut self, router: usize) {
        let Router { calls, rejoin, .. } = &mut self.routers[router];
        if rejoin.under_way {
            return;
        }
        rejoin.under_way = true;
        for (call, event) in std::mem::take(calls).into_values() {
            rejoin.hold_up(call, event);
        }
        self.reenters(router, self.routers[router].life);
    }

    /// Says all that a router holds. What has no verdict yet holds nothing.
    pub(super) fn reenters(&mut self, router: usize, life: Life) {
        if !self.routers[router].is(life) || self.agenda.now() >= END {
            return;
        }
        let number = self.routers[router].next_number();
        let Router { held, limits, rejoin, .. } = &self.routers[router];
        let held = held.iter().filter_map(|(attempt, holding)| {
            let (place, stage) = match holding.stage {
                Stage::Asking => return None,
                Stage::Waiting(place) => (place, HeldStage::Waiting),
                Stage::Running(slot) => (slot.place, HeldStage::Running(seat(slot))),
                Stage::Abandoned(slot) => (slot.place, HeldStage::Abandoned(seat(slot))),
            };
            let avoid = self.requests[holding.request].avoid.clone();
            Some(Held { attempt: attempt.clone(), place, avoid, stage, caller: None })
        });
        let reentry = Reentry {
            router: name(router, life),
            number,
            flags: String::new(),
            limits: *limits,
            routers: rejoin.fleet.max(1),
            held: held.collect(),
        };
        self.call(router, Event::Reenter(reentry), Call::Reenters);
    }

    /// The account has heard: it is right again, or waits for others.
    pub(super) fn reentered(&mut self, router: usize, reply: &Reply) {
        let Reply::Reentered { recovering, roll } = reply else { return };
        if *recovering {
            self.rejoins_later(router);
            return;
        }
        let rejoin = &mut self.routers[router].rejoin;
        (rejoin.under_way, rejoin.fleet) = (false, roll.routers);
        for (call, event) in std::mem::take(&mut rejoin.held_up) {
            let (Call::Asks(attempt) | Call::GivesBack(_, attempt)) = &call else { continue };
            if self.routers[router].stage(attempt) == Some(Stage::Asking) {
                self.call(router, event, call);
            }
        }
    }

    /// It tries again.
    pub(super) fn rejoins_later(&mut self, router: usize) {
        let life = self.routers[router].life;
        self.agenda.after(RETURN_EVERY, Happening::Rejoins(router, life));
    }
}

pub(super) fn seat(slot: Slot) -> Seat {
    Seat { backend: node::name(slot.node), epoch: epoch(slot.life), since: slot.since }
}
