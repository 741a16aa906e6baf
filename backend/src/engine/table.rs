//! One sequence's blocks, in the order of its text.

use super::blocks::BlockPool;
use crate::model::cache::BLOCK_TOKENS;

/// The blocks that one sequence holds. To be [released](BlockTable::release) before it is dropped.
#[derive(Debug, Default)]
pub(super) struct BlockTable {
    blocks: Vec<u32>,
    /// How many of them, from the beginning on, are full and known.
    known: usize,
}

impl BlockTable {
    pub(super) fn blocks(&self) -> &[u32] {
        &self.blocks
    }

    /// Lets known blocks stand in for tokens that are still to be computed, and gives how many of `tokens` are in the
    /// cache then; `computed` were before. The last token is always left: its logits are wanted.
    pub(super) fn reuse(&mut self, pool: &mut BlockPool, tokens: &[u32], computed: usize) -> usize {
        let mut computed = computed;
        while let Some((parent, next)) = self.next_block(tokens)
            && let Some(block) = pool.hold_known(parent, next)
        {
            match self.blocks.get_mut(self.known) {
                Some(own) => pool.let_go(std::mem::replace(own, block)),
                None => self.blocks.push(block),
            }
            self.known += 1;
            computed = computed.max(self.known * BLOCK_TOKENS);
        }
        computed
    }

    /// What the first block that is not known yet will be known by; none where it is not full before the last token.
    pub(super) fn next_block<'a>(&self, tokens: &'a [u32]) -> Option<(Option<u32>, &'a [u32])> {
        let beginning = &tokens[..tokens.len().saturating_sub(1)];
        let next = beginning.as_chunks::<BLOCK_TOKENS>().0.get(self.known)?;
        Some((self.parent(), next))
    }

    /// Holds blocks for a text of `tokens` tokens, and leaves `spare` blocks to be had. False, and nothing is
    /// changed, where there are not so many.
    pub(super) fn cover(&mut self, pool: &mut BlockPool, tokens: usize, spare: usize) -> bool {
        let missing = tokens.div_ceil(BLOCK_TOKENS).saturating_sub(self.blocks.len());
        if missing == 0 {
            return true;
        }
        let taken = pool.take(missing, spare);
        let covered = taken.is_some();
        self.blocks.extend(taken.unwrap_or_default());
        covered
    }

    /// Makes known what the full blocks hold. `computed`: the tokens that are in the cache.
    pub(super) fn make_known(&mut self, pool: &mut BlockPool, computed: &[u32]) {
        let full = computed.as_chunks::<BLOCK_TOKENS>().0;
        for tokens in full.iter().skip(self.known) {
            let block = pool.make_known(self.parent(), *tokens, self.blocks[self.known]);
            self.blocks[self.known] = block;
            self.known += 1;
        }
    }

    /// Lets go of everything.
    pub(super) fn release(&mut self, pool: &mut BlockPool) {
        pool.release(std::mem::take(&mut self.blocks));
        self.known = 0;
    }

    fn parent(&self) -> Option<u32> {
        Some(self.blocks[self.known.checked_sub(1)?])
    }
}
