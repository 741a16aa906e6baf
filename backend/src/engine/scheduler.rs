//! Who is in the batch, and with how many tokens the next step computes each.
//!
//! Sequences are served by priority, then in the order of arrival. A sequence enters with blocks for the tokens that
//! it has, and takes one more when they are full. Where none is left, the least urgent one gives up all of its own
//! and waits again, its text kept: nobody more urgent ever waits for it, so that the first always gets on.

mod plan;

use std::collections::{BTreeMap, HashSet};

use super::blocks::BlockPool;
use super::request::Priority;
use super::sequence::Sequence;
use plan::plan;

/// The order of service; the most urgent is the smallest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Urgency {
    priority: Priority,
    /// Kept over preemptions.
    arrival: u64,
}

/// All sequences and the blocks that they share.
pub(super) struct Scheduler {
    pub(super) blocks: BlockPool,
    /// Sequences that may run together.
    max_sequences: usize,
    /// Tokens that a step computes.
    max_batch_tokens: usize,
    waiting: BTreeMap<Urgency, Sequence>,
    running: BTreeMap<Urgency, Sequence>,
    arrivals: u64,
    /// Times that a sequence gave up its blocks to another.
    pub(super) preemptions: u64,
}

impl Scheduler {
    pub(super) fn new(blocks: BlockPool, max_sequences: usize, max_batch_tokens: usize) -> Self {
        let (waiting, running) = (BTreeMap::new(), BTreeMap::new());
        Self { blocks, max_sequences, max_batch_tokens, waiting, running, arrivals: 0, preemptions: 0 }
    }

    /// Takes a sequence in; it waits for its turn.
    pub(super) fn add(&mut self, sequence: Sequence) {
        self.arrivals += 1;
        let urgency = Urgency { priority: sequence.priority(), arrival: self.arrivals };
        self.waiting.insert(urgency, sequence);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.running.is_empty()
    }

    /// Sequences in the batch, the most urgent first.
    pub(super) fn running(&self) -> impl Iterator<Item = &Sequence> {
        self.running.values()
    }

    /// Decides about the next step: for each running sequence, in their order, the number of tokens to compute.
    pub(super) fn schedule(&mut self) -> Vec<usize> {
        self.grow();
        self.admit();
        for sequence in self.running.values_mut().filter(|sequence| sequence.pending() > 1) {
            sequence.reuse(&mut self.blocks);
        }
        plan(&self.pending(), self.max_batch_tokens)
    }

    /// What each running sequence has to compute; nothing where a more urgent one is about to compute the very same block,
    /// which it can take over then.
    fn pending(&self) -> Vec<usize> {
        let mut taken = HashSet::new();
        let pending = self.running().map(|sequence| match sequence.next_block() {
            Some(block) if self.blocks.remembers() && !taken.insert(block) => 0,
            _ => sequence.pending(),
        });
        pending.collect()
    }

    /// Running sequences with the blocks that they fill, the most urgent first.
    pub(super) fn running_mut(&mut self) -> (impl Iterator<Item = &mut Sequence>, &mut BlockPool) {
        (self.running.values_mut(), &mut self.blocks)
    }

    /// Takes out the sequences, waiting or running, for which `gone` is true. Their blocks are still to be released.
    pub(super) fn take_out(&mut self, gone: impl Fn(&Sequence) -> bool) -> Vec<Sequence> {
        let gone = |_: &Urgency, sequence: &mut Sequence| gone(sequence);
        let running = self.running.extract_if(.., gone);
        running.chain(self.waiting.extract_if(.., gone)).map(|(_, sequence)| sequence).collect()
    }

    /// Takes out all running sequences. Their blocks are still to be released.
    pub(super) fn take_running(&mut self) -> Vec<Sequence> {
        std::mem::take(&mut self.running).into_values().collect()
    }

    /// A block for each running sequence that has filled its own. The least urgent pay for it where none is left.
    fn grow(&mut self) {
        for urgency in self.running.keys().copied().collect::<Vec<_>>() {
            while let Some(sequence) = self.running.get_mut(&urgency)
                && !sequence.grow(&mut self.blocks)
            {
                self.preempt_last();
            }
        }
    }

    /// Lets sequences in for which there is room. Nobody passes the first one, so that none starves.
    fn admit(&mut self) {
        while let Some((urgency, mut sequence)) = self.waiting.pop_first() {
            if !self.make_room(urgency, &mut sequence) {
                self.waiting.insert(urgency, sequence);
                return;
            }
            self.running.insert(urgency, sequence);
        }
    }

    /// Gives a sequence its blocks where there are some for it, and one more for each that runs: who enters should not
    /// have to leave at once. Sequences of lower priority give way to it; equals do not.
    fn make_room(&mut self, urgency: Urgency, sequence: &mut Sequence) -> bool {
        loop {
            let spare = self.running.len();
            if spare < self.max_sequences && sequence.enter(&mut self.blocks, spare) {
                return true;
            }
            let last = self.running.last_key_value().map(|(last, _)| last.priority);
            if last.is_none_or(|last| last <= urgency.priority) {
                return false;
            }
            self.preempt_last();
        }
    }

    /// Sends the least urgent running sequence back to wait.
    fn preempt_last(&mut self) {
        if let Some((urgency, mut sequence)) = self.running.pop_last() {
            sequence.preempt(&mut self.blocks);
            self.waiting.insert(urgency, sequence);
            self.preemptions += 1;
        }
    }
}
