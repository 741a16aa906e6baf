//! What always holds of a pool, each as a predicate with a name; `tables` are those of all sequences.

use super::{Block, BlockPool};

type Predicate = fn(&BlockPool, &[&[u32]]) -> bool;

/// Every invariant, by name.
const INVARIANTS: [(&str, Predicate); 6] = [
    ("each block is free, idle or held, and only one of them", each_block_is_in_one_place),
    ("holders are counted as the tables stand", holders_are_the_tables),
    ("keys and blocks find each other", keys_and_blocks_agree),
    ("what comes before a known block is known", ancestors_are_known),
    ("a parent is forgotten after its children", parents_outlive_children),
    ("only known blocks are shared", only_known_blocks_are_shared),
];

impl BlockPool {
    /// The first invariant that does not hold.
    pub(in crate::engine) fn broken(&self, tables: &[&[u32]]) -> Option<&'static str> {
        INVARIANTS.iter().find(|(_, holds)| !holds(self, tables)).map(|(name, _)| *name)
    }

    fn numbered(&self) -> impl Iterator<Item = (u32, &Block)> {
        (0..).zip(&self.blocks)
    }
}

fn each_block_is_in_one_place(pool: &BlockPool, _: &[&[u32]]) -> bool {
    let times = |block: u32| {
        let free = pool.free.iter().filter(|free| **free == block).count();
        let idle = pool
            .idle
            .iter()
            .filter(|(turn, idle)| **idle == block && pool.blocks[block as usize].idle_since == **turn);
        (free, idle.count())
    };
    pool.numbered().all(|(block, entry)| match (entry.holders, entry.key) {
        (0, None) => times(block) == (1, 0),
        (0, Some(_)) => times(block) == (0, 1),
        _ => times(block) == (0, 0),
    })
}

fn holders_are_the_tables(pool: &BlockPool, tables: &[&[u32]]) -> bool {
    let mut counted = vec![0; pool.blocks.len()];
    for block in tables.iter().copied().flatten() {
        counted[*block as usize] += 1;
    }
    pool.blocks.iter().map(|block| block.holders).eq(counted)
}

fn keys_and_blocks_agree(pool: &BlockPool, _: &[&[u32]]) -> bool {
    let keyed: Vec<_> = pool.numbered().filter_map(|(block, entry)| Some((entry.key?, block))).collect();
    pool.known.len() == keyed.len() && keyed.iter().all(|(key, block)| pool.known.get(key) == Some(block))
}

fn ancestors_are_known(pool: &BlockPool, _: &[&[u32]]) -> bool {
    let parents = pool.known.keys().filter_map(|key| key.parent);
    parents.into_iter().all(|parent| pool.blocks[parent as usize].key.is_some())
}

fn parents_outlive_children(pool: &BlockPool, _: &[&[u32]]) -> bool {
    pool.known.iter().all(|(key, child)| {
        let Some(parent) = key.parent.map(|parent| &pool.blocks[parent as usize]) else { return true };
        let child = &pool.blocks[*child as usize];
        match (parent.holders, child.holders) {
            (0, 0) => parent.idle_since > child.idle_since,
            (parent, child) => parent >= child,
        }
    })
}

fn only_known_blocks_are_shared(pool: &BlockPool, _: &[&[u32]]) -> bool {
    pool.blocks.iter().all(|block| block.holders <= 1 || block.key.is_some())
}
