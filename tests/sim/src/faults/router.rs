//! Routers, as far as the ledger sees them: what each holds, asks, gives up and forgets.
//!
//! The stages are those of the real router's holdings: it forgets before it tells, so that a lost message leaves an
//! attempt that two renewals free.

use std::collections::BTreeMap;

use tidegate_admission::{
    Action, Admit, AttemptId, End, Event, Granted, HandBack, Limits, Place, Priority, Reply, Return, Time,
    time::SECOND,
};

use super::{
    CALM, Happening, LONGEST, Life, Request, Word, World,
    node::{life_of, node_of, work},
    rejoin::{Rejoin, seat},
    weather::Party,
};

/// Microseconds after which a router no longer waits for the ledger's answer.
const PATIENCE: u64 = 300_000;
/// Microseconds after which work that nobody confirms counts as stopped (`--abandon-grace`).
const GRACE: u64 = 2 * SECOND;
/// Microseconds between arrivals, on average.
const BETWEEN_ARRIVALS: f64 = 50_000.0;

/// What an attempt is doing, as far as its router knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    Asking,
    Waiting(Place),
    Running(Slot),
    Abandoned(Slot),
}

/// A slot as it was granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Slot {
    pub(super) node: usize,
    /// The backend's life.
    pub(super) life: Life,
    pub(super) since: Time,
    pub(super) place: Place,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Holding {
    pub(super) request: usize,
    pub(super) stage: Stage,
}

/// A call under way.
#[derive(Debug, Clone)]
pub(super) enum Call {
    Asks(AttemptId),
    GivesBack(AttemptId, AttemptId),
    Renews,
    Reenters,
}

/// One router.
#[derive(Debug)]
pub(super) struct Router {
    pub(super) life: Life,
    pub(super) up: bool,
    pub(super) limits: Limits,
    made: u64,
    /// How often it has said something of itself as a whole.
    said: u64,
    pub(super) held: BTreeMap<AttemptId, Holding>,
    pub(super) calls: BTreeMap<u64, (Call, Event)>,
    pub(super) rejoin: Rejoin,
}

impl Router {
    pub(super) fn new(limits: Limits) -> Router {
        let (held, calls, rejoin) = (BTreeMap::new(), BTreeMap::new(), Rejoin::default());
        Router { life: 0, up: true, limits, made: 0, said: 0, held, calls, rejoin }
    }

    /// The number of what it says next of itself as a whole.
    pub(super) fn next_number(&mut self) -> u64 {
        self.said += 1;
        self.said
    }

    fn number(&mut self) -> u64 {
        self.made += 1;
        self.made
    }

    pub(super) fn is(&self, life: Life) -> bool {
        self.up && self.life == life
    }

    pub(super) fn stage(&self, attempt: &AttemptId) -> Option<Stage> {
        self.held.get(attempt).map(|holding| holding.stage)
    }

    fn set(&mut self, attempt: &AttemptId, stage: Stage) {
        if let Some(holding) = self.held.get_mut(attempt) {
            holding.stage = stage;
        }
    }
}

/// The name of one life of a router.
pub(super) fn name(router: usize, life: Life) -> String {
    format!("router{router}x{life}")
}

/// The router that a name names, and its life.
pub(super) fn router_of(name: &str) -> Option<(usize, Life)> {
    let (router, life) = name.strip_prefix("router")?.split_once('x')?;
    Some((router.parse().ok()?, life.parse().ok()?))
}

impl World {
    /// A user comes, to a router that lives.
    pub(super) fn arrival(&mut self) {
        let now = self.agenda.now();
        let router = self.chance.index(self.routers.len());
        if self.routers[router].up {
            let request = self.request(router);
            self.ask(router, request);
        }
        let next = self.chance.exponential(BETWEEN_ARRIVALS) as u64;
        if now.plus(next) < tidegate_admission::Time(CALM.0 - LONGEST) {
            self.agenda.after(next, Happening::Arrival);
        }
    }

    fn request(&mut self, router: usize) -> usize {
        let lasts = self.chance.between(SECOND / 20, LONGEST);
        let number = self.requests.len();
        self.requests.push(Request {
            router,
            life: self.routers[router].life,
            priority: Priority::ALL[self.chance.index(3)],
            deadline: self.agenda.now().plus(lasts),
            service: self.chance.exponential(0.3 * SECOND as f64) as u64 + 1,
            answers: 0,
            listening: true,
            avoid: Vec::new(),
        });
        self.agenda.after(lasts, Happening::Deadline(number));
        if self.chance.happens(0.2) {
            let patience = self.chance.between(0, lasts);
            self.agenda.after(patience, Happening::HangUp(number));
        }
        number
    }

