//! What a fake node runs and has seen.

use super::diary::{Diary, Ended};
use super::{MODEL, Plan, Setup};
use http::{HeaderMap, Version};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use tidegate_wire::header::ATTEMPT;
use tidegate_wire::node::NodeReport;
use tidegate_wire::registration::Registration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// One piece of work that a node has taken.
#[derive(Debug)]
struct Work {
    attempt: String,
    /// False while it stands in the node's own line.
    begun: bool,
    /// Its client has gone, and it has not stopped yet.
    abandoned: bool,
}

/// What a node has seen and does.
#[derive(Debug)]
pub(super) struct Account {
    pub(super) plan: Plan,
    /// Numbered streams end with their next event.
    pub(super) closing: bool,
    /// It answers when it is asked for its report.
    pub(super) reports: bool,
    /// How often its models were asked for.
    pub(super) listed: u64,
    /// How often it was asked for its report.
    pub(super) reported: u64,
    pub(super) most: usize,
    pub(super) seen: u64,
    pub(super) version: Version,
    pub(super) headers: HeaderMap,
    pub(super) body: Value,
    taken: BTreeMap<u64, Work>,
}

impl Account {
    /// Pieces of work that somebody waits for.
    pub(super) fn running(&self) -> usize {
        self.taken.values().filter(|work| !work.abandoned).count()
    }

    fn attempts(&self, abandoned: bool) -> Vec<String> {
        let those = self.taken.values().filter(|work| work.abandoned == abandoned);
        those.map(|work| work.attempt.clone()).collect()
    }
}

/// A node, as its paths share it.
#[derive(Debug, Clone)]
pub(super) struct Node {
    account: Arc<Mutex<Account>>,
    /// The slots of a node that queues, in the order in which they were asked for.
    line: Option<Arc<Semaphore>>,
    diary: Option<Arc<Diary>>,
    pub(super) setup: Arc<Setup>,
}

impl Node {
    pub(super) fn new(setup: Setup) -> Self {
        let account = Account {
            plan: setup.plan,
            closing: false,
            reports: true,
            listed: 0,
            reported: 0,
            most: 0,
            seen: 0,
            version: Version::default(),
            headers: HeaderMap::new(),
            body: Value::Null,
            taken: BTreeMap::new(),
        };
        Self {
            account: Arc::new(Mutex::new(account)),
            line: setup.queues.then(|| Arc::new(Semaphore::new(setup.slots as usize))),
            diary: setup.diary.as_ref().map(|path| Arc::new(Diary::open(path))),
            setup: Arc::new(setup),
        }
    }

    pub(super) fn account(&self) -> MutexGuard<'_, Account> {
        self.account.lock().unwrap()
    }

    /// Takes a request; the code of the refusal where it does not. Work that has been given up and has not stopped counts as well.
    pub(super) fn enter(&self, headers: HeaderMap, body: Value) -> Result<(Plan, Running), &'static str> {
        let attempt = headers.get(ATTEMPT).and_then(|id| id.to_str().ok()).unwrap_or_default().to_owned();
        let mut account = self.account();
        account.seen += 1;
        (account.headers, account.body) = (headers, body);
        let full = self.line.is_none() && account.taken.len() >= self.setup.slots as usize;
        let refused = match account.plan {
            Plan::Refuse(code) => Some(code),
            _ => full.then_some("concurrency"),
        };
        if let Some(code) = refused {
            if let Some(diary) = &self.diary {
                diary.refused(&attempt);
            }
            return Err(code);
        }
        let serial = account.seen;
        let id =
            format!("chatcmpl-{}", if attempt.is_empty() { serial.to_string() } else { attempt.clone() });
        account.taken.insert(serial, Work { attempt, begun: false, abandoned: false });
        let node = self.clone();
        Ok((account.plan, Running { node, serial, id, slot: None, begun: false, done: false }))
    }

    pub(super) fn report(&self) -> NodeReport {
        let account = self.account();
        NodeReport {
            epoch: self.setup.epoch.clone(),
            models: vec![MODEL.to_owned()],
            slots: self.setup.slots,
            running: account.attempts(false),
            abandoned: account.attempts(true),
            draining: false,
            ready: true,
        }
    }

    pub(super) fn registration(&self, url: &str) -> Registration {
        Registration {
            beat: 0,
            id: url.to_owned(),
            epoch: self.setup.epoch.clone(),
            url: url.to_owned(),
            models: vec![MODEL.to_owned()],
            slots: self.setup.slots,
            draining: false,
        }
    }
}

/// A piece of work in hand. It leaves the account when its answer is over; dropped before that, its client has gone, and it
/// leaves once it has stopped.
#[derive(Debug)]
pub(super) struct Running {
    node: Node,
    serial: u64,
    /// Names this run in its answer: another one of the same request has another name.
    id: String,
    slot: Option<OwnedSemaphorePermit>,
    begun: bool,
    done: bool,
}

impl Running {
    /// Waits for a slot where the node queues, and begins.
    pub(super) async fn begin(&mut self, prompt: &str) {
        if let Some(line) = self.node.line.clone() {
            self.slot = line.acquire_owned().await.ok();
        }
        self.begun = true;
        let mut account = self.node.account();
        let Some(work) = account.taken.get_mut(&self.serial) else { return };
        work.begun = true;
        if let Some(diary) = &self.node.diary {
            diary.begun(self.serial, &work.attempt, prompt);
        }
        let at_work = account.taken.values().filter(|work| work.begun).count();
        account.most = account.most.max(at_work);
    }

    /// The answer's `id`.
    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// Whether the node was told to end its streams.
    pub(super) fn closing(&self) -> bool {
        self.node.account().closing
    }

    /// The answer is over.
    pub(super) fn done(mut self) {
        self.done = true;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let mut account = self.node.account();
        let stop_takes = self.node.setup.stop_takes;
        if self.begun && !self.done && !stop_takes.is_zero() {
            if let Some(work) = account.taken.get_mut(&self.serial) {
                work.abandoned = true;
            }
            let (node, serial, slot) = (self.node.clone(), self.serial, self.slot.take());
            tokio::spawn(async move {
                tokio::time::sleep(stop_takes).await;
                node.account().taken.remove(&serial);
                node.ended(serial, Ended::Dropped);
                drop(slot);
            });
            return;
        }
        account.taken.remove(&self.serial);
        if self.begun {
            self.node.ended(self.serial, if self.done { Ended::Done } else { Ended::Dropped });
        }
    }
}

impl Node {
    fn ended(&self, serial: u64, how: Ended) {
        if let Some(diary) = &self.diary {
            diary.ended(serial, how);
        }
    }
}
