//! What a run does, drawn from its seed before anything starts: the fleet's shape, the requests, the faults.

use std::fmt;
use std::time::Duration;
use tidegate_sim::chance::Chance;
use tidegate_sim::workload::Service;

/// Routers in every run.
pub const ROUTERS: usize = 3;
/// Backends in every run, fake nodes and demo backends together.
pub const BACKENDS: usize = 4;
/// Slots of a fake node.
pub const NODE_SLOTS: u32 = 16;
/// Slots of a demo backend.
pub const DEMO_SLOTS: u32 = 3;
/// `--max-queue-size` of every pool.
pub const MAX_QUEUE_SIZE: u32 = 40;
/// `--request-timeout` of the routers.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest time for which a process is stopped.
const LONGEST_STOP: f64 = 5.0;
/// Longest time for which a killed process stays away.
const LONGEST_ABSENCE: f64 = 3.0;
/// Service times of the fake nodes: most lie between 0.3 and 2 s.
const SERVICE: Service = Service::Lognormal(0.9, 0.5);
/// Offered load over capacity of the fake nodes.
const OVERLOAD: f64 = 3.0;
/// Questions per second to each demo backend: these cost real work on the machine that all processes share.
const QUESTIONS_PER_DEMO: f64 = 4.0;
/// Time that a process gets between the end of one fault and the next.
const RESPITE: Duration = Duration::from_secs(1);
/// Time without a fault at the start.
const CALM: f64 = 1.5;

/// A whole run.
#[derive(Debug, Clone)]
pub struct Plan {
    /// How many of which backends there are, and how strictly the routers refuse.
    pub shape: Shape,
    /// By their time.
    pub requests: Vec<Request>,
    /// By their time.
    pub faults: Vec<Fault>,
}

/// The fleet of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Backends of the demo model; the others are fake nodes.
    pub demos: usize,
    /// Without the graduated curve the queue stands at its limit all the time.
    pub hard_limit: bool,
}

/// One request.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// Its place among all.
    pub number: usize,
    /// When it is sent, after the start.
    pub at: Duration,
    /// The router that it is meant for.
    pub router: usize,
    /// What it asks.
    pub question: Question,
    /// Whether the answer is a stream.
    pub stream: bool,
    /// `x-tidegate-priority`.
    pub priority: &'static str,
    /// After this time the client hangs up.
    pub hangs_up: Option<Duration>,
}

/// What is asked of which pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Question {
    /// A fake node gives the request's token back.
    Echo,
    /// Any number: which question of those that the demo model answers rightly.
    Fact(usize),
}

/// One fault.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Fault {
    /// When it begins, after the start.
    pub at: Duration,
    /// Whom it meets.
    pub target: Target,
    /// What happens.
    pub kind: Kind,
    /// For how long.
    pub lasts: Duration,
}

/// A process that a fault can meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    /// A router.
    Router(usize),
    /// A backend: fake nodes first.
    Backend(usize),
    /// The one Redis.
    Redis,
}

/// What a fault does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// SIGKILL; a new process is started when the fault is over.
    Kill,
    /// SIGSTOP; SIGCONT when the fault is over.
    Stop,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::Router(number) => write!(f, "router-{number}"),
            Target::Backend(number) => write!(f, "backend-{number}"),
            Target::Redis => f.write_str("redis"),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = if self.kind == Kind::Kill { "killed" } else { "stopped" };
        write!(f, "{} {what} for {:.2} s", self.target, self.lasts.as_secs_f64())
    }
}

impl Plan {
    /// The run in a line.
    pub fn in_words(&self) -> String {
        let Shape { demos, hard_limit } = self.shape;
        let curve = if hard_limit { "a hard limit" } else { "the graduated curve" };
        format!(
            "{ROUTERS} routers, {} fake nodes, {demos} demo backends, {curve}; {} requests, {} faults",
            self.shape.nodes(),
            self.requests.len(),
            self.faults.len(),
        )
    }

    /// The plan of a seed for a load of so many seconds.
    pub fn draw(seed: u64, seconds: f64) -> Plan {
        let mut chance = Chance::new(seed, 10);
        let shape = Shape { demos: 1 + chance.index(2), hard_limit: chance.happens(0.5) };
        let (load, trouble) = (Chance::new(seed, 11), Chance::new(seed, 12));
        Plan { shape, requests: requests(load, shape, seconds), faults: faults(trouble, seconds) }
    }
}