    fn ask(&mut self, router: usize, request: usize) {
        let attempt = self.open(router, request);
        let Request { priority, deadline, .. } = self.requests[request];
        let admit = Admit {
            attempt: attempt.clone(),
            router: name(router, self.routers[router].life),
            limits: self.routers[router].limits,
            priority,
            remaining: deadline.since(self.agenda.now()),
            length: None,
            draw: self.chance.unit(),
            jitter: self.chance.unit(),
            prefer: None,
            caller: None,
        };
        self.call(router, Event::Admit(admit), Call::Asks(attempt));
    }

    fn open(&mut self, router: usize, request: usize) -> AttemptId {
        let life = self.routers[router].life;
        let attempt = AttemptId::from(format!("{}-{}", name(router, life), self.routers[router].number()));
        self.routers[router].held.insert(attempt.clone(), Holding { request, stage: Stage::Asking });
        attempt
    }

    /// Sends an event whose answer matters.
    pub(super) fn call(&mut self, router: usize, event: Event, call: Call) {
        let Some((call, event)) = self.routers[router].rejoin.hold_up(call, event) else { return };
        let life = self.routers[router].life;
        let number = self.routers[router].number();
        self.send(router, &event, Some(number));
        self.routers[router].calls.insert(number, (call, event));
        self.agenda.after(PATIENCE, Happening::CallOver(router, life, number));
    }

    fn tell(&mut self, router: usize, event: &Event) {
        self.send(router, event, None);
    }

    fn send(&mut self, router: usize, event: &Event, call: Option<u64>) {
        let (now, life) = (self.agenda.now(), self.routers[router].life);
        for delay in self.weather.with_ledger(&mut self.chance, Party::Router(router), now) {
            let caller = call.map(|call| (router, life, call));
            self.agenda.after(delay, Happening::ToLedger(Box::new(event.clone()), caller));
        }
    }

    /// The ledger's answer has come; one that comes too late, or twice, finds no call.
    pub(super) fn answered_call(&mut self, router: usize, life: Life, call: u64, reply: &Reply) {
        if !self.routers[router].is(life) {
            return;
        }
        match self.routers[router].calls.remove(&call).map(|(call, _)| call) {
            Some(Call::Asks(attempt) | Call::GivesBack(_, attempt)) => self.verdict(router, &attempt, reply),
            Some(Call::Renews) => self.renewed(router, reply),
            Some(Call::Reenters) => self.reentered(router, reply),
            None => {}
        }
    }

    fn verdict(&mut self, router: usize, attempt: &AttemptId, reply: &Reply) {
        let Some(stage) = self.routers[router].stage(attempt) else { return };
        match (reply, stage) {
            (Reply::Granted(granted, _), _) => self.run(router, granted),
            (Reply::Queued { place, .. }, Stage::Asking) => {
                self.routers[router].set(attempt, Stage::Waiting(*place));
            }
            // Its grant was faster than this answer.
            (Reply::Queued { .. }, _) => {}
            // Its request was given up, and its client has heard that.
            (_, Stage::Abandoned(_)) => {}
            _ => self.close_and_answer(router, attempt),
        }
    }

    /// No answer came in time. The ledger may have heard all the same: what it may hold is given up.
    pub(super) fn call_over(&mut self, router: usize, life: Life, call: u64) {
        if !self.routers[router].is(life) {
            return;
        }
        let (next, old) = match self.routers[router].calls.remove(&call).map(|(call, _)| call) {
            Some(Call::Asks(attempt)) => (attempt, None),
            Some(Call::GivesBack(old, next)) => (next, Some(old)),
            Some(Call::Reenters) => return self.rejoins_later(router),
            Some(Call::Renews) | None => return,
        };
        // A push may have been faster, and the request may be over by now.
        if !matches!(self.routers[router].stage(&next), Some(Stage::Asking | Stage::Waiting(_))) {
            return;
        }
        self.close_and_answer(router, &next);
        self.tell(router, &Event::Cancel(next, End::ClientGone));
        if let Some(old) = old {
            self.tell(router, &Event::Abandon(old.clone(), End::ClientGone, None));
            self.tell(router, &Event::Confirm(old));
        }
    }

    /// A grant or a dropped ticket is pushed to its router.
    pub(super) fn pushed(&mut self, router: usize, life: Life, action: Action) {
        if !self.routers[router].is(life) {
            return;
        }
        match action {
            Action::Grant(granted) => self.run(router, &granted),
            Action::Drop { attempt, .. } => {
                if matches!(self.routers[router].stage(&attempt), Some(Stage::Asking | Stage::Waiting(_))) {
                    self.close_and_answer(router, &attempt);
                }
            }
        }
    }

