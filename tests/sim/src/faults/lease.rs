//! What a router does as a whole: it renews its lease, dies, and starts under another name.

use tidegate_admission::{AttemptId, Event, Renewal, Reply, time::SECOND};

use super::{
    END, Happening, Life, World,
    node::Node,
    router::{Call, Holding, Router, Stage, name},
};

impl World {
    /// A router renews, and hears what the ledger knows better.
    pub(super) fn router_renews(&mut self, router: usize, life: Life) {
        if !self.routers[router].is(life) || self.agenda.now() >= END {
            return;
        }
        self.agenda.after(SECOND, Happening::RouterRenews(router, life));
        let unsure = |holding: &Holding| matches!(holding.stage, Stage::Waiting(_) | Stage::Abandoned(_));
        let number = self.routers[router].next_number();
        let held = &self.routers[router].held;
        let renewal = Renewal {
            router: name(router, life),
            number,
            flags: String::new(),
            limits: self.routers[router].limits,
            known: held.keys().cloned().collect(),
            check: held.iter().filter(|(_, holding)| unsure(holding)).map(|(id, _)| id.clone()).collect(),
            reset_interval: 3 * SECOND,
        };
        self.call(router, Event::Renew(renewal), Call::Renews);
    }

    /// What the ledger knows better.
    pub(super) fn renewed(&mut self, router: usize, reply: &Reply) {
        let Reply::Renewed { granted, gone, recovering, roll } = reply else { return };
        for granted in granted {
            if matches!(self.routers[router].stage(&granted.attempt), Some(Stage::Abandoned(_))) {
                // The call that gave it up was lost.
                self.routers[router].held.remove(&granted.attempt);
            } else {
                self.run(router, granted);
            }
        }
        let mut lost = *recovering;
        for attempt in gone {
            match self.routers[router].stage(attempt) {
                Some(Stage::Abandoned(_)) => drop(self.routers[router].held.remove(attempt)),
                Some(Stage::Waiting(_) | Stage::Running(_)) => lost = true,
                Some(Stage::Asking) | None => {}
            }
        }
        if lost {
            self.rejoins(router);
        } else {
            self.routers[router].rejoin.fleet = roll.routers;
        }
    }

    /// Something that a living router waits for or runs, and that the account has lost, though nothing happened to it.
    pub(super) fn lost(&self) -> Option<&AttemptId> {
        let calm = self.weather.fair() && self.nodes.iter().all(Node::first_life);
        let held = self.routers.iter().filter(|router| calm && router.up).flat_map(|router| &router.held);
        let settled = held.filter(|(_, held)| matches!(held.stage, Stage::Waiting(_) | Stage::Running(_)));
        settled.map(|(id, _)| id).find(|id| !self.ledger.knows(id))
    }

    /// A router dies with all that it knew; its connections close.
    pub(super) fn router_dies(&mut self, router: usize, away: u64) {
        let life = self.routers[router].life;
        if !self.routers[router].up {
            return;
        }
        let limits = self.routers[router].limits;
        let mut dead = Router::new(limits);
        (dead.life, dead.up) = (life + 1, false);
        self.routers[router] = dead;
        for node in 0..self.nodes.len() {
            for attempt in self.nodes[node].work_of(router, life) {
                let delay = self.weather.with_node(&mut self.chance, node, self.agenda.now());
                self.agenda.after(delay, Happening::Stop(node, attempt));
            }
        }
        self.agenda.after(away, Happening::RouterIsBack(router));
    }

    /// A router starts, under another name.
    pub(super) fn router_is_back(&mut self, router: usize) {
        self.routers[router].up = true;
        self.agenda.after(0, Happening::RouterRenews(router, self.routers[router].life));
    }
}
