//! The world at one instant: the account, the routers' side of each request, the backends, and what is under way.

use std::{
    collections::{BTreeSet, VecDeque},
    sync::Arc,
};

use crate::{
    ledger::Ledger,
    message::{Message, Slot, Word},
    names::{BACKENDS, REQUESTS, ROUTERS, TRIES, Tries, Try},
    setup::Setup,
    step_check::Breach,
};

/// What was pushed while the router still waited for the verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Early {
    /// Its grant.
    Granted(Slot),
    /// That its ticket is gone.
    Dropped,
}

/// How far a request has come, as its router sees it. The number is that of the attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Task {
    /// It was not made.
    Idle,
    /// The ledger has been asked.
    Asking(u8, Option<Early>),
    /// It waits for its grant.
    Waiting(u8),
    /// It was granted, and sent to the backend.
    Sent(u8, Slot),
    /// Its first byte has gone to the client.
    Streaming(u8, u8),
    /// It has ended, with an answer.
    Over,
    /// Its router was killed first.
    Lost,
}

/// What a router still does for an attempt whose request has gone on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Chore {
    /// Nothing.
    #[default]
    None,
    /// It tells the ledger that the attempt is abandoned.
    Telling,
    /// It asks the backend until the work has stopped.
    Polling,
}

/// An attempt that its router has given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Past {
    /// What is still done for it.
    pub chore: Chore,
    /// The router still renews it.
    pub held: bool,
}

/// One request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request {
    /// How far it has come.
    pub task: Task,
    /// Its earlier attempts.
    pub past: [Past; TRIES],
    /// Final answers given to its client.
    pub answers: u8,
}

/// Work on a backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Work {
    /// The attempt that it is for.
    pub attempt: Try,
    /// The router still listens; else the work stops at its next step.
    pub wanted: bool,
}

/// One backend, of one slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Machine {
    /// It lives.
    pub up: bool,
    /// Which life it is.
    pub epoch: u8,
    /// What its own semaphore let in.
    pub work: Option<Work>,
}

/// The world.
#[derive(Debug, Clone, PartialEq)]
pub struct State {
    /// The account.
    pub ledger: Arc<Ledger>,
    /// The requests.
    pub requests: [Request; REQUESTS],
    /// The backends.
    pub machines: [Machine; BACKENDS],
    /// Which routers live.
    pub routers: [bool; ROUTERS],
    /// How often each has renewed.
    pub said: [u64; ROUTERS],
    /// What has just been sent: it arrives before anything else happens, or is late.
    pub fresh: VecDeque<Message>,
    /// What is late: it may arrive at any time, or never.
    pub late: BTreeSet<Message>,
    /// Attempts whose first byte has gone to the client.
    pub begun: Tries,
    /// How much more may go wrong.
    pub faults: u8,
    /// How many more clients may leave.
    pub leaves: u8,
    /// How many more ticks pass, where they are counted.
    pub ticks: Option<u8>,
    /// The first promise that a backend or a router saw broken.
    pub breach: Option<Breach>,
}

impl State {
    /// Whether an attempt's request goes to a router.
    pub fn is_of(setup: &Setup, router: usize, one: Try) -> bool {
        usize::from(one.request) < setup.wishes.len() && setup.router(one.request) == router
    }

    /// The request of an attempt.
    pub fn request(&mut self, one: Try) -> &mut Request {
        &mut self.requests[usize::from(one.request)]
    }

    /// What the router still does for an attempt.
    pub fn past(&mut self, one: Try) -> &mut Past {
        &mut self.request(one).past[usize::from(one.number)]
    }

    /// Sends a message.
    pub fn send(&mut self, message: Message) {
        self.fresh.push_back(message);
    }

    /// The backend that works on an attempt.
    pub fn works_on(&self, one: Try) -> Option<usize> {
        self.machines.iter().position(|machine| machine.work.is_some_and(|work| work.attempt == one))
    }

    /// Whether the account has this life of a backend.
    pub fn is_registered(&self, backend: usize) -> bool {
        let known = self.ledger.facts.backends[backend];
        known.is_some_and(|known| known.live && known.epoch == self.machines[backend].epoch)
    }

    /// Ends one more request with an answer.
    pub fn answer(&mut self, one: Try) {
        let request = self.request(one);
        request.answers = request.answers.saturating_add(1);
        request.task = Task::Over;
        self.begun.0 &= !Tries::of_request(one.request).0;
    }

    /// Whether no request is under way, and nothing was just sent (what was may also be late: another state).
    pub fn at_rest(&self) -> bool {
        self.fresh.is_empty()
            && self
                .requests
                .iter()
                .all(|request| matches!(request.task, Task::Idle | Task::Over | Task::Lost))
    }

    /// Whether some router waits for the ledger's answer: it does so for a moment only.
    pub fn some_call_awaited(&self) -> bool {
        self.requests.iter().any(|request| {
            matches!(request.task, Task::Asking(..))
                || request.past.iter().any(|past| past.chore == Chore::Telling)
        })
    }

    /// What a router says when it renews: all that it knows, and that whose fate only the ledger knows.
    pub fn word(&mut self, setup: &Setup, router: usize) -> Word {
        self.said[router] += 1;
        let number = word_number(self.ledger.now, self.said[router]);
        let (known, check) = self.knows(setup, router);
        Word { router: router as u8, number, known, check, again: false }
    }

    /// What a router that has a ticket waits for or runs: no renewal of its own may take it away.
    pub fn holds(&self, setup: &Setup, router: usize) -> Tries {
        let holds = |one: &Try| match self.requests[usize::from(one.request)].task {
            Task::Waiting(number) | Task::Sent(number, _) | Task::Streaming(number, _) => {
                number == one.number
            }
            _ => false,
        };
        Try::all().filter(|one| State::is_of(setup, router, *one)).filter(holds).collect()
    }

    fn knows(&self, setup: &Setup, router: usize) -> (Tries, Tries) {
        let (mut known, mut check) = (Tries::default(), Tries::default());
        for one in Try::all().filter(|one| State::is_of(setup, router, *one)) {
            let request = &self.requests[usize::from(one.request)];
            let held = request.past[usize::from(one.number)].held;
            let (holds, unsure) = match request.task {
                Task::Asking(number, early) => (number == one.number && early != Some(Early::Dropped), false),
                Task::Waiting(number) => (number == one.number, number == one.number),
                Task::Sent(number, _) | Task::Streaming(number, _) => (number == one.number, false),
                Task::Idle | Task::Over | Task::Lost => (false, false),
            };
            if holds || held {
                known.insert(one);
            }
            if unsure || held {
                check.insert(one);
            }
        }
        (known, check)
    }
}

/// Numbers grow with time, so that there is room between those of one tick and those of the next.
pub fn word_number(tick: u32, said: u64) -> u64 {
    u64::from(tick) << 16 | said
}
