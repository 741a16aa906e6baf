//! What routers on one account tell each other of backends that are left out, so that all of them have a backend on the account
//! in the same way.
//!
//! A verdict is a word of one router for all. A router that was served by the backend just now knows better, and takes it
//! back: a router whose own network is broken cannot talk the others out of their backends.

use super::Roster;
use super::standing::{Stance, Verdict};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio::time::Instant;

/// A backend that answered this router within this time, and has not failed since, is well whatever others say.
const VOUCHED: Duration = Duration::from_secs(1);

impl Roster {
    /// Verdicts to tell the other routers, and those that hold no longer.
    pub fn untold(&self) -> BTreeMap<String, Option<Verdict>> {
        let of = |id: String| {
            let verdict = self.members().get(&id).and_then(|member| member.state().standing.verdict());
            (id, verdict)
        };
        self.news.take().into_iter().map(of).collect()
    }

    /// They could not be told, and are to be told again.
    pub fn tell_again(&self, untold: &BTreeMap<String, Option<Verdict>>) {
        untold.keys().for_each(|id| self.news.add(id));
    }

    /// Waits until there is something to tell.
    pub async fn news(&self) {
        self.news.some().await;
    }

    /// Takes over the verdicts of all routers. Those that leave a pool without a backend that takes work do not count, the
    /// latest first; what this router has yet to tell is newer than what it is told.
    pub fn take_over(&self, verdicts: &BTreeMap<String, Verdict>) {
        let now = Instant::now();
        let vouched = self.vouched(verdicts, now);
        let valid = self.valid(verdicts, &vouched);
        for (id, member) in self.members().iter() {
            if self.news.holds(id) {
                continue;
            }
            let verdict = verdicts.get(id).filter(|_| valid.contains(id)).copied();
            let changed = member.state().standing.take_over(verdict, now);
            if changed {
                self.troubled.store(true, std::sync::atomic::Ordering::Release);
                self.changed.add(id);
            }
            if vouched.contains(id) {
                self.news.add(id);
            }
        }
    }

    /// Backends that others have ejected and that answered this router just now.
    fn vouched(&self, verdicts: &BTreeMap<String, Verdict>, now: Instant) -> BTreeSet<String> {
        let members = self.members();
        let known = verdicts.keys().filter_map(|id| members.get(id));
        let well = known.filter(|member| {
            let mut state = member.state();
            state.standing.at(now) == Stance::In && state.standing.answered_within(VOUCHED, now)
        });
        well.map(|member| member.id().to_owned()).collect()
    }

    /// The verdicts that count: every router comes to the same.
    fn valid(&self, verdicts: &BTreeMap<String, Verdict>, vouched: &BTreeSet<String>) -> BTreeSet<String> {
        let members = self.members();
        let mut well: BTreeMap<String, u32> = BTreeMap::new();
        for member in members.values() {
            let state = member.state();
            *well.entry(state.pool.clone()).or_default() += u32::from(!state.draining);
        }
        let mut first: Vec<(&String, &Verdict)> =
            verdicts.iter().filter(|(id, _)| !vouched.contains(*id)).collect();
        first.sort_by_key(|(id, verdict)| (verdict.until, *id));
        let mut valid = BTreeSet::new();
        for (id, _) in first {
            let Some(member) = members.get(id) else { continue };
            let state = member.state();
            let left = well.entry(state.pool.clone()).or_default();
            if !state.draining && *left > 1 {
                *left -= 1;
                valid.insert(id.clone());
            }
        }
        valid
    }
}
