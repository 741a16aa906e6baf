//! A run: routers, backends and people around the real [`Pool`], in virtual time.
//!
//! In the order of reading: [`ask`] brings people and their requests, [`work`] runs what is granted and ends it,
//! [`keep`] renews leases. No rule of admission stands here: every decision is the pool's, or `stale`'s.

mod ask;
mod keep;
mod work;

use std::collections::BTreeMap;

use tidegate_admission::{
    Action, AttemptId, Class, Event, History, Pool, Reason, Reply, Time, View, invariants,
};

use crate::{
    agenda::Agenda, chance::Chance, client::User, engine::Engine, scenario::Scenario, tally::Tally,
    workload::Stage,
};

/// Streams of chance, so that what differs between two runs disturbs nothing else.
const STREAMS: [u64; 5] = [1, 2, 3, 4, 5];

/// What happens.
#[derive(Debug, Clone, Copy)]
enum Happening {
    /// The next user comes.
    Arrival,
    /// Another load sets in.
    NextStage,
    /// So many users come at once.
    Burst(u32),
    /// A user asks again.
    Retry(usize),
    /// A backend foresaw the end of a request; the number of the forecast.
    Ends(usize, u64),
    /// A job's time is over.
    Deadline(usize),
    /// A job's client hangs up.
    HangUp(usize),
    /// The work of an abandoned job has stopped.
    Stopped(usize),
    /// A backend stalls, or goes on.
    Stall(usize, bool),
    /// All routers and backends renew.
    Renewals,
}

/// What a job is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Waiting,
    Running,
    Abandoned,
    Over,
}

/// One attempt to run one request.
#[derive(Debug, Clone, Copy)]
struct Job {
    user: usize,
    pool: usize,
    router: usize,
    asked: Time,
    granted: Time,
    deadline: Time,
    phase: Phase,
    backend: usize,
    /// Where on its backend's work clock it ends.
    end: u64,
}

/// An event that a pool took, for a replay.
pub type Logged = (usize, Time, Event);

/// How often invariants are looked at, and whether the events are kept.
#[derive(Debug, Clone, Copy, Default)]
pub struct Watch {
    /// Events from one look at the invariants to the next; 0 for never.
    pub every: u64,
    /// Keep what the pools took.
    pub log: bool,
}

/// A fleet in the middle of a run.
#[derive(Debug)]
pub struct Fleet<'a> {
    scenario: &'a Scenario,
    agenda: Agenda<Happening>,
    pools: Vec<Pool>,
    engines: Vec<Engine>,
    /// The last view of each pool that each router has: router first.
    views: Vec<Vec<Option<View>>>,
    /// What each router has learnt of each pool: router first.
    histories: Vec<Vec<History>>,
    /// What each router has refused of each pool without asking, and has not told yet: router first.
    untold: Vec<Vec<BTreeMap<Reason, u32>>>,
    users: Vec<User>,
    jobs: Vec<Job>,
    arrivals: Chance,
    wishes: Chance,
    draws: Chance,
    clients: Chance,
    bounds: Chance,
    horizon: Time,
    watch: Watch,
    log: Vec<Logged>,
    tally: Tally,
}

/// Runs a scenario with a seed.
pub fn run(scenario: &Scenario, seed: u64) -> Tally {
    Fleet::new(scenario, seed, Watch::default()).play().0
}

/// Runs it and watches the pools on the way.
pub fn watched(scenario: &Scenario, seed: u64, watch: Watch) -> (Tally, Vec<Logged>) {
    Fleet::new(scenario, seed, watch).play()
}

/// Seconds as an instant.
pub fn instant(seconds: f64) -> Time {
    Time((seconds * 1e6).round() as u64)
}

