//! The fleet: one Redis, three routers, four backends, each a process of its own.

use super::ask::FAKE_MODEL;
use super::exchange::get;
use super::facts::DEMO_MODEL;
use super::history::History;
use super::plan::{
    BACKENDS, DEMO_SLOTS, Fault, Kind, MAX_QUEUE_SIZE, NODE_SLOTS, Plan, REQUEST_TIMEOUT, ROUTERS, Shape,
    Target,
};
use super::process::{Order, Process, Recipe};
use super::rotation::Rotation;
use crate::member::lasting_port;
use anyhow::Context;
use serde_json::Value;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// How long a fleet may take to start.
const START: Duration = Duration::from_secs(20);
/// Between two looks at whether a router is ready.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// How long one look may take: a stopped router is looked at again.
const LOOK: Duration = Duration::from_millis(500);

/// A running fleet; it ends when it is dropped.
#[derive(Debug)]
pub struct Scene {
    /// What happens to the processes.
    pub history: Arc<History>,
    /// Which routers are sent to.
    pub rotation: Arc<Rotation>,
    /// Logs and diaries.
    pub folder: PathBuf,
    /// Where the account is.
    pub redis_url: String,
    /// Where the first demo backend listens.
    pub demo: SocketAddr,
    shape: Shape,
    routers: Vec<(Process, SocketAddr)>,
    backends: Vec<Process>,
    redis: Process,
}

impl Scene {
    /// Starts everything and waits until every router knows all of it.
    ///
    /// # Errors
    /// A program that is not there, or a fleet that does not come together.
    pub async fn start(plan: &Plan, seed: u64, folder: &Path) -> anyhow::Result<Scene> {
        let (history, shape) = (Arc::new(History::default()), plan.shape);
        let start = |name: String, program: PathBuf, arguments: Vec<String>| {
            Process::start(Recipe { name, program, arguments, folder: folder.to_owned() }, history.clone())
        };
        let redis_port = lasting_port();
        let redis_url = format!("redis://127.0.0.1:{redis_port}");
        let redis = start("redis".to_owned(), PathBuf::from("redis-server"), redis_arguments(redis_port))?;
        let ports: Vec<u16> = (0..BACKENDS).map(|_| lasting_port()).collect();
        let mut backends = Vec::new();
        for (number, port) in ports.iter().enumerate() {
            let (program, arguments) = if number < shape.nodes() {
                ("tidegate-fake-node", node_arguments(*port, seed, &diary(folder, number)))
            } else {
                ("tidegate-backend", demo_arguments(*port))
            };
            let arguments = [arguments, flags(&["--redis-url", &redis_url])].concat();
            backends.push(start(Target::Backend(number).to_string(), program_of(program)?, arguments)?);
        }
        let addresses: [SocketAddr; ROUTERS] = std::array::from_fn(|_| loopback(lasting_port()));
        let mut routers = Vec::new();
        for (number, address) in addresses.iter().enumerate() {
            let admin = loopback(lasting_port());
            let arguments = router_arguments(*address, admin, &redis_url, shape);
            let name = Target::Router(number).to_string();
            routers.push((start(name, program_of("tidegate-router")?, arguments)?, admin));
        }
        let (rotation, demo) = (Arc::new(Rotation::new(addresses)), loopback(ports[shape.nodes()]));
        let folder = folder.to_owned();
        let scene = Scene { history, rotation, folder, redis_url, demo, shape, routers, backends, redis };
        timeout(START, scene.until_whole())
            .await
            .context("the fleet does not come together; see its logs")?;
        Ok(scene)
    }

    /// Brings a fault upon its process.
    pub async fn strike(&self, fault: &Fault) {
        if let (Target::Router(number), Kind::Kill) = (fault.target, fault.kind) {
            self.rotation.set(number, false);
        }
        let order = match fault.kind {
            Kind::Kill => Order::Kill(fault.lasts),
            Kind::Stop => Order::Stop(fault.lasts),
        };
        self.process(fault.target).order(order).await;
    }

    fn process(&self, target: Target) -> &Process {
        match target {
            Target::Router(number) => &self.routers[number].0,
            Target::Backend(number) => &self.backends[number],
            Target::Redis => &self.redis,
        }
    }

    /// Takes routers into rotation when they are ready, and out when they end. Does not end.
    pub async fn rotate(&self) {
        loop {
            for (number, (router, admin)) in self.routers.iter().enumerate() {
                if !router.is_up() {
                    self.rotation.set(number, false);
                } else if !self.rotation.serves(number) && is_ready(*admin).await {
                    // It may have been killed while it said so.
                    self.rotation.set(number, router.is_up());
                }
            }
            sleep(LOOK_EVERY).await;
        }
    }

