//! One backend on the roster.

use super::Candidate;
use super::standing::{Stance, Standing};
use http::HeaderValue;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::time::Instant;

/// What discovery says of a backend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Membership {
    /// The pool that it is in.
    pub pool: String,
    /// Names this life of its process; empty where it has no name.
    pub epoch: String,
    /// Requests that it runs at once.
    pub slots: u32,
    /// Its share of the turns, against those of the others of its pool.
    pub weight: u32,
    /// It takes no new work by its own word.
    pub draining: bool,
    /// What it is sent as `authorization`, in place of the client's.
    pub key: Option<HeaderValue>,
    /// Whether HTTP/2 is spoken to it.
    pub http2: bool,
}

/// A backend, shared with the guards of the requests that run on it.
#[derive(Debug)]
pub(super) struct Member {
    id: String,
    /// Requests of this router that run on it.
    running: AtomicU32,
    /// Beside the state, because each request asks.
    http2: AtomicBool,
    state: Mutex<State>,
}

/// What changes of a backend.
#[derive(Debug)]
pub(super) struct State {
    pub(super) pool: String,
    epoch: String,
    slots: u32,
    pub(super) weight: u32,
    pub(super) draining: bool,
    key: Option<HeaderValue>,
    pub(super) standing: Standing,
    /// What it is owed of the turns: see [`super::Roster::next_turn`].
    pub(super) turn: i64,
}

impl Member {
    pub(super) fn new(id: &str, membership: Membership) -> Self {
        let Membership { pool, epoch, slots, weight, draining, key, http2 } = membership;
        let state =
            State { pool, epoch, slots, weight, draining, key, standing: Standing::default(), turn: 0 };
        Self {
            id: id.to_owned(),
            running: AtomicU32::new(0),
            http2: AtomicBool::new(http2),
            state: Mutex::new(state),
        }
    }

    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// Takes over what discovery says. True where another life of it is no longer left out.
    pub(super) fn renew(&self, membership: Membership) -> bool {
        let Membership { pool, epoch, slots, weight, draining, key, http2 } = membership;
        self.http2.store(http2, Ordering::Relaxed);
        let mut state = self.state();
        let back = state.epoch != epoch && state.standing.verdict().is_some();
        if state.epoch != epoch {
            // What its life before did says nothing of this one.
            state.standing = Standing::default();
        }
        (state.pool, state.epoch, state.slots) = (pool, epoch, slots);
        (state.weight, state.draining, state.key) = (weight, draining, key);
        back
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it is on trial for a pool, and this router has nothing there.
    pub(super) fn awaits_trial(&self, pool: &str, now: Instant) -> bool {
        let mut state = self.state();
        let idle = self.running.load(Ordering::Relaxed) == 0;
        idle && state.pool == pool && !state.draining && state.standing.at(now) == Stance::Trial
    }

    pub(super) fn candidate(&self, pool: &str, now: Instant) -> Option<Candidate> {
        let mut state = self.state();
        state.takes_work(pool, now).then(|| Candidate {
            id: self.id.clone(),
            weight: state.weight,
            load: f64::from(self.running.load(Ordering::Relaxed)) / f64::from(state.slots.max(1)),
        })
    }
}

impl State {
    /// Whether it takes work of a pool without restriction.
    pub(super) fn takes_work(&mut self, pool: &str, now: Instant) -> bool {
        self.pool == pool && !self.draining && self.standing.at(now) == Stance::In
    }
}

/// A request of this router runs on a backend until this is dropped.
#[derive(Debug)]
pub struct OnBackend(Arc<Member>);

impl OnBackend {
    pub(super) fn new(member: &Arc<Member>) -> Self {
        member.running.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(member))
    }

    pub(super) fn member(&self) -> &Arc<Member> {
        &self.0
    }

    /// What the backend is sent as `authorization`, where it has a key of its own.
    pub fn key(&self) -> Option<HeaderValue> {
        self.0.state().key.clone()
    }

    /// Whether HTTP/2 is spoken to it.
    pub fn http2(&self) -> bool {
        self.0.http2.load(Ordering::Relaxed)
    }
}

impl Drop for OnBackend {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::Relaxed);
    }
}
