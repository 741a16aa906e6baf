//! The fleet: one Redis, three routers, some backends of the demo model, each a process of its own.

use super::plan::{MAX_QUEUE_SIZE, REQUEST_TIMEOUT, ROUTERS};
use crate::chaos::exchange::get;
use crate::chaos::process::{Recipe, signal};
use crate::chaos::scene::{flags, loopback, program_of};
use crate::member::lasting_port;
use anyhow::{Context, ensure};
use serde_json::Value;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::process::Child;
use tokio::time::{sleep, timeout};

/// How long a fleet may take to start.
const START: Duration = Duration::from_secs(20);
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// How long one look may take.
const LOOK: Duration = Duration::from_secs(5);
/// How long a process that holds nothing may take to end.
const END: Duration = Duration::from_secs(15);
/// Seconds for which a router keeps an unused connection to a backend: short, so that a fleet is soon at rest.
const BACKEND_KEEP_ALIVE: &str = "2";

/// One process.
#[derive(Debug)]
pub struct Process {
    /// What it is called.
    pub name: String,
    /// Its process id.
    pub id: u32,
    child: Child,
}

/// A running fleet; it ends when it is dropped.
#[derive(Debug)]
pub struct Scene {
    /// Redis, then the routers, then the backends.
    pub processes: Vec<Process>,
    /// Where the account is.
    pub redis_url: String,
    /// Where the routers listen for clients.
    pub routers: [SocketAddr; ROUTERS],
    /// Where the routers listen for operators.
    pub admins: [SocketAddr; ROUTERS],
    /// Where the backends listen.
    pub backends: Vec<SocketAddr>,
    /// Redis works here; it keeps nothing.
    _redis_folder: tempfile::TempDir,
}

impl Scene {
    /// Starts everything, logs in a folder, and waits until every router knows all of it.
    ///
    /// # Errors
    /// A program that is not there, or a fleet that does not come together.
    pub async fn start(backends: usize, folder: &Path) -> anyhow::Result<Scene> {
        let redis_folder = tempfile::tempdir()?;
        let port = lasting_port();
        let redis_url = format!("redis://127.0.0.1:{port}");
        let arguments = redis_arguments(port, redis_folder.path());
        let mut processes =
            vec![start("redis".to_owned(), PathBuf::from("redis-server"), arguments, folder)?];
        let routers = std::array::from_fn(|_| loopback(lasting_port()));
        let admins = std::array::from_fn(|_| loopback(lasting_port()));
        for number in 0..ROUTERS {
            let arguments = router_arguments(routers[number], admins[number], &redis_url);
            let program = program_of("tidegate-router")?;
            processes.push(start(format!("router-{number}"), program, arguments, folder)?);
        }
        let backends: Vec<SocketAddr> = (0..backends).map(|_| loopback(lasting_port())).collect();
        for (number, address) in backends.iter().enumerate() {
            let port = address.port().to_string();
            let arguments = flags(&["--port", &port, "--device", "cpu", "--redis-url", &redis_url]);
            let program = program_of("tidegate-backend")?;
            processes.push(start(format!("backend-{number}"), program, arguments, folder)?);
        }
        let scene = Scene { processes, redis_url, routers, admins, backends, _redis_folder: redis_folder };
        let whole = timeout(START, scene.until_whole()).await;
        whole.with_context(|| format!("the fleet does not come together; see {}", folder.display()))?;
        Ok(scene)
    }

    /// `/fleet` of each router; `None` where one does not answer.
    pub async fn views(&self) -> Vec<Option<Value>> {
        let views = self.admins.iter().map(|admin| async move {
            let text = page(*admin, "/fleet").await?;
            serde_json::from_str(&text).ok()
        });
        futures_util::future::join_all(views).await
    }

    /// Slots of the one pool.
    ///
    /// # Errors
    /// A router that does not say.
    pub async fn slots(&self) -> anyhow::Result<usize> {
        let views = self.views().await;
        let slots = views.first().and_then(|view| view.as_ref()?["pools"][0]["slots"].as_u64());
        let slots = slots.context("router-0 shows no slots")?;
        ensure!(slots > 0, "the pool has no slot");
        Ok(usize::try_from(slots)?)
    }

    /// `/metrics` of each router and backend, with its name.
    pub async fn metrics(&self) -> Vec<(String, Option<String>)> {
        let routers = self.admins.iter().enumerate().map(|(number, at)| (format!("router-{number}"), *at));
        let backends =
            self.backends.iter().enumerate().map(|(number, at)| (format!("backend-{number}"), *at));
        let pages =
            routers.chain(backends).map(|(name, at)| async move { (name, page(at, "/metrics").await) });
        futures_util::future::join_all(pages).await
    }

    /// Asks all processes to end, routers first and Redis last: the name of each, and how it ended.
    pub async fn end(mut self) -> Vec<(String, String)> {
        let redis = self.processes.remove(0);
        let mut ended = Vec::new();
        for process in self.processes.into_iter().chain([redis]) {
            ended.push(process.end().await);
        }
        ended.rotate_right(1);
        ended
    }

    async fn until_whole(&self) {
        let whole = |view: &Value| {
            let backends = view["pools"][0]["backends"]
                .as_array()
                .map(|backends| backends.iter().filter(|backend| backend["state"] == "live").count());
            view["ledger"] == "redis"
                && backends == Some(self.backends.len())
                && view["routers"].as_array().map(Vec::len) == Some(ROUTERS)
        };
        while !self.views().await.iter().all(|view| view.as_ref().is_some_and(whole)) {
            sleep(LOOK_EVERY).await;
        }
    }
}

impl Process {
    /// SIGTERM; how it ends.
    async fn end(mut self) -> (String, String) {
        // One that has ended before was not asked to.
        if let Ok(Some(status)) = self.child.try_wait() {
            return (self.name, format!("by itself: {status}"));
        }
        signal(&self.child, "TERM").await;
        let how = match timeout(END, self.child.wait()).await {
            Ok(Ok(status)) => status.code().map_or_else(|| status.to_string(), |code| code.to_string()),
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("not within {END:?}"),
        };
        (self.name, how)
    }
}

fn start(name: String, program: PathBuf, arguments: Vec<String>, folder: &Path) -> anyhow::Result<Process> {
    let recipe = Recipe { name, program, arguments, folder: folder.to_owned() };
    let child = recipe.spawn()?;
    let id = child.id().with_context(|| format!("{} has ended already", recipe.name))?;
    Ok(Process { name: recipe.name, id, child })
}

/// A page of a process as text; `None` where it does not answer.
async fn page(at: SocketAddr, path: &str) -> Option<String> {
    let answer = timeout(LOOK, get(at, path)).await.ok()??;
    String::from_utf8(answer.body).ok()
}

fn redis_arguments(port: u16, folder: &Path) -> Vec<String> {
    let (port, folder) = (port.to_string(), folder.display().to_string());
    flags(&["--port", &port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", &folder])
}

fn router_arguments(client: SocketAddr, admin: SocketAddr, redis_url: &str) -> Vec<String> {
    let (port, admin_port) = (client.port().to_string(), admin.port().to_string());
    let (timeout, queue) = (REQUEST_TIMEOUT.as_secs().to_string(), MAX_QUEUE_SIZE.to_string());
    let mut all = flags(&["--port", &port, "--admin-port", &admin_port, "--redis-url", redis_url]);
    all.extend(flags(&["--request-timeout", &timeout, "--max-queue-size", &queue]));
    all.extend(flags(&["--backend-keep-alive", BACKEND_KEEP_ALIVE]));
    all
}
