//! Faults with a seed: routers, backends and one ledger, between which messages are lost, late, doubled and overtaken, and
//! each of which may die. What the ledger promises is looked at after every event.
//!
//! In the order of reading: [`weather`] decides what goes wrong, [`ledger`] is the real pool and all that is checked of
//! it, [`router`] does what the real router does with its holdings, [`lease`] what it does as a whole and [`rejoin`] how it
//! comes back to an account that has lost something, [`node`] is a backend with a semaphore of its own.

mod lease;
mod ledger;
mod node;
mod rejoin;
mod router;
mod weather;

use std::{collections::VecDeque, fmt};

use tidegate_admission::{Action, AttemptId, Event, Limits, Priority, Reply, Time, time::SECOND};

use self::{ledger::Ledger, node::Node, router::Router, weather::Weather};
use crate::{agenda::Agenda, chance::Chance};

/// Instant from which nothing goes wrong any more. By then every request's time is over.
const CALM: Time = Time(12 * SECOND);
/// Instant of the last look: L2 promises zero within 10 s.
const END: Time = Time(22 * SECOND);
/// Microseconds that a request has at most.
const LONGEST: u64 = 4 * SECOND;
/// What a failure shows of the past.
const TRAIL: usize = 60;

/// Names an incarnation of a router or a backend: messages to an earlier one reach nobody.
pub(crate) type Life = u32;

/// What happens.
#[derive(Debug, Clone)]
pub(crate) enum Happening {
    /// A user comes to a router.
    Arrival,
    /// An event reaches the ledger; whom to answer: router, its life, number of the call.
    ToLedger(Box<Event>, Option<(usize, Life, u64)>),
    /// An answer reaches a router.
    Answer(usize, Life, u64, Box<Reply>),
    /// A router has waited long enough for an answer.
    CallOver(usize, Life, u64),
    /// A grant or a dropped ticket reaches a router.
    Push(usize, Life, Box<Action>),
    /// A router asks a backend to run an attempt.
    Start(usize, Work),
    /// A router hangs up on a backend.
    Stop(usize, AttemptId),
    /// Work on a backend ends by itself.
    WorkEnds(usize, Life, AttemptId),
    /// What a backend says of an attempt reaches its router.
    Said(usize, Life, AttemptId, Word),
    /// A request's time is over.
    Deadline(usize),
    /// The client of a request hangs up.
    HangUp(usize),
    /// A router renews.
    RouterRenews(usize, Life),
    /// A router says again all that it holds.
    Rejoins(usize, Life),
    /// A backend registers anew and reports what it holds.
    NodeRenews(usize, Life),
    /// A router dies, and comes back after so many microseconds.
    RouterDies(usize, u64),
    /// It is back.
    RouterIsBack(usize),
    /// A backend dies, and comes back after so many microseconds.
    NodeDies(usize, u64),
    /// It is back.
    NodeIsBack(usize),
    /// Time passes at the ledger.
    Tick,
}

/// One attempt as a backend gets it.
#[derive(Debug, Clone)]
pub(crate) struct Work {
    attempt: AttemptId,
    router: usize,
    life: Life,
    request: usize,
    service: u64,
}

/// What a backend says of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Word {
    /// It could not be reached.
    Unreachable,
    /// It is full.
    Full,
    /// The answer is complete.
    Done,
    /// The connection broke.
    Broke,
    /// Work that was given up has stopped.
    Stopped,
}

/// One request, as the world sees it.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    router: usize,
    life: Life,
    priority: Priority,
    deadline: Time,
    service: u64,
    /// Final answers that its client got.
    answers: u32,
    /// Its client is still there.
    listening: bool,
    /// Lives of backends that could not be reached for it.
    avoid: Vec<String>,
}

/// What went well in one run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Passed {
    /// Events that the ledger took.
    pub events: u64,
    /// Requests.
    pub requests: u64,
    /// Requests that ran to their end.
    pub answered: u64,
    /// Grants of an attempt that had been granted before and had ended: a late copy of its first message.
    pub ghosts: u64,
    /// Routers that came back to an account that had lost something.
    pub reentries: u64,
    /// Microseconds from the calm until every count was zero.
    pub zero_after: u64,
}

/// A promise that was broken.
#[derive(Debug, Clone)]
pub struct Failure {
    /// The seed that shows it.
    pub seed: u64,
    /// When.
    pub at: Time,
    /// What.
    pub what: String,
    /// What happened before.
    pub trail: VecDeque<String>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.trail.iter().try_for_each(|line| writeln!(f, "{line}"))?;
        writeln!(f, "seed {} at {} us: {}", self.seed, self.at.0, self.what)
    }
}

/// Everything there is.
pub(crate) struct World {
    agenda: Agenda<Happening>,
    weather: Weather,
    chance: Chance,
    ledger: Ledger,
    routers: Vec<Router>,
    nodes: Vec<Node>,
    requests: Vec<Request>,
    answered: u64,
    wrong: Option<String>,
    trail: VecDeque<String>,
}

