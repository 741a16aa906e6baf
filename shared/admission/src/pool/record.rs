//! The records of the account: attempts, backends, routers.

use std::{collections::BTreeSet, sync::Arc};

use crate::{
    caller::Caller,
    event::{Place, life},
    snapshot::{BackendState, BackendView},
    time::Time,
};

/// What an attempt is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Phase {
    /// It waits for a slot.
    Queued,
    /// It runs on a backend since then.
    Running {
        /// Id of the backend.
        backend: String,
        /// When it was granted.
        since: Time,
    },
    /// It was given up and holds its slot until the work is known to have stopped.
    Abandoned {
        /// Id of the backend.
        backend: String,
        /// When its work was last known to run.
        proof: Time,
    },
}

/// One attempt to run one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// The router that holds it: its lease is this router's.
    pub router: String,
    /// Its place in the queue, kept for a hand-back.
    pub place: Place,
    /// What it is doing.
    pub phase: Phase,
    /// Lives of backends that could not be reached for this ticket.
    pub avoid: Vec<String>,
    /// Id of the backend that it would rather have.
    pub prefer: Option<String>,
    /// True when its router did not know it at the last renewal.
    pub suspect: bool,
    /// Whose it is, where keys are in use.
    pub caller: Option<Arc<Caller>>,
    /// What its tenant was charged in advance.
    pub charged: u64,
}

impl Attempt {
    /// The backend whose slot it holds.
    pub fn backend(&self) -> Option<&str> {
        match &self.phase {
            Phase::Queued => None,
            Phase::Running { backend, .. } | Phase::Abandoned { backend, .. } => Some(backend),
        }
    }
}

/// One backend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Base URL.
    pub url: String,
    /// This life of it.
    pub epoch: String,
    /// Requests that it runs at once.
    pub slots: u32,
    /// It takes no new work.
    pub draining: bool,
    /// When its registration expires; `None` once it has gone.
    pub lease: Option<Time>,
    /// Attempts that run on it.
    pub running: u32,
    /// Attempts given up on it.
    pub abandoned: u32,
}

impl Node {
    /// Slots in use.
    pub fn used(&self) -> u32 {
        self.running + self.abandoned
    }

    /// Whether it takes work.
    pub fn state(&self) -> BackendState {
        match (self.lease, self.draining) {
            (None, _) => BackendState::Gone,
            (Some(_), true) => BackendState::Draining,
            (Some(_), false) => BackendState::Live,
        }
    }

    /// Slots that it adds to the pool's.
    pub fn offers(&self) -> u32 {
        if self.state() == BackendState::Live { self.slots } else { 0 }
    }

    /// The part of its slots that is used, where one is free and it takes work.
    pub fn load(&self) -> Option<f64> {
        (self.used() < self.offers()).then(|| f64::from(self.used()) / f64::from(self.slots))
    }

    /// Names this life of the backend `id`, for tickets that avoid it.
    pub fn life(&self, id: &str) -> String {
        life(id, &self.epoch)
    }

    /// As `/fleet` shows it.
    pub fn view(&self, id: &str) -> BackendView {
        BackendView {
            id: id.to_owned(),
            url: self.url.clone(),
            epoch: self.epoch.clone(),
            slots: self.slots,
            running: self.running,
            abandoned: self.abandoned,
            state: self.state(),
        }
    }
}

/// A router's lease on all that it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouterLease {
    /// When it was last renewed, or opened by a first request.
    pub renewed: Time,
    /// The number of the last renewal or re-entry that was acted on; 0 before the first.
    pub number: u64,
    /// What the router decides by, for people; empty until its first renewal.
    pub flags: String,
    /// The queue limit that it decides by.
    pub max_queue_size: u32,
    /// Microseconds for which it has requests wait for a first backend.
    pub pool_memory: u64,
}

/// An account that has lost its memory waits for its routers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovery {
    /// It waits no longer than this.
    pub until: Time,
    /// So many routers it waits for.
    pub routers: u32,
    /// Those that are back.
    pub back: BTreeSet<String>,
}