    /// Waits until no fault is upon any process, and all that was killed runs again.
    pub async fn until_well(&self) {
        let all = || self.routers.iter().map(|(router, _)| router).chain(&self.backends).chain([&self.redis]);
        while !all().all(Process::is_well) {
            sleep(LOOK_EVERY).await;
        }
    }

    /// `/fleet` of each router; `None` where one does not answer in time.
    pub async fn views(&self) -> Vec<Option<Value>> {
        let looks = self.routers.iter().map(|(_, admin)| async move {
            let answer = timeout(LOOK, get(*admin, "/fleet")).await.ok()??;
            serde_json::from_slice(&answer.body).ok()
        });
        futures_util::future::join_all(looks).await
    }

    /// What keeps a router's view from being that of a whole fleet.
    pub fn lacks(&self, view: &Value) -> Option<String> {
        let live = |model: &str| {
            let pool = view["pools"].as_array()?.iter().find(|pool| pool["model"] == model)?;
            let live = pool["backends"].as_array()?.iter().filter(|backend| backend["state"] == "live");
            Some((live.count(), pool["slots"].as_u64()?))
        };
        let (nodes, demos) = (self.shape.nodes(), self.shape.demos);
        let wanted = |count: usize, slots: u32| Some((count, count as u64 * u64::from(slots)));
        if view["ledger"] != "redis" {
            Some(format!("its ledger is '{}'", view["ledger"]))
        } else if view["routers"].as_array().map(Vec::len) != Some(ROUTERS) {
            Some(format!("it does not know {ROUTERS} routers: {}", view["routers"]))
        } else if live(FAKE_MODEL) != wanted(nodes, NODE_SLOTS)
            || live(DEMO_MODEL) != wanted(demos, DEMO_SLOTS)
        {
            Some(format!("not all backends are live: {}", view["pools"]))
        } else {
            None
        }
    }

    async fn until_whole(&self) {
        loop {
            let views = self.views().await;
            if views.iter().all(|view| view.as_ref().is_some_and(|view| self.lacks(view).is_none())) {
                return;
            }
            sleep(LOOK_EVERY).await;
        }
    }
}

/// Where a fake node writes down what it does.
pub fn diary(folder: &Path, number: usize) -> PathBuf {
    folder.join(format!("backend-{number}.diary"))
}

async fn is_ready(admin: SocketAddr) -> bool {
    timeout(LOOK, get(admin, "/readyz")).await.ok().flatten().is_some_and(|answer| answer.status == 200)
}

/// An address on this machine.
pub fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

/// A binary of this workspace, beside this one.
///
/// # Errors
/// This program's own place is not known.
pub fn program_of(name: &str) -> anyhow::Result<PathBuf> {
    let here = std::env::current_exe()?;
    Ok(here.parent().context("this program lies in no folder")?.join(name))
}

/// Arguments of a program.
pub fn flags(flags: &[&str]) -> Vec<String> {
    flags.iter().map(|flag| (*flag).to_owned()).collect()
}

fn redis_arguments(port: u16) -> Vec<String> {
    flags(&["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
}

fn node_arguments(port: u16, seed: u64, diary: &Path) -> Vec<String> {
    let (port, slots, seed, diary) =
        (port.to_string(), NODE_SLOTS.to_string(), seed.to_string(), diary.display().to_string());
    let service = super::plan::service_flag();
    flags(&["--port", &port, "--slots", &slots, "--seed", &seed, "--service", &service, "--diary", &diary])
}

fn demo_arguments(port: u16) -> Vec<String> {
    flags(&[
        "--port",
        &port.to_string(),
        "--max-concurrent-requests",
        &DEMO_SLOTS.to_string(),
        "--device",
        "cpu",
    ])
}

/// A keep-alive of a second, so that some streams open while they wait.
fn router_arguments(client: SocketAddr, admin: SocketAddr, redis_url: &str, shape: Shape) -> Vec<String> {
    let (port, admin_port) = (client.port().to_string(), admin.port().to_string());
    let (timeout, queue) = (REQUEST_TIMEOUT.as_secs().to_string(), MAX_QUEUE_SIZE.to_string());
    let mut all = flags(&["--port", &port, "--admin-port", &admin_port, "--redis-url", redis_url]);
    all.extend(flags(&["--request-timeout", &timeout, "--max-queue-size", &queue, "--keep-alive", "1"]));
    if shape.hard_limit {
        all.extend(flags(&["--queue-rejection-threshold", "1", "--vllm-rejection-threshold", "1"]));
    }
    all
}
