//! Backends: each has a semaphore of its own, registers, reports what it holds, dies and comes back as another life.

use std::collections::{BTreeMap, BTreeSet};

use tidegate_admission::{AttemptId, Backend, Event, time::SECOND};

use super::{END, Happening, Life, Word, Work, World, weather::Party};

/// Microseconds from one report to the next.
const REPORT_EVERY: u64 = SECOND / 2;

/// One backend.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) slots: u32,
    life: Life,
    up: bool,
    running: BTreeMap<AttemptId, Work>,
    /// Attempts whose connection was closed, also before they came.
    closed: BTreeSet<AttemptId>,
    /// Requests that it ever began.
    begun: BTreeSet<usize>,
}

impl Node {
    pub(super) fn new(slots: u32) -> Node {
        let (running, closed, begun) = (BTreeMap::new(), BTreeSet::new(), BTreeSet::new());
        Node { slots, life: 0, up: true, running, closed, begun }
    }

    /// Whether it has not died yet.
    pub(super) fn first_life(&self) -> bool {
        self.life == 0
    }

    /// Whether this life of it works on an attempt.
    pub(super) fn works_on(&self, life: Life, attempt: &AttemptId) -> bool {
        self.up && self.life == life && self.running.contains_key(attempt)
    }

    /// What runs here for one life of a router.
    pub(super) fn work_of(&self, router: usize, life: Life) -> Vec<AttemptId> {
        let mine = |work: &&Work| work.router == router && work.life == life;
        self.running.values().filter(mine).map(|work| work.attempt.clone()).collect()
    }
}

/// An attempt as a backend gets it.
pub(super) fn work(attempt: &AttemptId, router: usize, life: Life, request: usize, service: u64) -> Work {
    Work { attempt: attempt.clone(), router, life, request, service }
}

pub(super) fn name(node: usize) -> String {
    format!("node{node}")
}

/// Names a life of a backend, so that a later one compares greater.
pub(super) fn epoch(life: Life) -> String {
    format!("{life:04}")
}

/// The life that an epoch names.
pub(super) fn life_of(epoch: &str) -> Life {
    epoch.parse().unwrap_or(0)
}

/// The backend that a name names.
pub(super) fn node_of(name: &str) -> usize {
    name.strip_prefix("node").and_then(|number| number.parse().ok()).unwrap_or(0)
}

impl World {
    /// A router asks a backend to run an attempt.
    pub(super) fn start_work(&mut self, node: usize, work: Work) {
        let Node { up, slots, .. } = self.nodes[node];
        if !up {
            self.say(node, &work, Word::Unreachable);
        } else if self.nodes[node].closed.contains(&work.attempt) {
            self.say(node, &work, Word::Stopped);
        } else if self.nodes[node].running.len() >= slots as usize {
            self.say(node, &work, Word::Full);
        } else {
            self.begin_work(node, work);
        }
    }

    fn begin_work(&mut self, node: usize, work: Work) {
        if self.nodes.iter().any(|node| node.begun.contains(&work.request)) {
            self.fail(format!("L5: request {} begins a second time", work.request));
        }
        let lasts = work.service * self.weather.slowness(node);
        let life = self.nodes[node].life;
        self.agenda.after(lasts, Happening::WorkEnds(node, life, work.attempt.clone()));
        self.nodes[node].begun.insert(work.request);
        self.nodes[node].running.insert(work.attempt.clone(), work);
    }

    /// Work ends by itself.
    pub(super) fn work_ends(&mut self, node: usize, life: Life, attempt: &AttemptId) {
        if self.nodes[node].life != life {
            return;
        }
        if let Some(work) = self.nodes[node].running.remove(attempt) {
            self.say(node, &work, Word::Done);
        }
    }

    /// A router hangs up.
    pub(super) fn stop_work(&mut self, node: usize, attempt: &AttemptId) {
        if !self.nodes[node].up {
            return;
        }
        self.nodes[node].closed.insert(attempt.clone());
        if let Some(work) = self.nodes[node].running.remove(attempt) {
            self.say(node, &work, Word::Stopped);
        }
    }

    fn say(&mut self, node: usize, work: &Work, word: Word) {
        let delay = self.weather.with_node(&mut self.chance, node, self.agenda.now());
        self.agenda.after(delay, Happening::Said(work.router, work.life, work.attempt.clone(), word));
    }

    /// A backend registers anew and reports what it holds.
    pub(super) fn node_renews(&mut self, node: usize, life: Life) {
        let now = self.agenda.now();
        if !self.nodes[node].up || self.nodes[node].life != life || now >= END {
            return;
        }
        let backend = Backend {
            id: name(node),
            epoch: epoch(life),
            url: format!("http://{}", name(node)),
            slots: self.nodes[node].slots,
            draining: false,
        };
        let held = self.nodes[node].running.keys().cloned().collect();
        for event in [Event::PutBackend(backend), Event::Reconcile(name(node), held)] {
            for delay in self.weather.with_ledger(&mut self.chance, Party::Node(node), now) {
                self.agenda.after(delay, Happening::ToLedger(Box::new(event.clone()), None));
            }
        }
        self.agenda.after(REPORT_EVERY, Happening::NodeRenews(node, life));
    }

    /// A backend dies: its connections break.
    pub(super) fn node_dies(&mut self, node: usize, away: u64) {
        if !self.nodes[node].up {
            return;
        }
        let running = std::mem::take(&mut self.nodes[node].running);
        for work in running.values() {
            self.say(node, work, Word::Broke);
        }
        self.nodes[node].up = false;
        self.nodes[node].life += 1;
        self.agenda.after(away, Happening::NodeIsBack(node));
    }

    /// It starts again, as another life.
    pub(super) fn node_is_back(&mut self, node: usize) {
        self.nodes[node].up = true;
        self.agenda.after(0, Happening::NodeRenews(node, self.nodes[node].life));
    }
}
