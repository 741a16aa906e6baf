//! The backends as this router sees them: which pool each is in, how it stands by what requests on it came to, and how many of
//! this router's requests run there. Discovery writes it; guards note outcomes in it; the choice of a backend reads it.
//!
//! The account of slots stays the ledger's. What this table decides (an ejected backend takes no work, one on trial takes
//! one request at a time) reaches the account by the backend's own registration there, which discovery renews.

mod member;
mod pending;
mod shared;
pub mod standing;

pub use member::{Membership, OnBackend};

use crate::ledger::Backend;
use member::{Member, State};
use pending::Pending;
use standing::Stance;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;
use tokio::time::Instant;

/// The backends that this router knows. Clones share one table.
#[derive(Debug, Clone, Default)]
pub struct Roster {
    members: Arc<RwLock<BTreeMap<String, Arc<Member>>>>,
    /// Backends whose stance has changed and is not on the account yet.
    changed: Arc<Pending>,
    /// The same, for what other routers are told.
    news: Arc<Pending>,
    /// Some backend may be left out. Mostly none is, and nothing needs to be looked through.
    troubled: Arc<AtomicBool>,
}

/// A backend that work may go to.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    /// Its id on the account.
    pub id: String,
    /// Its share of the turns, against those of the others.
    pub weight: u32,
    /// The part of its slots that this router's own requests take.
    pub load: f64,
}

/// A backend is left out from now on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ejection {
    /// Its pool.
    pub pool: String,
    /// For how long, until it is tried again.
    pub pause: Duration,
}

impl Roster {
    /// Enters a backend, or renews what is known of it.
    pub fn enter(&self, id: &str, membership: Membership) {
        let known = self.members().get(id).cloned();
        match known {
            Some(member) => {
                if member.renew(membership) {
                    self.has_changed(id);
                }
            }
            None => {
                let member = Arc::new(Member::new(id, membership));
                self.members.write().unwrap_or_else(PoisonError::into_inner).insert(id.to_owned(), member);
            }
        }
        self.relieve();
    }

    /// A backend has left.
    pub fn remove(&self, id: &str) {
        let left = self.members.write().unwrap_or_else(PoisonError::into_inner).remove(id);
        if left.is_some_and(|member| member.state().standing.verdict().is_some()) {
            // Should it come back, it begins well.
            self.news.add(id);
        }
        self.relieve();
    }

    /// One more request of this router runs on a backend; none where this router does not know it.
    pub fn occupy(&self, id: &str) -> Option<OnBackend> {
        self.members().get(id).map(OnBackend::new)
    }

    /// A request on a backend failed by the backend's fault: what follows.
    pub fn failed(&self, on: &OnBackend) -> Option<Ejection> {
        let now = Instant::now();
        let pool = on.member().state().pool.clone();
        let others = self
            .members()
            .values()
            .any(|other| !Arc::ptr_eq(other, on.member()) && other.state().takes_work(&pool, now));
        let pause = on.member().state().standing.failed(now, others)?;
        self.troubled.store(true, Ordering::Release);
        self.has_changed(on.member().id());
        // The others may have been ejected in the same moment.
        self.relieve();
        Some(Ejection { pool, pause })
    }

    /// A request on a backend was answered. True where it takes work again by it.
    pub fn answered(&self, on: &OnBackend) -> bool {
        let back = on.member().state().standing.answered(Instant::now());
        if back {
            self.has_changed(on.member().id());
        }
        back
    }

    /// How a backend stands.
    pub fn stance(&self, id: &str) -> Stance {
        self.members().get(id).map_or(Stance::In, |member| member.state().standing.at(Instant::now()))
    }

    /// The word for it where a backend is left out: `ejected` or `trial`.
    pub fn left_out(&self, id: &str) -> Option<&'static str> {
        match self.stance(id) {
            Stance::In => None,
            Stance::Ejected => Some("ejected"),
            Stance::Trial => Some("trial"),
        }
    }

    /// The backend as the account should have it: an ejected one takes no new work, one on trial a single request.
    #[must_use]
    pub fn as_it_stands(&self, backend: Backend) -> Backend {
        match self.stance(&backend.id) {
            Stance::In => backend,
            Stance::Ejected => Backend { draining: true, ..backend },
            Stance::Trial => Backend { slots: backend.slots.min(1), ..backend },
        }
    }

    /// The backends of a pool that take work without restriction, by id.
    pub fn candidates(&self, pool: &str) -> Vec<Candidate> {
        let now = Instant::now();
        let fit = |member: &Arc<Member>| member.candidate(pool, now);
        self.members().values().filter_map(fit).collect()
    }

    /// A backend of a pool that is on trial and has none of this router's requests yet.
    pub fn on_trial(&self, pool: &str) -> Option<String> {
        if !self.troubled.load(Ordering::Acquire) {
            return None;
        }
        let now = Instant::now();
        self.members()
            .values()
            .find(|member| member.awaits_trial(pool, now))
            .map(|member| member.id().to_owned())
    }

    /// The backend of a pool whose turn it is: each has as many turns as its weight says, evenly spread (the smooth weighted
    /// round robin of nginx).
    pub fn next_turn(&self, pool: &str) -> Option<String> {
        let now = Instant::now();
        let members = self.members();
        let mut states: Vec<(&str, std::sync::MutexGuard<'_, State>)> = members
            .values()
            .map(|member| (member.id(), member.state()))
            .filter_map(|(id, mut state)| state.takes_work(pool, now).then_some((id, state)))
            .collect();
        let total: i64 = states.iter().map(|(_, state)| i64::from(state.weight)).sum();
        for (_, state) in &mut states {
            state.turn += i64::from(state.weight);
        }
        // The first of those that are equal, so that the order is that of the ids.
        let (id, state) = states.iter_mut().rev().max_by_key(|(_, state)| state.turn)?;
        state.turn -= total;
        Some((*id).to_owned())
    }

    /// Waits until stances have changed, and gives the backends.
    pub async fn changes(&self) -> BTreeSet<String> {
        self.changed.some().await;
        self.changed.take()
    }

    /// Where no backend of a pool takes work any more, those that were left out do: better a bad one than none.
    fn relieve(&self) {
        if !self.troubled.swap(false, Ordering::AcqRel) {
            return;
        }
        let now = Instant::now();
        let members = self.members();
        let well: BTreeSet<String> = members
            .values()
            .map(|member| member.state())
            .filter_map(|mut state| {
                (!state.draining && state.standing.at(now) == Stance::In).then(|| state.pool.clone())
            })
            .collect();
        for member in members.values() {
            let mut state = member.state();
            if state.standing.at(now) == Stance::In {
                continue;
            }
            if state.draining || well.contains(&state.pool) {
                self.troubled.store(true, Ordering::Release);
                continue;
            }
            tracing::warn!(backend = %member.id(), model = %state.pool, "no other backend is left: an ejected one takes work again");
            state.standing.take_back();
            drop(state);
            self.has_changed(member.id());
        }
    }

    fn has_changed(&self, id: &str) {
        self.changed.add(id);
        self.news.add(id);
    }

    fn members(&self) -> RwLockReadGuard<'_, BTreeMap<String, Arc<Member>>> {
        self.members.read().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
