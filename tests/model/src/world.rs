//! The model as the checker sees it: the first state, what can happen, and what follows from it.

use std::{
    collections::{BTreeSet, VecDeque},
    sync::Arc,
};

use stateright::{Model, Property};
use tidegate_admission::Event;

use crate::{
    action::{Action, CutOff},
    ledger::Ledger,
    message::{Message, Why, Word},
    names::{BACKENDS, REQUESTS, ROUTERS, Tries, Try, backend_id},
    promises,
    setup::Setup,
    state::{Machine, Request, State, Task, Work},
    step_check::Breach,
    wire::{registration, renew, renewed},
};

/// A world of a given size.
#[derive(Debug, Clone)]
pub struct World {
    /// Its size, and what may go wrong.
    pub setup: Setup,
}

impl Model for World {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![self.first()]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        // What follows a broken promise says nothing more.
        if state.breach.is_none() && state.ledger.breach.is_none() {
            state.possible(&self.setup, actions);
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        state.faults = last.faults.checked_sub(action.cost())?;
        state.happen(&self.setup, &action);
        // Where nothing more can go wrong, what is sent arrives.
        while state.faults == 0 && !state.fresh.is_empty() {
            state.happen(&self.setup, &Action::Arrive);
        }
        Some(state)
    }

    fn properties(&self) -> Vec<Property<World>> {
        promises::of(&self.setup)
    }
}

impl World {
    /// All live, all registered, nothing asked.
    fn first(&self) -> State {
        let setup = &self.setup;
        let request = Request { task: Task::Idle, past: Default::default(), answers: 0 };
        let mut state = State {
            ledger: Arc::new(Ledger::new(setup)),
            requests: [request; REQUESTS],
            machines: [Machine { up: false, epoch: 0, work: None }; BACKENDS],
            routers: [true; ROUTERS],
            said: [0; ROUTERS],
            fresh: VecDeque::new(),
            late: BTreeSet::new(),
            begun: Tries::default(),
            faults: setup.faults,
            leaves: setup.leaves,
            ticks: setup.ticks,
            breach: None,
        };
        for backend in 0..setup.backends {
            state.machines[backend].up = true;
            state.apply(setup, &registration(backend, 0));
        }
        for router in 0..ROUTERS {
            let word = state.word(setup, router);
            state.apply(setup, &renew(setup, word));
        }
        state
    }
}

impl State {
    /// One thing happens.
    fn happen(&mut self, setup: &Setup, action: &Action) {
        match action {
            Action::Arrive | Action::Double | Action::Delay | Action::Unheard => self.hear(setup, action),
            Action::ArriveLate(message) => {
                self.late.remove(message);
                if let Message::Renew(word @ Word { again: true, .. }) = message {
                    self.late.insert(Message::Renew(Word { again: false, ..*word }));
                }
                self.arrive(setup, message, true);
            }
            Action::Tick(cut) => {
                self.ticks = self.ticks.map(|left| left - 1);
                self.tick(setup, *cut);
            }
            Action::RenewLate(router) => {
                let word = self.word(setup, *router);
                self.late.insert(Message::Renew(Word { again: true, ..word }));
            }
            Action::KillRouter(router) => self.kill_router(setup, *router),
            other => self.happen_to_request(other).unwrap_or_else(|| self.happen_to_backend(setup, other)),
        }
    }

    /// What becomes of the message that was sent first.
    fn hear(&mut self, setup: &Setup, action: &Action) {
        let Some(message) = self.fresh.pop_front() else { return };
        if matches!(action, Action::Delay | Action::Double) {
            self.late.insert(message.clone());
        }
        if *action != Action::Delay {
            self.arrive(setup, &message, *action != Action::Unheard);
        }
    }

    fn happen_to_request(&mut self, action: &Action) -> Option<()> {
        match *action {
            Action::Ask(one) => self.ask(one),
            Action::TimeOut(one) => self.fail_to_ask(one),
            Action::GiveUp(one) => {
                self.leaves -= 1;
                self.give_up(one);
            }
            Action::AbandonUnheard(one) => self.told(one, false),
            Action::Reach(one) => self.reach(one),
            Action::Reset(one) => self.reset(one),
            Action::FirstByte(one) => {
                if let Task::Sent(number, slot) = self.request(one).task {
                    self.request(one).task = Task::Streaming(number, slot.backend);
                    self.begun.insert(one);
                }
            }
            Action::Finish(one) => {
                if let Some(backend) = self.works_on(one) {
                    self.machines[backend].work = None;
                }
                self.finish(one);
            }
            Action::FindStopped(one) => self.confirm(one),
            _ => return None,
        }
        Some(())
    }