impl<'a> Fleet<'a> {
    fn new(scenario: &'a Scenario, seed: u64, watch: Watch) -> Fleet<'a> {
        let slots = scenario.slots / scenario.backends.max(1) as u32;
        let rest = scenario.slots as usize % scenario.backends.max(1);
        let engine = |n: usize| Engine::new(slots + u32::from(n < rest), scenario.slowdown);
        let chance = STREAMS.map(|stream| Chance::new(seed, stream));
        let [arrivals, wishes, draws, clients, bounds] = chance;
        let tally = Tally::new(instant(scenario.warm_up), instant(scenario.end()));
        Fleet {
            scenario,
            agenda: Agenda::default(),
            pools: vec![Pool::new(Time(0)); scenario.pools],
            engines: (0..scenario.backends).map(engine).collect(),
            views: vec![vec![None; scenario.pools]; scenario.routers],
            histories: vec![vec![History::default(); scenario.pools]; scenario.routers],
            untold: vec![vec![BTreeMap::new(); scenario.pools]; scenario.routers],
            users: Vec::new(),
            jobs: Vec::new(),
            arrivals,
            wishes,
            draws,
            clients,
            bounds,
            horizon: instant(scenario.horizon()),
            watch,
            log: Vec::new(),
            tally,
        }
    }

    fn play(mut self) -> (Tally, Vec<Logged>) {
        self.renewals();
        self.next_arrival();
        if let Some((at, users)) = self.scenario.burst {
            self.agenda.at(instant(at), Happening::Burst(users));
        }
        for stall in &self.scenario.stalls {
            for backend in 0..stall.backends.min(self.engines.len()) {
                self.agenda.at(instant(stall.from), Happening::Stall(backend, true));
                self.agenda.at(instant(stall.from + stall.lasts), Happening::Stall(backend, false));
            }
        }
        while let Some(happening) = self.agenda.take() {
            self.happen(happening);
        }
        (self.tally, self.log)
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Arrival => self.arrival(),
            Happening::NextStage => self.next_arrival(),
            Happening::Burst(users) => (0..users).for_each(|_| self.user_comes()),
            Happening::Retry(user) => self.ask(user),
            Happening::Ends(backend, forecast) => self.ends(backend, forecast),
            Happening::Deadline(job) => self.deadline(job),
            Happening::HangUp(job) => self.hang_up(job),
            Happening::Stopped(job) => self.stopped(job),
            Happening::Stall(backend, stalled) => self.stall(backend, stalled),
            Happening::Renewals => self.renewals(),
        }
    }

    /// Gives a pool an event at the present instant, and does what follows from it for tickets that wait.
    fn step(&mut self, pool: usize, event: &Event) -> Reply {
        if self.watch.log {
            self.log.push((pool, self.now(), event.clone()));
        }
        self.tally.events += 1;
        self.apply(pool, event)
    }

    /// The same for what happens only in the simulation.
    fn apply(&mut self, pool: usize, event: &Event) -> Reply {
        let now = self.now();
        let outcome = self.pools[pool].apply(now, event);
        self.look_at(pool);
        for action in outcome.actions {
            match action {
                Action::Grant(granted) => self.start(job_of(&granted.attempt), backend_of(&granted.backend)),
                Action::Drop { attempt, .. } => self.dropped(job_of(&attempt)),
            }
        }
        outcome.reply
    }

    fn look_at(&mut self, pool: usize) {
        let queued = self.pools[pool].view().queued_total() as usize;
        self.tally.longest_queue = self.tally.longest_queue.max(queued);
        if self.watch.every > 0 && self.tally.events.is_multiple_of(self.watch.every) {
            for name in invariants::violated(&self.pools[pool]) {
                *self.tally.broken.entry(name).or_default() += 1;
            }
        }
    }

    /// What the router of a job takes to be alike.
    fn class_of(&self, job: usize) -> Class {
        Class::of(self.users[self.jobs[job].user].bound)
    }

    fn now(&self) -> Time {
        self.agenda.now()
    }

    fn stage(&self) -> (Stage, f64) {
        self.scenario.stage(self.now().0 as f64 / 1e6)
    }

    fn id_of(&self, job: usize) -> AttemptId {
        AttemptId::from(format!("router{}-{job}", self.jobs[job].router))
    }
}

/// The job that an attempt's id names.
fn job_of(attempt: &AttemptId) -> usize {
    number_in(attempt.as_str())
}

/// The backend that its id names.
fn backend_of(id: &str) -> usize {
    number_in(id)
}

/// The number behind the last hyphen: every id here is made with one.
fn number_in(id: &str) -> usize {
    id.rsplit('-').next().and_then(|number| number.parse().ok()).unwrap_or(0)
}
