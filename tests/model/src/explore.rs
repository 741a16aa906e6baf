//! One run of the checker: how many states it visited, and what it found wrong.

use std::{collections::BTreeMap, io::Write};

use stateright::{
    Checker, DiscoveryClassification, Expectation, HasDiscoveries, Model, Property,
    report::{ReportData, ReportDiscovery, Reporter},
};

use crate::{promises, setup::Setup, world::World};

/// Seconds between two lines of progress.
const QUIET: u64 = 10;

/// What a run came to.
#[derive(Debug, Clone)]
pub struct Explored {
    /// States that were reached, each as often as it was.
    pub states: usize,
    /// Different states.
    pub unique: usize,
    /// Steps to the furthest of them.
    pub depth: usize,
    /// Promises with a counterexample, and scenes that were never seen.
    pub wrong: Vec<&'static str>,
}

/// In which order a world is explored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// The nearest states first, on one core: a counterexample is as short as can be.
    Breadth,
    /// The furthest first, on so many cores: needs less memory.
    Depth(usize),
}

/// Explores every state, or up to the first broken promise, and writes down how it goes and each counterexample.
pub fn explore(setup: Setup, order: Order, out: &mut impl Write) -> Explored {
    let checker = World { setup }.checker().finish_when(HasDiscoveries::AnyFailures);
    match order {
        Order::Breadth => finish(checker.spawn_bfs(), out),
        Order::Depth(threads) => finish(checker.threads(threads).spawn_dfs(), out),
    }
}

fn finish(checker: impl Checker<World>, out: &mut impl Write) -> Explored {
    let checker = checker.report(&mut Progress { out, said: 0 });
    let found = checker.discoveries();
    let is_wrong = |property: &Property<World>| {
        found.contains_key(property.name) != (property.expectation == Expectation::Sometimes)
    };
    let promises = promises::of(&checker.model().setup);
    let wrong = promises.into_iter().filter(is_wrong).map(|property| property.name);
    Explored {
        states: checker.state_count(),
        unique: checker.unique_state_count(),
        depth: checker.max_depth(),
        wrong: wrong.collect(),
    }
}

/// Writes a line now and then, and the counterexamples at the end. An output that is closed loses words, not the verdict.
struct Progress<'a, W> {
    out: &'a mut W,
    said: u64,
}

impl<W: Write> Reporter<World> for Progress<'_, W> {
    fn report_checking(&mut self, data: ReportData) {
        let seconds = data.duration.as_secs();
        if data.done || seconds >= self.said + QUIET {
            self.said = seconds;
            let ReportData { total_states, unique_states, max_depth, .. } = data;
            let text =
                format!("{seconds} s: {total_states} states, {unique_states} unique, depth {max_depth}");
            drop(writeln!(self.out, "{text}"));
        }
    }

    fn report_discoveries(&mut self, _: &World, found: BTreeMap<&'static str, ReportDiscovery<World>>) {
        for (name, found) in found {
            if matches!(found.classification, DiscoveryClassification::Counterexample) {
                drop(writeln!(self.out, "broken: {name}\n{}", found.path));
            }
        }
    }
}