impl Shape {
    /// Fake nodes.
    pub fn nodes(self) -> usize {
        BACKENDS - self.demos
    }

    /// Requests per second that the fake nodes can serve.
    pub fn capacity(self) -> f64 {
        f64::from(NODE_SLOTS) * self.nodes() as f64 / SERVICE.mean()
    }
}

/// The service times, as the fake nodes take them.
pub fn service_flag() -> String {
    crate::service::text(&SERVICE)
}

fn requests(mut chance: Chance, shape: Shape, seconds: f64) -> Vec<Request> {
    let (echoes, facts) = (OVERLOAD * shape.capacity(), QUESTIONS_PER_DEMO * shape.demos as f64);
    let mut requests = Vec::new();
    let mut at = chance.exponential(1.0 / (echoes + facts));
    while at < seconds {
        requests.push(Request {
            number: requests.len(),
            at: Duration::from_secs_f64(at),
            router: chance.index(ROUTERS),
            question: if chance.happens(echoes / (echoes + facts)) {
                Question::Echo
            } else {
                Question::Fact(chance.index(10_000))
            },
            stream: chance.happens(0.5),
            priority: ["high", "normal", "normal", "normal", "low"][chance.index(5)],
            hangs_up: chance.happens(0.05).then(|| Duration::from_millis(chance.between(20, 3000))),
        });
        at += chance.exponential(1.0 / (echoes + facts));
    }
    requests
}

/// Faults at random times, each over before the load ends; no process meets two at a time.
fn faults(mut chance: Chance, seconds: f64) -> Vec<Fault> {
    // Short runs are denser, so that they see something of everything.
    let pause = if seconds < 30.0 { 0.6 } else { 1.2 };
    let mut faults: Vec<Fault> = Vec::new();
    let mut at = CALM;
    loop {
        at += chance.exponential(pause);
        let target = target(&mut chance);
        let kind = if chance.happens(0.5) { Kind::Kill } else { Kind::Stop };
        let longest = if kind == Kind::Kill { LONGEST_ABSENCE } else { LONGEST_STOP };
        let lasts = (0.1 + (longest - 0.1) * chance.unit()).min(seconds - at);
        if lasts < 0.1 {
            return faults;
        }
        let at = Duration::from_secs_f64(at);
        let busy = |fault: &Fault| fault.target == target && fault.at + fault.lasts + RESPITE > at;
        if !faults.iter().any(busy) {
            faults.push(Fault { at, target, kind, lasts: Duration::from_secs_f64(lasts) });
        }
    }
}

fn target(chance: &mut Chance) -> Target {
    match chance.index(10) {
        0..4 => Target::Router(chance.index(ROUTERS)),
        4..8 => Target::Backend(chance.index(BACKENDS)),
        _ => Target::Redis,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_one_plan() {
        let (one, two) = (Plan::draw(7, 60.0), Plan::draw(7, 60.0));
        assert_eq!((one.shape, &one.requests, &one.faults), (two.shape, &two.requests, &two.faults));
        assert_ne!(one.faults, Plan::draw(8, 60.0).faults);
    }

    #[test]
    fn a_plan_holds_what_it_promises() {
        for seed in 0..50 {
            let plan = Plan::draw(seed, 60.0);
            let offered = plan.requests.len() as f64 / 60.0;
            assert!(offered > 2.7 * plan.shape.capacity() && offered < 170.0, "{offered} requests/s");
            for fault in &plan.faults {
                assert!(fault.at + fault.lasts <= Duration::from_secs(60), "{fault:?}");
                assert!(fault.lasts <= Duration::from_secs(5), "{fault:?}");
            }
            let meets = |wanted: fn(&Target) -> bool| plan.faults.iter().any(|fault| wanted(&fault.target));
            assert!(meets(|target| matches!(target, Target::Router(_))));
            assert!(meets(|target| matches!(target, Target::Backend(_))));
            assert!(meets(|target| *target == Target::Redis), "seed {seed}");
        }
    }
}
