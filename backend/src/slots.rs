//! The backend's own account of what runs: the last guard, whatever a router believes.
//!
//! A slot is held from admission until nothing of the request is left: the HTTP side holds it while somebody waits for
//! the answer, and the engine holds it until the sequence has left the batch. A [`Slot`] is shared by both and frees
//! itself when the last of them lets go. A [`Waiter`] tells which of the held slots still have somebody who waits; those
//! without are abandoned.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{sync::Notify, time::Instant};

/// How long work must have been abandoned before an idle engine counts as proof that it is gone: far longer than the
/// way from the HTTP side into the engine, far shorter than any reset interval.
const PROOF_AGE: Duration = Duration::from_secs(1);

/// All slots of a backend. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Slots {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// Slots in all (`--max-concurrent-requests`).
    capacity: u32,
    held: Mutex<Held>,
    /// Told whenever the last slot was freed: a drain waits for it.
    emptied: Notify,
}

#[derive(Debug, Default)]
struct Held {
    /// Numbers slots, so that two requests with one attempt id stay two.
    next: u64,
    by_number: BTreeMap<u64, Entry>,
}

#[derive(Debug)]
struct Entry {
    /// The router's name for this request, by which the end of the work is confirmed.
    attempt: String,
    /// Since when nobody has waited for it.
    abandoned: Option<Instant>,
}

/// How many slots are held, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Requests that somebody waits for.
    pub running: u32,
    /// Requests that were given up and whose work has not stopped yet.
    pub abandoned: u32,
}

/// Attempt ids of what is held.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attempts {
    /// Of requests that somebody waits for.
    pub running: Vec<String>,
    /// Of requests that were given up and whose work has not stopped yet.
    pub abandoned: Vec<String>,
}

impl Slots {
    /// `capacity` free slots.
    pub fn new(capacity: u32) -> Self {
        let shared = Shared { capacity, held: Mutex::default(), emptied: Notify::new() };
        Self { shared: Arc::new(shared) }
    }

    /// Slots in all.
    pub fn capacity(&self) -> u32 {
        self.shared.capacity
    }

    /// Takes a slot for `attempt`; none where all are held, abandoned ones included.
    pub fn take(&self, attempt: String) -> Option<(Arc<Slot>, Waiter)> {
        let mut held = self.shared.held();
        if held.by_number.len() >= self.shared.capacity as usize {
            return None;
        }
        let number = held.next;
        held.next += 1;
        held.by_number.insert(number, Entry { attempt, abandoned: None });
        let slot = Slot { shared: Arc::clone(&self.shared), number };
        let waiter = Waiter { shared: Arc::clone(&self.shared), number, served: false };
        Some((Arc::new(slot), waiter))
    }

    /// How many are held.
    pub fn counts(&self) -> Counts {
        let held = self.shared.held();
        let abandoned = held.by_number.values().filter(|entry| entry.abandoned.is_some()).count();
        let running = held.by_number.len() - abandoned;
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        Counts { running: count(running), abandoned: count(abandoned) }
    }

    /// Which are held.
    pub fn attempts(&self) -> Attempts {
        let mut attempts = Attempts::default();
        for entry in self.shared.held().by_number.values() {
            let list =
                if entry.abandoned.is_some() { &mut attempts.abandoned } else { &mut attempts.running };
            list.push(entry.attempt.clone());
        }
        attempts
    }

    /// Sets the abandoned count to what provably still runs, and says how many slots that freed.
    ///
    /// Abandoned work may still be in the engine, so that its slot stays held while `engine_is_idle` is false. An idle
    /// engine proves that work abandoned a while before has stopped, even where its slot was never given back. A slot
    /// that somebody waits for is never touched, and a guard that lets go later finds its slot gone and changes nothing.
    pub fn reset(&self, engine_is_idle: bool) -> usize {
        if !engine_is_idle {
            return 0;
        }
        let now = Instant::now();
        let mut held = self.shared.held();
        let before = held.by_number.len();
        held.by_number.retain(|_, entry| entry.abandoned.is_none_or(|since| now < since + PROOF_AGE));
        let freed = before - held.by_number.len();
        if freed > 0 && held.by_number.is_empty() {
            self.shared.emptied.notify_waiters();
        }
        freed
    }

    /// Waits until no slot is held.
    pub async fn emptied(&self) {
        loop {
            let emptied = self.shared.emptied.notified();
            if self.shared.held().by_number.is_empty() {
                return;
            }
            emptied.await;
        }
    }
}

impl Shared {
    /// The account. A thread that panicked while it held the lock left no half-done change behind: each is one call.
    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One held slot; freed when the last clone of its `Arc` is dropped.
#[derive(Debug)]
pub struct Slot {
    shared: Arc<Shared>,
    number: u64,
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut held = self.shared.held();
        held.by_number.remove(&self.number);
        if held.by_number.is_empty() {
            self.shared.emptied.notify_waiters();
        }
    }
}

/// Somebody who waits for the answer. Dropped before [`Waiter::served`], it leaves the slot abandoned until the engine
/// lets go of it too.
#[derive(Debug)]
pub struct Waiter {
    shared: Arc<Shared>,
    number: u64,
    served: bool,
}

impl Waiter {
    /// The answer is complete.
    pub fn served(mut self) {
        self.served = true;
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        if self.served {
            return;
        }
        if let Some(entry) = self.shared.held().by_number.get_mut(&self.number) {
            entry.abandoned = Some(Instant::now());
        }
    }
}

#[cfg(test)]
mod tests;
