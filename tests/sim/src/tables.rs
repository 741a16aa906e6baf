//! The tables of the report, each in its own file: what is run, and what is shown of it.

pub mod batching;
pub mod cheap;
pub mod constants;
pub mod fresh;
pub mod held_out;
pub mod lengths;
pub mod short;
pub mod steps;
pub mod trouble;

use std::{
    ops::RangeInclusive,
    panic,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use crate::{scenario::Scenario, summary::Seeds};

/// How much is run.
#[derive(Debug, Clone, Copy)]
pub struct Effort {
    /// Seeds of each configuration.
    pub seeds: u64,
    /// Part of the measured time that is run: 1 for the report, less for a quick look.
    pub part: f64,
}

impl Effort {
    /// The scenario with its measured time cut to the part that is run.
    pub fn cut(&self, mut scenario: Scenario) -> Scenario {
        scenario.measured *= self.part;
        scenario
    }
}

/// One fleet at both loads.
#[derive(Debug, Clone)]
pub struct Cell {
    /// At ten times the capacity.
    pub overload: Seeds,
    /// At 0.9 of it.
    pub calm: Seeds,
}

impl Cell {
    /// Runs a fleet at ten times its capacity and at 0.9 of it.
    pub fn run(effort: Effort, seeds: RangeInclusive<u64>, at: impl Fn(f64) -> Scenario) -> Cell {
        let run = |load| Seeds::of(&effort.cut(at(load)), seeds.clone());
        Cell { overload: run(10.0), calm: run(0.9) }
    }

    /// Goodput at ten times the load.
    pub fn goodput(&self) -> f64 {
        self.overload.mean(|run| run.goodput)
    }

    /// Missed of what was let in at ten times the load.
    pub fn missed(&self) -> f64 {
        self.overload.mean(|run| run.missed)
    }

    /// Users served at 0.9 of the load.
    pub fn served(&self) -> f64 {
        self.calm.mean(|run| run.served)
    }
}

/// Does a job for each item, on all cores, and gives what comes of it in the items' order.
fn on_all_cores<T: Sync, R: Send>(items: &[T], job: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let work = || {
        let take = || {
            let number = next.fetch_add(1, Ordering::Relaxed);
            items.get(number).map(|item| (number, job(item)))
        };
        std::iter::from_fn(take).collect::<Vec<_>>()
    };
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let mut done = thread::scope(|scope| {
        let workers: Vec<_> = (0..cores).map(|_| scope.spawn(work)).collect();
        let join = |worker: thread::ScopedJoinHandle<'_, Vec<_>>| worker.join();
        let done = workers.into_iter().map(join);
        done.flat_map(|done| done.unwrap_or_else(|fault| panic::resume_unwind(fault))).collect::<Vec<_>>()
    });
    done.sort_by_key(|(number, _)| *number);
    done.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_all_cores_bring_stands_in_the_order_of_the_items() {
        let items: Vec<u64> = (0..1000).collect();
        assert_eq!(on_all_cores(&items, |item| item * 2), (0..2000).step_by(2).collect::<Vec<u64>>());
        assert!(on_all_cores(&[] as &[u64], |item| *item).is_empty());
    }
}
