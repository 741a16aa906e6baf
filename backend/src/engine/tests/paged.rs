//! A model that remembers as a real one does: it keeps something of every token in the token's slot, and what it says
//! next depends on all that it reads back from the slots of the sequence. A slot that holds another text's token,
//! or one that was written over, changes the answer.

use candle_core::Result;

use crate::engine::forward::{Forward, Outcome};
use crate::model::cache::BLOCK_TOKENS;
use crate::model::{Chunk, Draw};

/// Tokens that it knows.
pub(super) const VOCAB: usize = 64;

/// What stands in a slot that nothing was written to.
const EMPTY: u64 = 0;

#[derive(Debug)]
pub(super) struct Paged {
    /// For each slot, a digest of the token in it and of all before it in its text.
    slots: Vec<u64>,
    /// Tokens computed in all.
    pub(super) computed: usize,
}

impl Paged {
    pub(super) fn new(blocks: usize) -> Self {
        Self { slots: vec![EMPTY; blocks * BLOCK_TOKENS], computed: 0 }
    }
}

impl Forward for Paged {
    fn forward(&mut self, chunks: &[Chunk<'_>], _: &[Option<Draw>]) -> Result<Outcome> {
        let mut logits = Vec::new();
        for chunk in chunks {
            let slot =
                |at: usize| chunk.blocks[at / BLOCK_TOKENS] as usize * BLOCK_TOKENS + at % BLOCK_TOKENS;
            let mut digest = (0..chunk.start).fold(EMPTY, |before, at| read(before, self.slots[slot(at)]));
            for (at, token) in (chunk.start..).zip(chunk.tokens) {
                self.slots[slot(at)] = written(digest, *token);
                digest = read(digest, self.slots[slot(at)]);
            }
            self.computed += chunk.tokens.len();
            if chunk.logits {
                logits.extend(scores(digest));
            }
        }
        Ok(Outcome::logits(logits))
    }

    fn vocab_size(&self) -> usize {
        VOCAB
    }

    fn reset(&mut self) -> Result<()> {
        self.slots.fill(EMPTY);
        Ok(())
    }
}

/// The answer to `prompt` as it is without any cache: its most likely tokens.
pub(super) fn alone(prompt: &[u32], count: usize) -> Vec<u32> {
    let mut text = prompt.to_vec();
    for _ in 0..count {
        let digest = text.iter().fold(EMPTY, |before, token| read(before, written(before, *token)));
        let scores = scores(digest);
        let best = (0..VOCAB).max_by(|a, b| scores[*a].total_cmp(&scores[*b])).unwrap();
        text.push(best as u32);
    }
    text.split_off(prompt.len())
}

fn written(before: u64, token: u32) -> u64 {
    mix(before ^ u64::from(token + 1))
}

fn read(before: u64, slot: u64) -> u64 {
    mix(before.rotate_left(7) ^ slot)
}

/// A different order of all tokens for each digest; no two score the same.
fn scores(digest: u64) -> [f32; VOCAB] {
    std::array::from_fn(|token| ((token as u64 ^ digest) % VOCAB as u64) as f32 + (digest >> 40) as f32 / 2e7)
}

/// The finaliser of MurmurHash3: every bit of the input moves half of the output's.
fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    x = (x ^ (x >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    x ^ (x >> 33)
}