    /// Runs what was granted, once.
    pub(super) fn run(&mut self, router: usize, granted: &Granted) {
        let attempt = &granted.attempt;
        let Some(Holding { request, stage: Stage::Asking | Stage::Waiting(_) }) =
            self.routers[router].held.get(attempt).copied()
        else {
            return;
        };
        let (node, life) = (node_of(&granted.backend), life_of(&granted.epoch));
        let slot = Slot { node, life, since: granted.since, place: granted.place };
        self.routers[router].set(attempt, Stage::Running(slot));
        let work = work(attempt, router, self.routers[router].life, request, self.requests[request].service);
        let delay = self.weather.with_node(&mut self.chance, node, self.agenda.now());
        self.agenda.after(delay, Happening::Start(node, work));
    }

    /// What a backend says of an attempt.
    pub(super) fn said(&mut self, router: usize, life: Life, attempt: &AttemptId, word: Word) {
        if !self.routers[router].is(life) {
            return;
        }
        match (word, self.routers[router].stage(attempt)) {
            (Word::Unreachable, Some(Stage::Running(slot))) => {
                self.give_back(router, attempt, slot, HandBack::Unreachable);
            }
            (Word::Full, Some(Stage::Running(slot))) => {
                self.give_back(router, attempt, slot, HandBack::Concurrency);
            }
            (Word::Done, Some(Stage::Running(_))) => {
                self.answered += 1;
                self.close_and_answer(router, attempt);
                self.tell(router, &Event::Release(attempt.clone(), End::Finished, None));
            }
            (Word::Broke, Some(Stage::Running(_))) => {
                self.close_and_answer(router, attempt);
                self.tell(router, &Event::Release(attempt.clone(), End::Failed, None));
            }
            (Word::Stopped, Some(Stage::Abandoned(_))) => {
                self.routers[router].held.remove(attempt);
                self.tell(router, &Event::Confirm(attempt.clone()));
            }
            _ => {}
        }
    }

    fn give_back(&mut self, router: usize, attempt: &AttemptId, slot: Slot, why: HandBack) {
        let Some(Holding { request, .. }) = self.routers[router].held.get(attempt).copied() else { return };
        match why {
            HandBack::Concurrency => self.routers[router].set(attempt, Stage::Abandoned(slot)),
            HandBack::Unreachable => {
                self.routers[router].held.remove(attempt);
                self.requests[request].avoid.push(seat(slot).life());
            }
        }
        let next = self.open(router, request);
        let back = Return {
            attempt: attempt.clone(),
            next: next.clone(),
            router: name(router, self.routers[router].life),
            limits: self.routers[router].limits,
            why,
            place: slot.place,
            caller: None,
        };
        self.call(router, Event::HandBack(back), Call::GivesBack(attempt.clone(), next));
    }

    /// A request's time is over, or its client is gone: whatever it holds is given up.
    pub(super) fn give_up(&mut self, request: usize, timed_out: bool) {
        let Request { router, life, answers, listening, .. } = self.requests[request];
        if !self.routers[router].is(life) || answers > 0 || !listening {
            return;
        }
        if timed_out {
            self.requests[request].answers += 1;
        } else {
            self.requests[request].listening = false;
        }
        let end = if timed_out { End::TimedOut } else { End::ClientGone };
        let mine = self.routers[router].held.iter().filter(|(_, holding)| holding.request == request);
        let mine: Vec<(AttemptId, Stage)> = mine.map(|(id, holding)| (id.clone(), holding.stage)).collect();
        for (attempt, stage) in mine {
            self.give_up_attempt(router, &attempt, stage, end);
        }
    }

    fn give_up_attempt(&mut self, router: usize, attempt: &AttemptId, stage: Stage, end: End) {
        match stage {
            Stage::Asking | Stage::Waiting(_) => {
                self.routers[router].held.remove(attempt);
                self.tell(router, &Event::Cancel(attempt.clone(), end));
            }
            Stage::Running(slot) => {
                self.routers[router].set(attempt, Stage::Abandoned(slot));
                self.tell(router, &Event::Abandon(attempt.clone(), end, None));
                let delay = self.weather.with_node(&mut self.chance, slot.node, self.agenda.now());
                self.agenda.after(delay, Happening::Stop(slot.node, attempt.clone()));
                let life = self.routers[router].life;
                self.agenda.after(GRACE, Happening::Said(router, life, attempt.clone(), Word::Stopped));
            }
            Stage::Abandoned(_) => {}
        }
    }

    pub(super) fn close_and_answer(&mut self, router: usize, attempt: &AttemptId) {
        if let Some(holding) = self.routers[router].held.remove(attempt) {
            let request = &mut self.requests[holding.request];
            request.answers += u32::from(request.listening);
        }
    }
}
