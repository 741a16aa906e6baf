//! One process of the scene: what it writes goes to a file, faults come as orders, and when it ends it is started again, as
//! its supervisor in a real fleet would.

use super::history::{Change, History};
use super::say;
use anyhow::Context;
use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::process::{Child, Command};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::sleep;

/// Time between the end of a process that nobody killed and its next start.
const RESTART_AFTER: Duration = Duration::from_millis(300);

/// What is to happen to a process.
#[derive(Debug, Clone, Copy)]
pub enum Order {
    /// SIGKILL, and a new start after so long.
    Kill(Duration),
    /// SIGSTOP, and SIGCONT after so long.
    Stop(Duration),
}

/// What to run.
#[derive(Debug, Clone)]
pub struct Recipe {
    /// Its name in the history and of its log.
    pub name: String,
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// Where its log is kept.
    pub folder: PathBuf,
}

/// A process that is kept running until this is dropped.
#[derive(Debug)]
pub struct Process {
    orders: mpsc::Sender<Order>,
    /// True from each start until it is killed or ends.
    up: Arc<AtomicBool>,
    /// True while an order is being carried out.
    busy: Arc<AtomicBool>,
    task: JoinHandle<()>,
}

impl Process {
    /// Starts it.
    ///
    /// # Errors
    /// The program or its log cannot be opened.
    pub fn start(recipe: Recipe, history: Arc<History>) -> anyhow::Result<Process> {
        let child = recipe.spawn()?;
        history.note(&recipe.name, Change::Began);
        let (orders, taken) = mpsc::channel(4);
        let (up, busy) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicBool::new(false)));
        let keeping = Keeping { recipe, history, up: up.clone(), busy: busy.clone() };
        let task = tokio::spawn(keeping.run(child, taken));
        Ok(Process { orders, up, busy, task })
    }

    /// Gives an order, which is carried out at once where no other is under way.
    pub async fn order(&self, order: Order) {
        self.busy.store(true, Ordering::SeqCst);
        // Nobody takes orders only after the end of the run.
        let _ = self.orders.send(order).await;
    }

    /// Whether it runs (it may be stopped).
    pub fn is_up(&self) -> bool {
        self.up.load(Ordering::SeqCst)
    }

    /// Whether it runs and no fault is upon it.
    pub fn is_well(&self) -> bool {
        self.is_up() && !self.busy.load(Ordering::SeqCst)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // The child goes with the task that owns it.
        self.task.abort();
    }
}

struct Keeping {
    recipe: Recipe,
    history: Arc<History>,
    up: Arc<AtomicBool>,
    busy: Arc<AtomicBool>,
}

impl Keeping {
    async fn run(self, mut child: Child, mut orders: mpsc::Receiver<Order>) {
        loop {
            self.live(&mut child, &mut orders).await;
            child = loop {
                match self.recipe.spawn() {
                    Ok(child) => break child,
                    Err(error) => {
                        say(format_args!("{} cannot be started again: {error:#}", self.recipe.name));
                        sleep(RESTART_AFTER).await;
                    }
                }
            };
            self.history.note(&self.recipe.name, Change::Began);
            self.up.store(true, Ordering::SeqCst);
            self.busy.store(false, Ordering::SeqCst);
        }
    }

    /// One life; returns when the next one may begin.
    async fn live(&self, child: &mut Child, orders: &mut mpsc::Receiver<Order>) {
        loop {
            tokio::select! {
                status = child.wait() => {
                    self.ended(Change::Exited);
                    let status = status.map_or_else(|error| error.to_string(), |status| status.to_string());
                    say(format_args!("{} ended by itself: {status}", self.recipe.name));
                    sleep(RESTART_AFTER).await;
                    return;
                }
                order = orders.recv() => match order {
                    Some(Order::Kill(away)) => {
                        // Noted before it dies: a client may see its end before this task goes on.
                        self.ended(Change::Killed);
                        // What cannot be killed has ended.
                        let _ = child.kill().await;
                        sleep(away).await;
                        return;
                    }
                    Some(Order::Stop(lasts)) => self.stop(child, lasts).await,
                    None => return std::future::pending().await,
                }
            }
        }
    }

    async fn stop(&self, child: &Child, lasts: Duration) {
        self.history.note(&self.recipe.name, Change::Stopped);
        signal(child, "STOP").await;
        sleep(lasts).await;
        signal(child, "CONT").await;
        self.history.note(&self.recipe.name, Change::Continued);
        self.busy.store(false, Ordering::SeqCst);
    }

    fn ended(&self, how: Change) {
        self.up.store(false, Ordering::SeqCst);
        self.history.note(&self.recipe.name, how);
    }
}

impl Recipe {
    /// Starts it; it ends when the child is dropped.
    ///
    /// # Errors
    /// The program or its log cannot be opened.
    pub fn spawn(&self) -> anyhow::Result<Child> {
        let log =
            || -> std::io::Result<File> { OpenOptions::new().create(true).append(true).open(self.log()) };
        Command::new(&self.program)
            .args(&self.arguments)
            .stdin(Stdio::null())
            .stdout(log()?)
            .stderr(log()?)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("{}: build it, or install it", self.program.display()))
    }

    /// Where it writes.
    pub fn log(&self) -> PathBuf {
        log(&self.folder, &self.name)
    }
}

/// Where a process of that name writes.
pub fn log(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("{name}.log"))
}

/// Sends a signal to a child that has not been waited for, so that the id is still its own.
pub async fn signal(child: &Child, name: &str) {
    let Some(id) = child.id() else { return };
    // A signal that is not delivered shows in what follows: the process does not stop, or does not go on.
    let _ = Command::new("kill").args(["-s", name, &id.to_string()]).status().await;
}
