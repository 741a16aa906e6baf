//! Which backend a request would rather have: by turns, by chance, by the prefix of its prompt, or by its session.
//!
//! It is a wish, not a decision: the ledger grants the backend that is wished for where it has a free slot, and the least loaded
//! one where it has none. So no policy can queue a request beside a free slot, and none moves a count.

mod prefix;

use crate::request::Job;
use crate::roster::{Candidate, Roster};
use http::HeaderName;
use prefix::PrefixTable;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::str::FromStr;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// How much more of its slots may be taken on the backend that knows a prefix than on the least loaded one, before the
/// request is better off there.
pub const PREFIX_MARGIN: f64 = 0.5;

/// `--balance`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Policy {
    /// The backend with the largest part of its slots free, over all routers: the ledger's own rule.
    #[default]
    LeastLoaded,
    /// The backend that served the longest known prefix of the prompt.
    Prefix,
    /// One after the other.
    RoundRobin,
    /// Any.
    Random,
}

impl FromStr for Policy {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "least-loaded" => Ok(Self::LeastLoaded),
            "prefix" => Ok(Self::Prefix),
            "round-robin" => Ok(Self::RoundRobin),
            "random" => Ok(Self::Random),
            _ => Err(()),
        }
    }
}

/// The choice of a backend, as the flags have it.
#[derive(Debug, Default)]
pub struct Balance {
    policy: Policy,
    /// `--session-header`: requests with the same value go to the same backend, whatever the policy.
    session: Option<HeaderName>,
    prefixes: Mutex<PrefixTable>,
}

/// What a request wishes for.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Wish {
    /// Id of the backend that it would rather have.
    pub prefer: Option<String>,
    /// The prefixes of its prompt, the shortest first; empty under other policies.
    chain: Vec<u64>,
}

impl Balance {
    /// A choice by `policy`, with sessions told by `session`.
    pub fn new(policy: Policy, session: Option<HeaderName>) -> Self {
        Self { policy, session, prefixes: Mutex::default() }
    }

    /// What a request wishes for. `chance` is a uniform draw of [0, 1). A backend on trial comes before all policies: a quiet
    /// pool would else never find out that it is well again.
    pub fn wish(&self, roster: &Roster, job: &Job, chance: f64) -> Wish {
        if let Some(trial) = roster.on_trial(&job.pool) {
            return Wish { prefer: Some(trial), chain: Vec::new() };
        }
        let session = self.session.as_ref().and_then(|name| job.headers.get(name));
        if let Some(session) = session {
            let prefer = by_session(&roster.candidates(&job.pool), session.as_bytes());
            return Wish { prefer, chain: Vec::new() };
        }
        let pool = &job.pool;
        let prefer = match self.policy {
            Policy::LeastLoaded => None,
            Policy::RoundRobin => roster.next_turn(pool),
            Policy::Random => by_chance(&roster.candidates(pool), chance),
            Policy::Prefix => return self.by_prefix(roster, job),
        };
        Wish { prefer, chain: Vec::new() }
    }

    /// A backend serves the request of this wish: it knows its prefixes from now on.
    pub fn served(&self, wish: &Wish, backend: &str) {
        if !wish.chain.is_empty() {
            self.prefixes().learn(&wish.chain, backend);
        }
    }

    fn by_prefix(&self, roster: &Roster, job: &Job) -> Wish {
        let chain = prefix::chain(&job.pool, &job.body);
        if chain.is_empty() {
            return Wish::default();
        }
        let candidates = roster.candidates(&job.pool);
        let known = self.prefixes().find(&chain, |id| candidates.iter().any(|candidate| candidate.id == id));
        let prefer = known.filter(|id| within_margin(&candidates, id));
        Wish { prefer, chain }
    }

    fn prefixes(&self) -> MutexGuard<'_, PrefixTable> {
        self.prefixes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a backend is not so much more loaded than the least loaded one that its cache is not worth it.
fn within_margin(candidates: &[Candidate], id: &str) -> bool {
    let least = candidates.iter().map(|candidate| candidate.load).fold(f64::INFINITY, f64::min);
    candidates.iter().any(|candidate| candidate.id == id && candidate.load - least <= PREFIX_MARGIN)
}

/// Each candidate with a probability in proportion to its weight.
fn by_chance(candidates: &[Candidate], chance: f64) -> Option<String> {
    let total: f64 = candidates.iter().map(|candidate| f64::from(candidate.weight)).sum();
    let mut left = chance * total;
    for candidate in candidates {
        left -= f64::from(candidate.weight);
        if left < 0.0 {
            return Some(candidate.id.clone());
        }
    }
    candidates.last().map(|candidate| candidate.id.clone())
}

/// Weighted rendezvous hashing: all routers choose the same backend without talking, and when one leaves only its own
/// sessions move (Thaler and Ravishankar, "Using name-based mappings to increase hit rates", 1998).
fn by_session(candidates: &[Candidate], session: &[u8]) -> Option<String> {
    let score = |candidate: &Candidate| {
        let mut hasher = DefaultHasher::new();
        (session, &candidate.id).hash(&mut hasher);
        // 53 bits make a double in (0, 1).
        let uniform = ((hasher.finish() >> 11) as f64 + 0.5) / (1u64 << 53) as f64;
        f64::from(candidate.weight) / -uniform.ln()
    };
    candidates.iter().max_by(|a, b| score(a).total_cmp(&score(b))).map(|candidate| candidate.id.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn candidates(weights: &[(&str, u32)]) -> Vec<Candidate> {
        weights
            .iter()
            .map(|(id, weight)| Candidate { id: (*id).to_owned(), weight: *weight, load: 0.0 })
            .collect()
    }

    #[test]
    fn chance_follows_the_weights() {
        let three = candidates(&[("a", 1), ("b", 2), ("c", 1)]);
        let picks: Vec<String> = (0..8).filter_map(|pick| by_chance(&three, f64::from(pick) / 8.0)).collect();
        assert_eq!(picks.concat(), "aabbbbcc");
        assert_eq!(by_chance(&[], 0.5), None);
    }

    #[test]
    fn a_session_stays_where_it_is_when_another_backend_leaves() {
        let all = candidates(&[("a", 1), ("b", 1), ("c", 2)]);
        let without_b = candidates(&[("a", 1), ("c", 2)]);
        let mut sessions: BTreeMap<String, u32> = BTreeMap::new();
        for session in 0..4000u32 {
            let session = session.to_be_bytes();
            let before = by_session(&all, &session).unwrap();
            if before != "b" {
                assert_eq!(by_session(&without_b, &session).as_deref(), Some(before.as_str()));
            }
            *sessions.entry(before).or_default() += 1;
        }
        // A quarter, a quarter and a half of 4000; five standard deviations are 158 at most.
        assert!(
            (840..=1160).contains(&sessions["a"]) && (1840..=2160).contains(&sessions["c"]),
            "{sessions:?}"
        );
    }

    #[test]
    fn a_backend_that_knows_the_prefix_is_left_when_it_is_much_more_loaded() {
        let mut two = candidates(&[("a", 1), ("b", 1)]);
        (two[0].load, two[1].load) = (0.75, 0.25);
        assert!(within_margin(&two, "a"));
        two[0].load = 0.76;
        assert!(!within_margin(&two, "a"));
        assert!(within_margin(&two, "b"));
        assert!(!within_margin(&two, "gone"));
    }
}
