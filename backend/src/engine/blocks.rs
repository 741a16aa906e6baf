//! Who holds which block of the cache, and which tokens it holds.
//!
//! A pure state machine. A block is *held* by one sequence or, once its tokens are known, by several; *idle* where
//! nobody holds it but its tokens are known and may be asked for again; else *free*. When no block is free, the one
//! that has been idle longest is forgotten and used anew.
//!
//! Known blocks form a tree. What a block holds depends on every token before it too, so that it is known by its
//! own tokens and the known block before it, and a chain is followed from the root. Keys are hashed to be found and
//! compared to be believed: two texts are never taken for one another. No block is forgotten before those that
//! follow it: whoever holds a block holds all before it, and lets go of the last one first. A parent's number thus
//! never comes to mean another text while a child is known by it.

use std::collections::{BTreeMap, HashMap};

use crate::model::cache::BLOCK_TOKENS;

/// All blocks of one cache.
#[derive(Debug)]
pub(super) struct BlockPool {
    blocks: Vec<Block>,
    free: Vec<u32>,
    /// Idle blocks by the turn at which their last holder let go: least recently used first.
    idle: BTreeMap<u64, u32>,
    known: HashMap<Key, u32>,
    /// Counts how often a block fell idle.
    turn: u64,
    /// Whether blocks are ever known.
    remembers: bool,
}

#[derive(Clone, Debug, Default)]
struct Block {
    /// Tables that this block stands in.
    holders: u32,
    /// What it holds, once it is full and known.
    key: Option<Key>,
    /// Where it is found in `idle`.
    idle_since: u64,
}

/// The tokens of a full block and what comes before them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Key {
    /// The known block that holds the tokens before; none at the beginning of a text.
    parent: Option<u32>,
    tokens: [u32; BLOCK_TOKENS],
}

impl BlockPool {
    /// `total` free blocks. Without `remembers` nothing is ever known, and no block serves twice.
    pub(super) fn new(total: usize, remembers: bool) -> Self {
        Self {
            blocks: vec![Block::default(); total],
            free: (0..total as u32).rev().collect(),
            idle: BTreeMap::new(),
            known: HashMap::new(),
            turn: 0,
            remembers,
        }
    }

    /// Holds `count` blocks and leaves at least `spare` that could still be had; takes none where that cannot be.
    pub(super) fn take(&mut self, count: usize, spare: usize) -> Option<Vec<u32>> {
        if self.available() < count.saturating_add(spare) {
            return None;
        }
        let taken: Vec<u32> = std::iter::from_fn(|| self.unused()).take(count).collect();
        for block in &taken {
            self.blocks[*block as usize].holders = 1;
        }
        Some(taken)
    }

    /// Holds the block that is known to have `tokens` after `parent`.
    pub(super) fn hold_known(&mut self, parent: Option<u32>, tokens: &[u32]) -> Option<u32> {
        let block = *self.known.get(&Key { parent, tokens: tokens.try_into().ok()? })?;
        self.hold(block);
        Some(block)
    }

    /// Makes known that `block`, which one table holds, has `tokens` after `parent`. Gives the block to hold from now
    /// on: where a twin is known already it is that one, and `block` is free again.
    pub(super) fn make_known(&mut self, parent: Option<u32>, tokens: [u32; BLOCK_TOKENS], block: u32) -> u32 {
        if !self.remembers {
            return block;
        }
        let key = Key { parent, tokens };
        if let Some(twin) = self.known.get(&key).copied() {
            self.hold(twin);
            self.let_go(block);
            return twin;
        }
        self.known.insert(key, block);
        self.blocks[block as usize].key = Some(key);
        block
    }

    /// Lets go of a table's blocks, given in the order of its text.
    pub(super) fn release(&mut self, table: Vec<u32>) {
        for block in table.into_iter().rev() {
            self.let_go(block);
        }
    }

    /// Lets go of one block.
    pub(super) fn let_go(&mut self, block: u32) {
        let entry = &mut self.blocks[block as usize];
        debug_assert!(entry.holders > 0, "block {block} was let go twice");
        entry.holders = entry.holders.saturating_sub(1);
        if entry.holders > 0 {
            return;
        }
        if entry.key.is_none() {
            self.free.push(block);
            return;
        }
        self.turn += 1;
        entry.idle_since = self.turn;
        self.idle.insert(self.turn, block);
    }

    /// Forgets what all blocks hold, because it is gone.
    pub(super) fn forget_all(&mut self) {
        self.known.clear();
        self.free.extend(std::mem::take(&mut self.idle).into_values());
        for block in &mut self.blocks {
            block.key = None;
        }
    }

    /// Whether blocks are ever known.
    pub(super) fn remembers(&self) -> bool {
        self.remembers
    }

    /// Blocks that can be had: free and idle ones.
    pub(super) fn available(&self) -> usize {
        self.free.len() + self.idle.len()
    }

    /// Blocks that sequences hold.
    pub(super) fn held(&self) -> usize {
        self.blocks.len() - self.available()
    }

    fn hold(&mut self, block: u32) {
        let entry = &mut self.blocks[block as usize];
        if entry.holders == 0 {
            self.idle.remove(&entry.idle_since);
        }
        entry.holders += 1;
    }

    /// A block that nobody holds and nothing is known of any more.
    fn unused(&mut self) -> Option<u32> {
        if let Some(block) = self.free.pop() {
            return Some(block);
        }
        let (_, block) = self.idle.pop_first()?;
        if let Some(key) = self.blocks[block as usize].key.take() {
            self.known.remove(&key);
        }
        Some(block)
    }
}

#[cfg(test)]
mod invariants;
#[cfg(test)]
mod tests;
