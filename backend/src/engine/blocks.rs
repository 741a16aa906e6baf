//! Who holds which block of the cache.

/// Blocks that nobody holds.
#[derive(Debug)]
pub(super) struct BlockPool {
    free: Vec<u32>,
    total: usize,
}

impl BlockPool {
    pub(super) fn new(total: usize) -> Self {
        Self { free: (0..total as u32).rev().collect(), total }
    }

    /// All of `count` blocks, or none.
    pub(super) fn take(&mut self, count: usize) -> Option<Vec<u32>> {
        let rest = self.free.len().checked_sub(count)?;
        Some(self.free.split_off(rest))
    }

    pub(super) fn give_back(&mut self, blocks: Vec<u32>) {
        self.free.extend(blocks);
        debug_assert!(self.free.len() <= self.total, "a block was given back twice");
    }

    pub(super) fn used(&self) -> usize {
        self.total - self.free.len()
    }
}

#[cfg(test)]
mod tests {
    use super::BlockPool;

    #[test]
    fn gives_all_or_nothing_and_is_whole_in_the_end() {
        let mut pool = BlockPool::new(5);
        let three = pool.take(3).unwrap();
        assert!(pool.take(3).is_none(), "two are left");
        assert_eq!(pool.used(), 3, "a refusal takes nothing");
        let two = pool.take(2).unwrap();
        pool.give_back(three);
        pool.give_back(two);
        let mut all = pool.take(5).unwrap();
        all.sort_unstable();
        assert_eq!(all, [0, 1, 2, 3, 4], "each block once");
    }
}
