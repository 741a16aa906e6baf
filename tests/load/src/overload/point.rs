//! One run of the scenario: what is offered to which fleet, and for how long.

use crate::fleet::Plan;
use crate::retry::Retries;
use crate::service;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::Duration;
use tidegate_sim::workload::{Mix, Service};

/// Mean of the service time, in seconds.
pub const MEAN: f64 = 0.5;
/// The service time of all runs.
pub const SERVICE: Service = Service::Exponential(MEAN);
/// Routers where nothing else is said.
pub const ROUTERS: usize = 4;
/// Nodes, and slots of each, where nothing else is said: twenty answers a second.
pub const NODES: (usize, u32) = (2, 5);
/// Deadlines, in mean service times: the one of the scenario, and a hard one.
pub const DEADLINES: [f64; 2] = [10.0, 5.0];
/// Milliseconds from a hang-up to the free slot: one decode step.
const STOP_MS: u32 = 20;
/// The offered load goes on for so long after the measured time, so that what began in it is seen to end.
const TAIL: f64 = 2.0;

/// What stands between the people and the nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mode {
    /// Tidegate: one account in Redis.
    Tidegate,
    /// Nothing that says no: the nodes take what comes, and run it first in, first out.
    Off,
    /// A limit and a queue in each router, as peers have them, before nodes that queue too.
    Replicas,
}

impl Mode {
    /// All, in the order of the report.
    pub const ALL: [Mode; 3] = [Mode::Tidegate, Mode::Off, Mode::Replicas];

    /// Its name for people.
    pub fn name(self) -> &'static str {
        match self {
            Mode::Tidegate => "Tidegate",
            Mode::Off => "no admission",
            Mode::Replicas => "limits per replica",
        }
    }
}

/// One run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// What stands in front.
    pub mode: Mode,
    /// Users who come, over what the fleet can serve.
    pub load: f64,
    /// Whether they try again.
    pub retries: bool,
    /// Their deadline, in mean service times.
    pub deadline: f64,
    /// Whether they are of three classes.
    pub mixed: bool,
    /// Routers.
    pub routers: usize,
    /// Nodes.
    pub nodes: usize,
    /// Slots of each.
    pub slots: u32,
    /// Number among runs of the same: arrivals and work differ.
    pub repeat: u64,
    /// Seconds of load before the measured time.
    pub warm: f64,
    /// Seconds of measured time.
    pub measured: f64,
}

impl Point {
    /// The scenario's own fleet and deadline under a load.
    pub fn new(mode: Mode, load: f64, retries: bool) -> Self {
        Self {
            mode,
            load,
            retries,
            deadline: DEADLINES[0],
            mixed: false,
            routers: ROUTERS,
            nodes: NODES.0,
            slots: NODES.1,
            repeat: 1,
            warm: warm(mode, load, retries),
            measured: if retries { 15.0 } else { 8.0 },
        }
    }

    /// Slots of all nodes.
    pub fn all_slots(&self) -> f64 {
        self.nodes as f64 * f64::from(self.slots)
    }

    /// Answers per second that the fleet can give.
    pub fn capacity(&self) -> f64 {
        self.all_slots() / MEAN
    }

    /// Seed of arrivals and work: the same for all fleets that are compared.
    pub fn seed(&self) -> u64 {
        self.repeat
    }

    /// The users' deadline.
    pub fn deadline(&self) -> Duration {
        Duration::from_secs_f64(self.deadline * MEAN)
    }

    /// The measured time, from the start of the load.
    pub fn window(&self) -> [Duration; 2] {
        [self.warm, self.warm + self.measured].map(Duration::from_secs_f64)
    }

    /// The end of the load.
    pub fn end(&self) -> Duration {
        self.window()[1] + Duration::from_secs_f64(TAIL)
    }

    /// How its users try again.
    pub fn retrying(&self) -> Retries {
        if self.retries { Retries::Sdk } else { Retries::None }
    }

    /// Its classes.
    pub fn mix(&self) -> Mix {
        if self.mixed { Mix::Mixed } else { Mix::One }
    }

    /// Whether the users' deadlines are known to the fleet. Limits per replica know of none.
    pub fn told(&self) -> bool {
        self.mode == Mode::Tidegate
    }

    /// The fleet. `wait_share`: the flag's value, or the product's default.
    pub fn plan(&self, wait_share: Option<f64>) -> Plan {
        let [slots, seed, stop] = [self.slots.to_string(), self.seed().to_string(), STOP_MS.to_string()];
        let service = service::text(&SERVICE);
        let mut node_flags =
            words([("--slots", slots), ("--service", service), ("--seed", seed), ("--stop-ms", stop)]);
        if self.mode != Mode::Tidegate {
            node_flags.extend(["--foreign", "--queue"].map(str::to_owned));
        }
        Plan {
            routers: self.routers,
            router_flags: words(self.router_flags(wait_share)),
            nodes: self.nodes,
            node_flags,
            redis: self.mode == Mode::Tidegate,
            diaries: None,
        }
    }

    fn router_flags(&self, wait_share: Option<f64>) -> Vec<(&'static str, String)> {
        let timeout = self.deadline().as_secs_f64().to_string();
        // A router that knows no deadline must not refuse by one either.
        let day = ("--request-timeout", "86400".to_owned());
        match self.mode {
            Mode::Tidegate => {
                let share = wait_share.map(|share| ("--wait-share", share.to_string()));
                std::iter::once(("--request-timeout", timeout)).chain(share).collect()
            }
            Mode::Off => vec![day, ("--backend-slots", "100000".to_owned())],
            Mode::Replicas => vec![
                day,
                ("--backend-slots", self.slots.to_string()),
                ("--wait-share", "1".to_owned()),
                ("--queue-rejection-threshold", "1".to_owned()),
                ("--vllm-rejection-threshold", "1".to_owned()),
            ],
        }
    }
}

fn words<'a>(flags: impl IntoIterator<Item = (&'a str, String)>) -> Vec<String> {
    flags.into_iter().flat_map(|(flag, value)| [flag.to_owned(), value]).collect()
}

/// Seconds until queues are as long as they will be and retries have come up to what they will be. Where the fleet says when to
/// retry, that is the later the higher the load; elsewhere it is a deadline and a few seconds of back-off, twice.
fn warm(mode: Mode, load: f64, retries: bool) -> f64 {
    match (mode, retries) {
        (Mode::Tidegate, true) => 10.0 + 3.0 * load,
        (Mode::Replicas, true) => 10.0 + 2.0 * load,
        (Mode::Off, true) | (Mode::Replicas, false) => 12.0,
        (Mode::Tidegate | Mode::Off, false) => 8.0,
    }
}

/// The name of a point, under which its result is kept.
impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let retries = if self.retries { "retries" } else { "no retries" };
        let classes = if self.mixed { "three classes" } else { "one class" };
        write!(
            f,
            "{}, {} x, {retries}, deadline {} means, {classes}, {} routers, {} x {} slots, run {}",
            self.mode.name(),
            self.load,
            self.deadline,
            self.routers,
            self.nodes,
            self.slots,
            self.repeat
        )
    }
}
