//! The real pool, and all that is looked at after each of its steps.

use std::collections::{BTreeMap, BTreeSet};

use tidegate_admission::{
    Action, AttemptId, Event, Granted, Outcome, Pool, Priority, Reply, Time, invariants,
    pool::{Attempt, Phase},
};

use super::{
    CALM, END, Happening, Life, World,
    node::node_of,
    router::{Stage, name, router_of},
    weather::Party,
};

/// Microseconds from one tick to the next.
const TICK: u64 = 20_000;

/// The pool and what it has done.
#[derive(Debug)]
pub(super) struct Ledger {
    pool: Pool,
    /// Attempts that were ever granted.
    granted: BTreeSet<AttemptId>,
    /// Where each attempt's request stood when it was first let in: a ticket that is handed back keeps its place.
    places: BTreeMap<AttemptId, (Priority, u64)>,
    /// Tickets that were dropped.
    dropped: BTreeSet<AttemptId>,
    /// Of attempts that were granted, had ended, and were granted again.
    pub(super) ghosts: u64,
    pub(super) events: u64,
    /// Words of routers that came back with something: it may pass the limits.
    pub(super) reentries: u64,
    /// When the account last held anything.
    pub(super) last_busy: Time,
}

impl Ledger {
    pub(super) fn new() -> Ledger {
        let (pool, places, last_busy) = (Pool::new(Time(0)), BTreeMap::new(), Time(0));
        let (granted, dropped) = (BTreeSet::new(), BTreeSet::new());
        Ledger { pool, granted, places, dropped, ghosts: 0, events: 0, reentries: 0, last_busy }
    }

    /// Slots on the account.
    pub(super) fn slots(&self) -> u32 {
        self.pool.view().slots
    }

    /// What the account still holds, if anything.
    pub(super) fn left(&self) -> Option<String> {
        let view = self.pool.view();
        let zero = (view.running, view.abandoned, view.queued) == (0, 0, [0; 3]);
        (!zero || !self.pool.attempts().is_empty()).then(|| format!("{view:?} {:?}", self.pool.attempts()))
    }

    /// Applies an event and looks at everything. The second part names what is wrong.
    fn apply(&mut self, clock: Time, real: Time, largest: u32, event: &Event) -> (Outcome, Option<String>) {
        let asks = asks(event).filter(|id| !self.runs(id)).cloned();
        let outcome = self.pool.apply(clock, event);
        self.events += 1;
        self.reentries += u64::from(matches!(event, Event::Reenter(reentry) if !reentry.held.is_empty()));
        if self.left().is_some() {
            self.last_busy = real;
        }
        self.remember(event, &outcome);
        let wrong = self.wrong(asks.as_ref(), &outcome, largest);
        (outcome, wrong)
    }

    fn remember(&mut self, event: &Event, outcome: &Outcome) {
        for action in &outcome.actions {
            if let Action::Drop { attempt, .. } = action {
                self.dropped.insert(attempt.clone());
            }
        }
        let place = match event {
            Event::Admit(ask) => self.pool.attempts().get(&ask.attempt).map(|attempt| attempt.place),
            Event::HandBack(back) => Some(back.place),
            _ => None,
        };
        if let (Some(id), Some(place)) = (asks(event), place) {
            self.places.insert(id.clone(), (place.priority, place.arrival));
        }
    }

    /// Whether an attempt is on the account, or its router is about to hear that it was dropped.
    pub(super) fn knows(&self, id: &AttemptId) -> bool {
        self.pool.attempts().contains_key(id) || self.dropped.contains(id)
    }

    /// Whether it is on the account.
    pub(super) fn has(&self, id: &AttemptId) -> bool {
        self.pool.attempts().contains_key(id)
    }

    fn runs(&self, id: &AttemptId) -> bool {
        self.pool.attempts().get(id).is_some_and(|attempt| attempt.backend().is_some())
    }

    fn wrong(&mut self, asks: Option<&AttemptId>, outcome: &Outcome, largest: u32) -> Option<String> {
        let mut broken = invariants::violated(&self.pool);
        let passes_limits = |name: &&str| name.starts_with("bounded") || name.starts_with("within slots");
        broken.retain(|name| self.reentries == 0 || !passes_limits(name));
        if !broken.is_empty() {
            return Some(format!("{broken:?}"));
        }
        let queued = self.pool.view().queued_total();
        if queued > largest && self.reentries == 0 {
            return Some(format!("L1: {queued} tickets, and no limit above {largest}"));
        }
        for granted in grants(asks, outcome) {
            if self.overtook(granted) {
                return Some(format!("L4: {granted:?} was not the first"));
            }
            if !self.granted.insert(granted.attempt.clone()) {
                self.ghosts += 1;
            }
        }
        None
    }