    fn happen_to_backend(&mut self, setup: &Setup, action: &Action) {
        match *action {
            Action::Register(backend) => {
                self.apply(setup, &registration(backend, self.machines[backend].epoch));
            }
            Action::RegisterLate(backend) => {
                self.apply(setup, &registration(backend, self.machines[backend].epoch - 1));
            }
            Action::Unlist(backend) => {
                self.apply(setup, &Event::RemoveBackend(backend_id(backend)));
            }
            Action::Report(backend) => {
                let held = self.machines[backend].work.iter().map(|work| work.attempt.id()).collect();
                self.apply(setup, &Event::Reconcile(backend_id(backend), held));
            }
            Action::ReportLate(backend) => {
                self.apply(setup, &Event::Reconcile(backend_id(backend), Vec::new()));
            }
            Action::Stop(backend) => self.machines[backend].work = None,
            Action::KillBackend(backend) => self.kill_backend(backend),
            Action::Restart(backend) => {
                let machine = &mut self.machines[backend];
                *machine = Machine { up: true, epoch: machine.epoch + 1, work: None };
            }
            _ => {}
        }
    }

    /// A request reaches its backend, which has the last word.
    fn reach(&mut self, one: Try) {
        let Task::Sent(_, slot) = self.request(one).task else { return };
        let machine = &mut self.machines[usize::from(slot.backend)];
        match machine.work {
            _ if !machine.up => self.hand_back(one, slot, Why::Unreachable),
            Some(_) => self.hand_back(one, slot, Why::Full),
            None => {
                machine.work = Some(Work { attempt: one, wanted: true });
                let again = Try::all()
                    .any(|other| other.request == one.request && other != one && self.begun.contains(other));
                if again {
                    self.breach = Some(Breach::RunTwice);
                }
            }
        }
    }

    /// The connection breaks before the first byte.
    fn reset(&mut self, one: Try) {
        let Task::Sent(_, slot) = self.request(one).task else { return };
        if let Some(work) = &mut self.machines[usize::from(slot.backend)].work {
            work.wanted = false;
        }
        self.hand_back(one, slot, Why::Unreachable);
    }

    /// kill -9: whoever listens finds the connection broken.
    fn kill_backend(&mut self, backend: usize) {
        let machine = &mut self.machines[backend];
        machine.up = false;
        let Some(Work { attempt, wanted: true }) = machine.work.take() else { return };
        match self.request(attempt).task {
            Task::Sent(_, slot) => self.hand_back(attempt, slot, Why::Unreachable),
            Task::Streaming(..) => self.fail_running(attempt),
            _ => {}
        }
    }

    /// Half a lease passes: all that live register and renew, but for who is cut off.
    pub fn tick(&mut self, setup: &Setup, cut: CutOff) {
        let outcome = Arc::make_mut(&mut self.ledger).pass(setup.breakage);
        self.push(setup, &outcome.actions);
        for backend in (0..setup.backends).filter(|backend| cut != CutOff::Backend(*backend)) {
            if self.machines[backend].up {
                self.register(setup, backend);
            }
        }
        self.renew_all(setup, cut);
    }

    /// All routers that live renew, but for who is cut off.
    pub fn renew_all(&mut self, setup: &Setup, cut: CutOff) {
        for router in (0..ROUTERS).filter(|router| cut != CutOff::Router(*router)) {
            if self.routers[router] {
                self.renew(setup, router);
            }
        }
        Arc::make_mut(&mut self.ledger).look();
    }

    fn register(&mut self, setup: &Setup, backend: usize) {
        let event = registration(backend, self.machines[backend].epoch);
        if self.is_registered(backend) {
            Arc::make_mut(&mut self.ledger).refresh(&event);
        } else {
            self.apply(setup, &event);
        }
    }

    fn renew(&mut self, setup: &Setup, router: usize) {
        let word = self.word(setup, router);
        let event = renew(setup, word);
        let facts = &self.ledger.facts;
        let holds = facts.present().any(|one| usize::from(facts.entry(one).router) == router);
        if holds || word.known != Tries::default() || facts.since_reset >= setup.reset_interval {
            let (granted, gone) = renewed(&self.apply(setup, &event).reply);
            self.hear_renewed(&granted, gone);
        } else {
            Arc::make_mut(&mut self.ledger).refresh(&event);
        }
    }
}
