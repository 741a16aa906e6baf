//! The account in small numbers: read off the pool after each event, to compare states and to check steps.

use tidegate_admission::{Pool, invariants, pool::Phase, snapshot::BackendState};

use crate::{
    message::Place,
    names::{ATTEMPTS, BACKENDS, LEASE, ROUTERS, Try, number, tick},
};

/// What an attempt holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spot {
    /// Nothing.
    Absent,
    /// A place in the queue.
    Queued(Place),
    /// A slot of that backend.
    Running(u8, Place),
    /// The same, given up; and for how many ticks nothing has proved that it runs.
    Abandoned(u8, u32),
}

/// An attempt on the account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// What it holds.
    pub spot: Spot,
    /// The router that holds it.
    pub router: u8,
    /// Its router did not know it at the last renewal.
    pub suspect: bool,
    /// The lives of backends that it avoids, one bit each: see [`life_bit`].
    pub avoids: u16,
    /// A key holds it.
    pub keyed: bool,
}

/// A backend on the account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Known {
    /// The life that is registered.
    pub epoch: u8,
    /// Whether it takes work.
    pub live: bool,
    /// Attempts that run or are abandoned on it.
    pub used: u32,
    /// Its slots.
    pub slots: u32,
}

/// The account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts {
    /// Every attempt, by [`Try::index`].
    pub entries: [Entry; ATTEMPTS],
    /// The backends.
    pub backends: [Option<Known>; BACKENDS],
    /// Ticks since each router renewed.
    pub leases: [Option<u32>; ROUTERS],
    /// Ticks since the last reset.
    pub since_reset: u32,
    /// Which of [`invariants::ALL`] do not hold, one bit each.
    pub violated: u16,
    /// Running, abandoned and queued, as the account counts them.
    pub counts: [u32; 3],
}

/// The bit of one life of a backend.
pub fn life_bit(backend: u8, epoch: u8) -> u16 {
    1 << (usize::from(epoch) * BACKENDS + usize::from(backend)).min(15)
}

const NOTHING: Entry = Entry { spot: Spot::Absent, router: 0, suspect: false, avoids: 0, keyed: false };

impl Facts {
    /// Reads them off.
    pub fn of(pool: &Pool) -> Facts {
        let snapshot = pool.snapshot();
        let now = tick(snapshot.view.at);
        let mut facts = Facts {
            entries: [NOTHING; ATTEMPTS],
            backends: [None; BACKENDS],
            leases: [None; ROUTERS],
            since_reset: now - tick(snapshot.last_reset),
            violated: violated(pool),
            counts: [snapshot.view.running, snapshot.view.abandoned, snapshot.view.queued_total()],
        };
        for (id, attempt) in pool.attempts() {
            facts.entries[Try::of(id).index()] = entry(attempt, now);
        }
        for backend in &snapshot.backends {
            facts.backends[usize::from(number(&backend.id))] = Some(Known {
                epoch: number(&backend.epoch),
                live: backend.state == BackendState::Live,
                used: backend.running + backend.abandoned,
                slots: backend.slots,
            });
        }
        for router in &snapshot.routers {
            let age = u32::try_from(router.age / crate::names::TICK).unwrap_or(LEASE);
            facts.leases[usize::from(number(&router.id))] = Some(age);
        }
        facts
    }

    /// An attempt.
    pub fn entry(&self, one: Try) -> Entry {
        self.entries[one.index()]
    }

    /// What an attempt holds.
    pub fn spot(&self, one: Try) -> Spot {
        self.entry(one).spot
    }

    /// The attempts on the account.
    pub fn present(&self) -> impl Iterator<Item = Try> {
        Try::all().filter(|one| self.spot(*one) != Spot::Absent)
    }

    /// Whether something is abandoned on a backend.
    pub fn abandoned_on(&self, backend: usize) -> bool {
        self.entries
            .iter()
            .any(|entry| matches!(entry.spot, Spot::Abandoned(on, _) if usize::from(on) == backend))
    }

    /// The life of a backend that is registered, as a bit.
    pub fn life(&self, backend: u8) -> u16 {
        self.backends[usize::from(backend)].map_or(0, |known| life_bit(backend, known.epoch))
    }
}

fn violated(pool: &Pool) -> u16 {
    let broken = invariants::ALL.iter().enumerate().filter(|(_, (_, holds))| !holds(pool));
    broken.fold(0, |bits, (at, _)| bits | 1 << at)
}

fn entry(attempt: &tidegate_admission::pool::Attempt, now: u32) -> Entry {
    let place = place(&attempt.place);
    let spot = match &attempt.phase {
        Phase::Queued => Spot::Queued(place),
        Phase::Running { backend, .. } => Spot::Running(number(backend), place),
        Phase::Abandoned { backend, proof } => {
            Spot::Abandoned(number(backend), (now - tick(*proof)).min(LEASE))
        }
    };
    let lives = attempt.avoid.iter().filter_map(|life| life.split_once('\n'));
    let avoids = lives.fold(0, |bits, (backend, epoch)| bits | life_bit(number(backend), number(epoch)));
    let keyed = attempt.caller.is_some();
    Entry { spot, router: number(&attempt.router), suspect: attempt.suspect, avoids, keyed }
}

/// A place as the ledger says it, in small numbers.
pub fn place(place: &tidegate_admission::Place) -> Place {
    Place { arrival: place.arrival, deadline: tick(place.deadline) }
}