    /// Whether a ticket waits that should have been served before this grant: one with an earlier place that would have
    /// gone to that backend.
    fn overtook(&self, granted: &Granted) -> bool {
        let place = |id: &AttemptId| self.places.get(id);
        let life = format!("{}\n", granted.backend);
        let avoids = |ticket: &Attempt| ticket.avoid.iter().any(|avoided| avoided.starts_with(&life));
        self.pool.attempts().iter().any(|(id, other)| {
            other.phase == Phase::Queued && !avoids(other) && place(id) < place(&granted.attempt)
        })
    }
}

/// The attempt that an event asks a slot for.
fn asks(event: &Event) -> Option<&AttemptId> {
    match event {
        Event::Admit(ask) => Some(&ask.attempt),
        Event::HandBack(back) => Some(&back.next),
        _ => None,
    }
}

/// What was granted in a step. The answer counts where its attempt `asks` and did not run before; one that ran before
/// only hears of its grant again.
fn grants<'a>(asks: Option<&AttemptId>, outcome: &'a Outcome) -> Vec<&'a Granted> {
    let pushed = outcome.actions.iter().filter_map(|action| match action {
        Action::Grant(granted) => Some(granted),
        Action::Drop { .. } => None,
    });
    let answered = match &outcome.reply {
        Reply::Granted(granted, _) if asks == Some(&granted.attempt) => Some(granted),
        _ => None,
    };
    pushed.chain(answered).collect()
}

impl World {
    /// An event reaches the ledger: answers and pushes go out through the same weather.
    pub(super) fn at_ledger(&mut self, event: &Event, caller: Option<(usize, Life, u64)>) {
        // In a step of its own, so that what is due is not mixed up with what the event does.
        self.step(&Event::Tick);
        let held = self.held_by_who_says(event);
        let reply = self.step(event);
        if let Some(taken) = held.iter().find(|id| !self.ledger.has(id)) {
            self.fail(format!("{taken} was taken from who holds it by {event:?}"));
        }
        if let Some(lost) = self.lost() {
            self.fail(format!("{lost} was lost in fair weather after {event:?}"));
        }
        let Some((router, life, call)) = caller else { return };
        let now = self.agenda.now();
        for delay in self.weather.with_ledger(&mut self.chance, Party::Router(router), now) {
            self.agenda.after(delay, Happening::Answer(router, life, call, Box::new(reply.clone())));
        }
    }

    /// What a renewal or a registration, however late, must leave on the account: what its router has by now, and what this life
    /// of its backend works on.
    fn held_by_who_says(&self, event: &Event) -> Vec<AttemptId> {
        let holds = |stage: Stage| match (event, stage) {
            (Event::Renew(_), stage) => matches!(stage, Stage::Waiting(_) | Stage::Running(_)),
            (Event::PutBackend(backend), Stage::Running(slot)) => node_of(&backend.id) == slot.node,
            _ => false,
        };
        let works = |id: &AttemptId, stage: Stage| match stage {
            Stage::Running(slot) => self.nodes[slot.node].works_on(slot.life, id),
            _ => false,
        };
        let renews = match event {
            Event::Renew(renewal) => Some(renewal.router.clone()),
            // Leases that end before their time let any life of a backend be its next.
            Event::PutBackend(_) if !self.weather.leapt(self.agenda.now()) => None,
            _ => return Vec::new(),
        };
        let routers = self.routers.iter().enumerate().filter(|(_, router)| router.up);
        let mine = routers
            .filter(|(at, router)| renews.as_ref().is_none_or(|renews| *renews == name(*at, router.life)));
        let held = mine.flat_map(|(_, router)| &router.held).filter(|(id, held)| {
            holds(held.stage) && self.ledger.has(id) && (renews.is_some() || works(id, held.stage))
        });
        held.map(|(id, _)| id.clone()).collect()
    }

    fn step(&mut self, event: &Event) -> Reply {
        let now = self.agenda.now();
        let clock = self.weather.clock(now);
        let largest = self.routers.iter().map(|router| router.limits.max_queue_size).max().unwrap_or(0);
        let (Outcome { reply, actions, .. }, wrong) = self.ledger.apply(clock, now, largest, event);
        if let Some(what) = wrong {
            self.fail(format!("{what} after {event:?}"));
        }
        actions.iter().for_each(|action| self.push(action));
        reply
    }

    fn push(&mut self, action: &Action) {
        let name = match action {
            Action::Grant(granted) => &granted.router,
            Action::Drop { router, .. } => router,
        };
        let Some((router, life)) = router_of(name) else { return };
        let now = self.agenda.now();
        for delay in self.weather.with_ledger(&mut self.chance, Party::Router(router), now) {
            self.agenda.after(delay, Happening::Push(router, life, Box::new(action.clone())));
        }
    }

    /// Time passes at the ledger, as it does whenever anybody calls.
    pub(super) fn tick(&mut self) {
        self.step(&Event::Tick);
        let every = if self.agenda.now() < CALM { TICK } else { 5 * TICK };
        if self.agenda.now() < END {
            self.agenda.after(every, Happening::Tick);
        }
    }
}
