//! One fleet and what happens to it: everything that a run depends on, but for the seed.

use tidegate_admission::Limits;

use crate::{
    bounds::Bounds,
    client::Retries,
    workload::{Mix, Service, Stage},
};

/// Where routers decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asking {
    /// Every request asks the ledger.
    Ledger,
    /// A refusal may come from the view that the router's last call brought, for so many microseconds.
    View(u64),
}

/// A backend makes no progress for a while.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Stall {
    /// Second at which it begins.
    pub from: f64,
    /// Seconds that it lasts.
    pub lasts: f64,
    /// Backends that it hits: the first so many.
    pub backends: usize,
}

/// One fleet and what happens to it.
#[derive(Debug, Clone, PartialEq)]
pub struct Scenario {
    /// For people.
    pub name: String,
    /// Slots of the fleet, spread evenly over backends.
    pub slots: u32,
    /// Backends, spread evenly over pools.
    pub backends: usize,
    /// Pools; users choose one evenly.
    pub pools: usize,
    /// Routers; each request comes to the next one.
    pub routers: usize,
    /// Thresholds of all routers.
    pub limits: Limits,
    /// Service time on a backend that has nothing else to do.
    pub service: Service,
    /// How much slower a full batch makes every request in it; 1 where requests do not disturb one another.
    pub slowdown: f64,
    /// Priorities.
    pub mix: Mix,
    /// Seconds from arrival to last byte at most.
    pub timeout: f64,
    /// What comes, from when on. The first stage begins at 0.
    pub stages: Vec<Stage>,
    /// Users that come all at once, at that second.
    pub burst: Option<(f64, u32)>,
    /// Stalls of backends.
    pub stalls: Vec<Stall>,
    /// What clients do after a refusal.
    pub retries: Retries,
    /// Part of the clients that hang up before the timeout, evenly spread over it.
    pub impatient: f64,
    /// What clients say of the length of their answers.
    pub bounds: Bounds,
    /// Whether routers learn how long requests of a kind take.
    pub learns: bool,
    /// Where routers decide.
    pub asking: Asking,
    /// Seconds before measuring begins.
    pub warm_up: f64,
    /// Seconds that are measured.
    pub measured: f64,
    /// Seconds of load after that: those who came last must not find an emptier fleet than the others.
    pub tail: f64,
}

/// Seconds of load after what is measured, at most.
const TAIL: f64 = 20.0;

impl Scenario {
    /// A plain fleet under constant load, of one class, with the limits' defaults but for the queue.
    pub fn plain(slots: u32, queue: u32, service: Service, timeout: f64, load: f64) -> Scenario {
        Scenario {
            name: format!("{slots}/{queue} {service}, {timeout} s"),
            slots,
            backends: slots.div_ceil(8).max(1) as usize,
            pools: 1,
            routers: 1,
            limits: Limits { max_queue_size: queue, ..Limits::default() },
            service,
            slowdown: 1.0,
            mix: Mix::One,
            timeout,
            stages: vec![Stage { from: 0.0, load, service: 1.0 }],
            burst: None,
            stalls: Vec::new(),
            retries: Retries::SDK,
            impatient: 0.0,
            bounds: Bounds::NOBODY,
            learns: true,
            asking: Asking::Ledger,
            warm_up: 100.0,
            measured: measured_for(slots),
            tail: timeout.min(TAIL),
        }
    }

    /// The same with other limits.
    pub fn limited(&self, change: impl FnOnce(&mut Limits)) -> Scenario {
        let mut other = self.clone();
        change(&mut other.limits);
        other
    }

    /// The same under another constant load.
    pub fn loaded(&self, load: f64) -> Scenario {
        Scenario { stages: vec![Stage { from: 0.0, load, service: 1.0 }], ..self.clone() }
    }

    /// Requests per second that the fleet can serve, of those of the first stage.
    pub fn capacity(&self) -> f64 {
        f64::from(self.slots) / (self.service.mean() * self.slowdown)
    }

    /// Second at which measuring ends.
    pub fn end(&self) -> f64 {
        self.warm_up + self.measured
    }

    /// Second at which the last users come.
    pub fn horizon(&self) -> f64 {
        self.end() + self.tail
    }

    /// The stage at a second, and when the next one begins.
    pub fn stage(&self, second: f64) -> (Stage, f64) {
        let now = self.stages.iter().rev().find(|stage| stage.from <= second);
        let next = self.stages.iter().map(|stage| stage.from).find(|from| *from > second);
        let nothing = Stage { from: 0.0, load: 0.0, service: 1.0 };
        (now.copied().unwrap_or(nothing), next.unwrap_or(f64::INFINITY))
    }
}

/// A small fleet needs a longer look for the same number of answers.
fn measured_for(slots: u32) -> f64 {
    match slots {
        0..=5 => 1500.0,
        6..=20 => 800.0,
        21..=100 => 300.0,
        _ => 60.0,
    }
}