/// Runs one seed.
///
/// # Errors
///
/// The first promise that was broken.
pub fn run(seed: u64) -> Result<Passed, Box<Failure>> {
    let mut world = World::new(seed);
    world.begin();
    while world.agenda.now() < END {
        let Some(happening) = world.agenda.take() else { break };
        world.note(&happening);
        world.happen(happening);
        if let Some(what) = world.wrong.take() {
            let trail = std::mem::take(&mut world.trail);
            return Err(Box::new(Failure { seed, at: world.agenda.now(), what, trail }));
        }
    }
    world.last_look(seed)
}

impl World {
    fn new(seed: u64) -> World {
        let mut chance = Chance::new(seed, 11);
        let weather = Weather::new(&mut chance);
        let own_limits = chance.happens(0.3);
        let routers =
            (0..1 + chance.index(4)).map(|_| Router::new(limits(&mut chance, own_limits))).collect();
        let nodes = (0..1 + chance.index(3)).map(|_| Node::new(1 + chance.index(3) as u32)).collect();
        World {
            agenda: Agenda::default(),
            weather,
            chance,
            ledger: Ledger::new(),
            routers,
            nodes,
            requests: Vec::new(),
            answered: 0,
            wrong: None,
            trail: VecDeque::new(),
        }
    }

    fn begin(&mut self) {
        for node in 0..self.nodes.len() {
            self.agenda.after(0, Happening::NodeRenews(node, 0));
        }
        for router in 0..self.routers.len() {
            let first = self.chance.between(0, SECOND);
            self.agenda.after(first, Happening::RouterRenews(router, 0));
        }
        self.agenda.after(0, Happening::Arrival);
        self.agenda.after(0, Happening::Tick);
        for (at, what) in self.weather.disasters(&mut self.chance, self.routers.len(), self.nodes.len()) {
            self.agenda.at(at, what);
        }
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Arrival => self.arrival(),
            Happening::ToLedger(event, caller) => self.at_ledger(&event, caller),
            Happening::Answer(router, life, call, reply) => self.answered_call(router, life, call, &reply),
            Happening::CallOver(router, life, call) => self.call_over(router, life, call),
            Happening::Push(router, life, action) => self.pushed(router, life, *action),
            Happening::Start(node, work) => self.start_work(node, work),
            Happening::Stop(node, attempt) => self.stop_work(node, &attempt),
            Happening::WorkEnds(node, life, attempt) => self.work_ends(node, life, &attempt),
            Happening::Said(router, life, attempt, word) => self.said(router, life, &attempt, word),
            Happening::Deadline(request) => self.give_up(request, true),
            Happening::HangUp(request) => self.give_up(request, false),
            Happening::RouterRenews(router, life) => self.router_renews(router, life),
            Happening::Rejoins(router, life) => self.reenters(router, life),
            Happening::NodeRenews(node, life) => self.node_renews(node, life),
            Happening::RouterDies(router, away) => self.router_dies(router, away),
            Happening::RouterIsBack(router) => self.router_is_back(router),
            Happening::NodeDies(node, away) => self.node_dies(node, away),
            Happening::NodeIsBack(node) => self.node_is_back(node),
            Happening::Tick => self.tick(),
        }
    }

    /// What happened must be zero again, and everybody must have heard once.
    fn last_look(self, seed: u64) -> Result<Passed, Box<Failure>> {
        let failed = |what: String| Err(Box::new(Failure { seed, at: END, what, trail: self.trail.clone() }));
        if let Some(left) = self.ledger.left() {
            return failed(format!("L2: not zero after 10 s of calm: {left}"));
        }
        let slots: u32 = self.nodes.iter().map(|node| node.slots).sum();
        if self.ledger.slots() != slots {
            return failed(format!("{} slots on the account of {slots}", self.ledger.slots()));
        }
        let lived =
            |request: &Request| request.listening && self.routers[request.router].life == request.life;
        for (number, request) in self.requests.iter().enumerate() {
            if request.answers > 1 || (lived(request) && request.answers == 0) {
                return failed(format!("L5: request {number} got {} answers", request.answers));
            }
        }
        Ok(Passed {
            events: self.ledger.events,
            requests: self.requests.len() as u64,
            answered: self.answered,
            ghosts: self.ledger.ghosts,
            reentries: self.ledger.reentries,
            zero_after: self.ledger.last_busy.since(CALM),
        })
    }

    fn note(&mut self, happening: &Happening) {
        if self.trail.len() == TRAIL {
            self.trail.pop_front();
        }
        if !matches!(happening, Happening::Tick) {
            self.trail.push_back(format!("{:>9} {happening:?}", self.agenda.now().0));
        }
    }

    fn fail(&mut self, what: String) {
        self.wrong.get_or_insert(what);
    }
}

/// The limits of a router: all alike, or each its own.
fn limits(chance: &mut Chance, own: bool) -> Limits {
    let max_queue_size = if own { 1 + chance.index(10) as u32 } else { 5 };
    let (late, all) = (chance.happens(0.5), chance.happens(0.5));
    Limits {
        max_queue_size,
        queue_rejection_threshold: if all { 1.0 } else { 0.8 },
        rejection_start: if late { 1.0 } else { 0.7 },
        wait_share: 1.0,
        pool_memory: 0,
    }
}
