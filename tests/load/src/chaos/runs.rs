//! What the fake nodes wrote down: which request ran where, when, and how many at once.

use super::history::Micros;
use super::scene::diary;
use anyhow::Context;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// One piece of work on one node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// Which node.
    pub node: usize,
    /// The router's name for it.
    pub attempt: String,
    /// When it began.
    pub began: Micros,
    /// Whether it came to its end.
    pub done: bool,
}

/// All diaries of a run.
#[derive(Debug, Default)]
pub struct Runs {
    /// By the request's token, in order of their beginning.
    pub by_token: BTreeMap<String, Vec<Run>>,
    /// Most pieces of work at once on any node.
    pub most_at_once: usize,
    /// Requests that a node refused because it was full.
    pub refused: usize,
}

impl Runs {
    /// Reads the diaries of so many nodes.
    ///
    /// # Errors
    /// A diary that is not there, or a line that is none.
    pub fn read(folder: &Path, nodes: usize) -> anyhow::Result<Runs> {
        let mut runs = Runs::default();
        for node in 0..nodes {
            let path = diary(folder, node);
            let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
            runs.take(node, &text).with_context(|| path.display().to_string())?;
        }
        for list in runs.by_token.values_mut() {
            list.sort_by_key(|run| run.began);
        }
        Ok(runs)
    }

    fn take(&mut self, node: usize, text: &str) -> anyhow::Result<()> {
        // Serial to token of this life of the node: what a killed life had begun ends with it.
        let mut running: BTreeMap<&str, &str> = BTreeMap::new();
        for line in text.lines() {
            let words: Vec<&str> = line.splitn(5, ' ').collect();
            match words.as_slice() {
                ["opened", _] => running.clear(),
                ["refused", ..] => self.refused += 1,
                ["begun", at, serial, attempt, token] => {
                    running.insert(*serial, *token);
                    self.most_at_once = self.most_at_once.max(running.len());
                    let run = Run { node, attempt: (*attempt).to_owned(), began: at.parse()?, done: false };
                    self.by_token.entry((*token).to_owned()).or_default().push(run);
                }
                [how @ ("done" | "dropped"), _, serial] => {
                    let token = running.remove(serial).context("an end without a beginning")?;
                    let last = self.by_token.get_mut(token).and_then(|runs| runs.last_mut());
                    last.context("an end without a beginning")?.done = *how == "done";
                }
                _ => anyhow::bail!("no line of a diary: {line:.80}"),
            }
        }
        Ok(())
    }

    /// Runs of a request.
    pub fn of(&self, token: &str) -> &[Run] {
        self.by_token.get(token).map_or(&[], Vec::as_slice)
    }

    /// Nodes that a request ran on.
    pub fn nodes_of(&self, token: &str) -> BTreeSet<usize> {
        self.of(token).iter().map(|run| run.node).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lives_and_runs_are_told_apart() {
        let mut runs = Runs::default();
        let text = "opened 1\nbegun 10 1 a-1 one\nbegun 11 2 a-2 two\ndone 20 1\nrefused 21 a-3\nopened 30\n\
                    begun 31 1 b-1 two\ndropped 40 1\n";
        runs.take(0, text).unwrap();
        assert_eq!((runs.most_at_once, runs.refused), (2, 1));
        assert!(runs.of("one")[0].done);
        let two: Vec<_> = runs.of("two").iter().map(|run| (run.began, run.done)).collect();
        assert_eq!(two, [(11, false), (31, false)]);
        assert!(runs.take(0, "nonsense").is_err());
    }
}
