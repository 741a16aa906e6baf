//! Random histories of sequences over one pool: the invariants hold after every event, and a block that is reused
//! holds what the text needs.

use proptest::prelude::*;

use super::*;
use crate::engine::table::BlockTable;

/// What can happen to a pool. Numbers choose among the sequences that there are.
#[derive(Clone, Debug)]
enum Event {
    /// A sequence comes with this text, and leaves so many blocks to others.
    Enter(Vec<u32>, usize),
    /// So many of its tokens are computed.
    Compute(usize, usize),
    /// It looks for what others have computed meanwhile.
    Reuse(usize),
    /// So many tokens are added to its text.
    Grow(usize, usize),
    Leave(usize),
    /// The device failed.
    Fail,
}

/// Texts of a few blocks, most of which begin alike.
fn text() -> impl Strategy<Value = Vec<u32>> {
    let blocks = prop::collection::vec(0..2u32, 0..5);
    let whole = blocks.prop_map(|blocks| {
        blocks
            .into_iter()
            .flat_map(|kind| (0..BLOCK_TOKENS as u32).map(move |i| i * (kind + 1)))
            .collect::<Vec<_>>()
    });
    (whole, prop::collection::vec(0..3u32, 1..20)).prop_map(|(mut text, tail)| {
        text.extend(tail);
        text
    })
}

fn event() -> impl Strategy<Value = Event> {
    let which = 0..100usize;
    prop_oneof![
        6 => (text(), 0..3usize).prop_map(|(text, spare)| Event::Enter(text, spare)),
        8 => (which.clone(), 1..60usize).prop_map(|(which, count)| Event::Compute(which, count)),
        4 => which.clone().prop_map(Event::Reuse),
        6 => (which.clone(), 1..20usize).prop_map(|(which, count)| Event::Grow(which, count)),
        4 => which.prop_map(Event::Leave),
        1 => Just(Event::Fail),
    ]
}

#[derive(Debug)]
struct Holder {
    text: Vec<u32>,
    computed: usize,
    table: BlockTable,
}

/// The pool, who holds what, and for each block the text that its last full contents end.
struct World {
    pool: BlockPool,
    holders: Vec<Holder>,
    contents: Vec<Vec<u32>>,
    reused: usize,
}

impl World {
    fn new(blocks: usize, remembers: bool) -> Self {
        let pool = BlockPool::new(blocks, remembers);
        Self { pool, holders: Vec::new(), contents: vec![Vec::new(); blocks], reused: 0 }
    }

    fn apply(&mut self, event: Event) {
        let count = self.holders.len();
        match event {
            Event::Enter(text, spare) => self.enter(text, spare),
            Event::Fail => {
                self.holders.drain(..).for_each(|mut holder| holder.table.release(&mut self.pool));
                self.pool.forget_all();
                self.contents.iter_mut().for_each(Vec::clear);
            }
            _ if count == 0 => {}
            Event::Compute(which, tokens) => self.compute(which % count, tokens),
            Event::Reuse(which) => self.reuse(which % count),
            Event::Grow(which, tokens) => {
                let holder = &mut self.holders[which % count];
                let wanted = holder.text.len() + tokens;
                if holder.table.cover(&mut self.pool, wanted, 0) {
                    holder.text.extend((0..tokens as u32).map(|i| i % 3));
                }
            }
            Event::Leave(which) => self.holders.swap_remove(which % count).table.release(&mut self.pool),
        }
    }

    fn enter(&mut self, text: Vec<u32>, spare: usize) {
        let before = self.pool.held();
        let mut holder = Holder { computed: 0, table: BlockTable::default(), text };
        holder.computed = holder.table.reuse(&mut self.pool, &holder.text, 0);
        if holder.table.cover(&mut self.pool, holder.text.len(), spare) {
            assert!(self.pool.available() >= spare || self.pool.held() == before, "others need blocks too");
            self.reused += holder.computed;
            self.holders.push(holder);
            self.expect_contents(self.holders.len() - 1);
        } else {
            holder.table.release(&mut self.pool);
            assert_eq!(self.pool.held(), before, "a refusal takes nothing");
        }
    }

    fn compute(&mut self, which: usize, tokens: usize) {
        let holder = &mut self.holders[which];
        let end = (holder.computed + tokens).min(holder.text.len());
        for full in holder.computed / BLOCK_TOKENS..end / BLOCK_TOKENS {
            let block = holder.table.blocks()[full] as usize;
            self.contents[block] = holder.text[..(full + 1) * BLOCK_TOKENS].to_vec();
        }
        holder.computed = end;
        holder.table.make_known(&mut self.pool, &holder.text[..end]);
        self.expect_contents(which);
    }

