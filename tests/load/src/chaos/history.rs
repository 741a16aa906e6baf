//! When which process lived and when it was stopped: what an odd outcome is excused by.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

/// Microseconds of the wall clock. All processes of a run are on one machine, and their instants are compared.
pub type Micros = u64;

/// A second.
pub const SECOND: Micros = 1_000_000;

/// The present.
#[expect(
    clippy::disallowed_methods,
    reason = "instants of several processes are compared: only the wall clock is theirs in common"
)]
pub fn now() -> Micros {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| u64::try_from(since.as_micros()).unwrap_or(u64::MAX))
}

/// The run's first instant: the first time that this was asked for.
fn origin() -> Micros {
    static ORIGIN: OnceLock<Micros> = OnceLock::new();
    *ORIGIN.get_or_init(now)
}

/// An instant in words: seconds after the run's first one.
pub fn seconds(at: Micros) -> String {
    format!("{:.3} s", at.saturating_sub(origin()) as f64 / 1e6)
}

/// What happened to the processes, by their names.
#[derive(Debug, Default)]
pub struct History {
    events: Mutex<BTreeMap<String, Vec<Event>>>,
}

/// Something that happened to a process, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event {
    /// When.
    pub at: Micros,
    /// What.
    pub change: Change,
}

/// What can happen to a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It was started.
    Began,
    /// It was killed.
    Killed,
    /// It ended by itself.
    Exited,
    /// SIGSTOP.
    Stopped,
    /// SIGCONT.
    Continued,
}

impl History {
    /// Notes what happens to a process now.
    pub fn note(&self, name: &str, change: Change) {
        self.lock().entry(name.to_owned()).or_default().push(Event { at: now(), change });
    }

    /// Whether a process whose name begins so ended between two instants, by whatever cause.
    pub fn died(&self, names: &str, from: Micros, to: Micros) -> bool {
        let ended = |event: &Event| matches!(event.change, Change::Killed | Change::Exited);
        self.any(names, |event| ended(event) && (from..=to).contains(&event.at))
    }

    /// Whether anything happened to a process whose name begins so between two instants, or it was stopped all the time.
    pub fn disturbed(&self, names: &str, from: Micros, to: Micros) -> bool {
        self.any(names, |event| (from..=to).contains(&event.at))
            || self.lock().iter().filter(|(name, _)| name.starts_with(names)).any(|(_, events)| {
                let last = events.iter().rev().find(|event| event.at < from);
                last.is_some_and(|event| !matches!(event.change, Change::Began | Change::Continued))
            })
    }

    /// Processes whose name begins so that ended although nobody killed them, and when.
    pub fn exits(&self, names: &str) -> Vec<(String, Micros)> {
        let events = self.lock();
        let here = events.iter().filter(|(name, _)| name.starts_with(names));
        let exits = here.flat_map(|(name, events)| {
            events.iter().filter(|event| event.change == Change::Exited).map(|event| (name.clone(), event.at))
        });
        exits.collect()
    }

    /// How often something happened, over all processes whose name begins so.
    pub fn count(&self, names: &str, change: Change) -> usize {
        let events = self.lock();
        let here = events.iter().filter(|(name, _)| name.starts_with(names)).flat_map(|(_, events)| events);
        here.filter(|event| event.change == change).count()
    }

    fn any(&self, names: &str, holds: impl Fn(&Event) -> bool) -> bool {
        let events = self.lock();
        events.iter().filter(|(name, _)| name.starts_with(names)).flat_map(|(_, events)| events).any(holds)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Vec<Event>>> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history(name: &str, events: &[(Micros, Change)]) -> History {
        let history = History::default();
        let events = events.iter().map(|(at, change)| Event { at: *at, change: *change }).collect();
        history.lock().insert(name.to_owned(), events);
        history
    }

    #[test]
    fn a_death_counts_in_its_interval_only() {
        let history = history("router-1", &[(10, Change::Began), (20, Change::Killed), (30, Change::Began)]);
        assert!(history.died("router-", 15, 25) && history.died("router-1", 20, 20));
        assert!(!history.died("router-1", 21, 40) && !history.died("router-2", 0, 40));
    }

    #[test]
    fn a_long_stop_disturbs_all_the_time() {
        let history =
            history("redis", &[(10, Change::Began), (20, Change::Stopped), (60, Change::Continued)]);
        assert!(history.disturbed("redis", 30, 40), "in the midst of a stop");
        assert!(history.disturbed("redis", 50, 70), "its end");
        assert!(!history.disturbed("redis", 12, 19) && !history.disturbed("redis", 61, 70));
    }
}
