//! What can happen next: everything that any client, router, backend or network may do in a state.

use crate::{
    facts::Spot,
    message::Message,
    names::{BACKENDS, ROUTERS, Try},
    setup::Setup,
    state::{Chore, State, Task},
};

/// Who is cut off while a tick passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CutOff {
    /// Nobody: all that live renew.
    Nobody,
    /// A router.
    Router(usize),
    /// A backend.
    Backend(usize),
}

/// One thing that happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// A client makes a request.
    Ask(Try),
    /// A client leaves, or its request's time is over.
    GiveUp(Try),
    /// A call has no answer in time.
    TimeOut(Try),
    /// The call that gives an attempt up has no answer in time.
    AbandonUnheard(Try),
    /// A granted request reaches its backend.
    Reach(Try),
    /// Its connection breaks before the first byte, and the backend works on for a moment.
    Reset(Try),
    /// Its first byte goes to the client.
    FirstByte(Try),
    /// Its last byte does.
    Finish(Try),
    /// A router finds that given-up work has stopped.
    FindStopped(Try),
    /// What has just been sent arrives.
    Arrive,
    /// It is late.
    Delay,
    /// It arrives, and will again.
    Double,
    /// It arrives, and the router does not hear that it has.
    Unheard,
    /// A late message arrives.
    ArriveLate(Message),
    /// A router sends a renewal that is late, and comes twice.
    RenewLate(usize),
    /// A backend that the account has not as it is registers.
    Register(usize),
    /// A backend's registration in its last life comes late.
    RegisterLate(usize),
    /// A backend's registration is taken out while it lives.
    Unlist(usize),
    /// A backend reports what it works on.
    Report(usize),
    /// A backend's report from before its present work comes late.
    ReportLate(usize),
    /// Work that nobody wants any more stops.
    Stop(usize),
    /// kill -9 of a router.
    KillRouter(usize),
    /// kill -9 of a backend.
    KillBackend(usize),
    /// A killed backend starts again.
    Restart(usize),
    /// Half a lease passes.
    Tick(CutOff),
}

impl State {
    /// Everything that can happen.
    pub fn possible(&self, setup: &Setup, actions: &mut Vec<Action>) {
        if let Some(message) = self.fresh.front() {
            actions.push(Action::Arrive);
            if self.faults > 0 {
                actions.extend([Action::Delay, Action::Double]);
                actions.extend(matches!(message, Message::Abandon(_)).then_some(Action::Unheard));
            }
            return;
        }
        for request in 0..setup.wishes.len() as u8 {
            self.of_request(request, actions);
        }
        actions.extend(self.late.iter().cloned().map(Action::ArriveLate));
        for backend in 0..setup.backends {
            self.of_backend(backend, actions);
        }
        for router in (0..ROUTERS).filter(|router| self.faults > 0 && self.routers[*router]) {
            actions.push(Action::KillRouter(router));
            actions.extend((!self.renews_late(router)).then_some(Action::RenewLate(router)));
        }
        self.of_time(setup, actions);
    }

    /// Whether a renewal of a router is under way that will be news. Then it makes no other one: where one had no answer, it says
    /// all that it holds before it renews again, and that makes the old one void.
    fn renews_late(&self, router: usize) -> bool {
        self.late.iter().any(|message| {
            matches!(message, Message::Renew(word)
                if usize::from(word.router) == router && word.number > self.ledger.heard[router])
        })
    }

    fn of_request(&self, request: u8, actions: &mut Vec<Action>) {
        let one = |number| Try { request, number };
        match self.requests[usize::from(request)].task {
            Task::Idle => actions.push(Action::Ask(one(0))),
            Task::Asking(number, _) => {
                actions.push(Action::TimeOut(one(number)));
            }
            Task::Sent(number, _) => {
                if self.works_on(one(number)).is_none() {
                    actions.push(Action::Reach(one(number)));
                } else {
                    actions.push(Action::FirstByte(one(number)));
                    actions.extend((self.faults > 0).then(|| Action::Reset(one(number))));
                }
            }
            Task::Streaming(number, _) => actions.push(Action::Finish(one(number))),
            Task::Waiting(_) | Task::Over | Task::Lost => {}
        }
        if let (1.., Task::Waiting(number) | Task::Sent(number, _) | Task::Streaming(number, _)) =
            (self.leaves, self.requests[usize::from(request)].task)
        {
            actions.push(Action::GiveUp(one(number)));
        }
        for (number, past) in self.requests[usize::from(request)].past.iter().enumerate() {
            self.of_chore(one(number as u8), past.chore, actions);
        }
    }

    fn of_chore(&self, one: Try, chore: Chore, actions: &mut Vec<Action>) {
        match chore {
            Chore::None => {}
            Chore::Telling => actions.push(Action::AbandonUnheard(one)),
            Chore::Polling => {
                if self.works_on(one).is_none() {
                    actions.push(Action::FindStopped(one));
                }
            }
        }
    }

    fn of_backend(&self, backend: usize, actions: &mut Vec<Action>) {
        let machine = self.machines[backend];
        let known = self.ledger.facts.backends[backend];
        if !machine.up {
            actions.push(Action::Restart(backend));
            return;
        }
        if !self.is_registered(backend) {
            actions.push(Action::Register(backend));
        }
        if self.ledger.facts.abandoned_on(backend) {
            actions.push(Action::Report(backend));
        }
        if machine.work.is_some_and(|work| !work.wanted) {
            actions.push(Action::Stop(backend));
        }
        if self.faults > 0 {
            actions.push(Action::KillBackend(backend));
            actions.extend((machine.epoch > 0).then_some(Action::RegisterLate(backend)));
            actions.extend(known.is_some_and(|known| known.live).then_some(Action::Unlist(backend)));
            let given_up = |work: &crate::state::Work| {
                matches!(self.ledger.facts.spot(work.attempt), Spot::Abandoned(..))
            };
            actions.extend(machine.work.filter(given_up).map(|_| Action::ReportLate(backend)));
        }
    }

    /// Time passes once nobody waits for the ledger's answer.
    fn of_time(&self, setup: &Setup, actions: &mut Vec<Action>) {
        if self.some_call_awaited() || self.ticks == Some(0) {
            return;
        }
        actions.push(Action::Tick(CutOff::Nobody));
        if self.faults > 0 {
            let routers = (0..ROUTERS).filter(|router| self.routers[*router]).map(CutOff::Router);
            let up = |backend: &usize| *backend < setup.backends && self.machines[*backend].up;
            let backends = (0..BACKENDS).filter(up).map(CutOff::Backend);
            actions.extend(routers.chain(backends).map(Action::Tick));
        }
    }
}

impl Action {
    /// How much of what may go wrong it uses up.
    pub fn cost(&self) -> u8 {
        match self {
            Action::Delay
            | Action::Double
            | Action::Unheard
            | Action::RenewLate(_)
            | Action::Reset(_)
            | Action::RegisterLate(_)
            | Action::Unlist(_)
            | Action::ReportLate(_)
            | Action::KillRouter(_)
            | Action::KillBackend(_)
            | Action::Tick(CutOff::Router(_) | CutOff::Backend(_)) => 1,
            _ => 0,
        }
    }
}