    fn reuse(&mut self, which: usize) {
        let holder = &mut self.holders[which];
        let before = holder.computed;
        holder.computed = holder.table.reuse(&mut self.pool, &holder.text, before);
        assert!(
            before <= holder.computed && (holder.computed < holder.text.len() || before == holder.computed)
        );
        self.reused += holder.computed - before;
        self.expect_contents(which);
    }

    /// Each full block that a sequence relies on ends the very text that the sequence has up to there.
    fn expect_contents(&self, which: usize) {
        let Holder { text, computed, table } = &self.holders[which];
        for full in 0..computed / BLOCK_TOKENS {
            let block = table.blocks()[full] as usize;
            assert_eq!(self.contents[block], text[..(full + 1) * BLOCK_TOKENS], "block {block}");
        }
    }

    fn expect_invariants(&self) {
        let tables: Vec<&[u32]> = self.holders.iter().map(|holder| holder.table.blocks()).collect();
        assert_eq!(self.pool.broken(&tables), None);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1024, ..ProptestConfig::default() })]

    #[test]
    fn any_history_keeps_the_invariants_and_ends_whole(
        blocks in 1..24usize,
        remembers in prop::bool::weighted(0.9),
        events in prop::collection::vec(event(), 1..120),
    ) {
        let mut world = World::new(blocks, remembers);
        for event in events {
            world.apply(event);
            world.expect_invariants();
        }
        for mut holder in std::mem::take(&mut world.holders) {
            holder.table.release(&mut world.pool);
        }
        world.expect_invariants();
        prop_assert_eq!((world.pool.available(), world.pool.held()), (blocks, 0));
        prop_assert!(remembers || world.reused == 0);
        prop_assert!(world.pool.take(blocks, 0).is_some(), "every block can be had again");
    }
}

/// A text of whole blocks.
fn blocks_of(kinds: &[u32]) -> Vec<u32> {
    kinds.iter().flat_map(|kind| [*kind; BLOCK_TOKENS]).collect()
}

/// Enters and computes a text, then leaves.
fn pass_through(world: &mut World, text: Vec<u32>) {
    world.apply(Event::Enter(text, 0));
    world.apply(Event::Compute(world.holders.len() - 1, usize::MAX / 2));
    world.apply(Event::Leave(world.holders.len() - 1));
}

#[test]
fn what_was_computed_is_found_again_but_for_the_last_token() {
    let mut world = World::new(8, true);
    pass_through(&mut world, blocks_of(&[1, 2, 3]));
    world.apply(Event::Enter(blocks_of(&[1, 2, 3]), 0));
    assert_eq!(world.holders[0].computed, 2 * BLOCK_TOKENS, "the last block holds the last token");
    world.apply(Event::Enter(blocks_of(&[1, 2, 3, 4]), 0));
    assert_eq!(world.holders[1].computed, 3 * BLOCK_TOKENS);
    world.apply(Event::Enter(blocks_of(&[2, 3]), 0));
    assert_eq!(world.holders[2].computed, 0, "the same tokens after others are another text");
    world.expect_invariants();
}

#[test]
fn the_least_recently_used_is_forgotten_first_and_its_end_before_its_beginning() {
    let mut world = World::new(4, true);
    pass_through(&mut world, blocks_of(&[1, 2]));
    pass_through(&mut world, blocks_of(&[3, 4]));
    pass_through(&mut world, blocks_of(&[1, 2]));
    world.apply(Event::Enter(vec![9; BLOCK_TOKENS], 0));
    let found = |world: &mut World, text: &[u32]| {
        let mut table = BlockTable::default();
        let found = table.reuse(&mut world.pool, &[text, &[7]].concat(), 0) / BLOCK_TOKENS;
        table.release(&mut world.pool);
        found
    };
    assert_eq!(found(&mut world, &blocks_of(&[3, 4])), 1, "4 went, which nobody had used for longest");
    assert_eq!(found(&mut world, &blocks_of(&[1, 2])), 2);
}

#[test]
fn two_that_compute_the_same_end_with_one_copy() {
    let mut world = World::new(8, true);
    world.apply(Event::Enter(blocks_of(&[1, 2, 3]), 0));
    world.apply(Event::Enter(blocks_of(&[1, 2, 3]), 0));
    assert_eq!(world.pool.held(), 6);
    world.apply(Event::Compute(0, 40));
    world.apply(Event::Compute(1, 20));
    assert_eq!(world.pool.held(), 5, "the first block is shared now");
    world.apply(Event::Reuse(1));
    assert_eq!((world.holders[1].computed, world.pool.held()), (32, 4), "the second needs no computing");
    world.expect_invariants();
}
