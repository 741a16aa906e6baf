//! Models outside the Llama family, as candle-transformers has them: one sequence at a time.
//!
//! Their caches are their own, one tensor that is copied with every token, and they take one position for all that they
//! compute. So the engine gives them one sequence, and the next when that has ended.

mod config;
mod load;
mod network;

use candle_core::{DType, Device, Result, Tensor, bail};

use super::decoder::Chunk;
use super::tokenizer::SpecialIds;
pub(crate) use config::{is_serial, names};
pub use load::LoadedSerial;
pub(crate) use load::load;
use network::Network;

/// A model that runs one sequence at a time.
#[derive(Debug)]
pub struct SerialModel {
    /// As it was loaded, its cache empty. Weights are shared with `current`.
    fresh: Network,
    current: Network,
    /// Tokens of the prompt that wait for its end: not all of these models take a prompt in pieces.
    waiting: Vec<u32>,
    /// Tokens in the cache.
    computed: usize,
    vocab_size: usize,
    context_length: usize,
    device: Device,
}

impl SerialModel {
    fn new(network: Network, vocab_size: usize, context_length: usize, device: Device) -> Self {
        let (current, waiting) = (network.clone(), Vec::new());
        Self { fresh: network, current, waiting, computed: 0, vocab_size, context_length, device }
    }

    /// Rows of the output.
    #[must_use]
    pub fn vocab_size(&self) -> usize {
        self.vocab_size
    }

    /// Tokens that a sequence may have.
    #[must_use]
    pub fn context_length(&self) -> usize {
        self.context_length
    }

    /// Goes on with the sequence, or begins another where the chunk begins at 0. Logits of the last token, where the chunk
    /// wants them.
    ///
    /// # Errors
    /// When the device fails, or the chunk does not follow the one before.
    pub fn forward(&mut self, chunk: &Chunk<'_>) -> Result<Option<Vec<f32>>> {
        if chunk.start == 0 {
            self.reset();
        }
        if chunk.start != self.computed + self.waiting.len() {
            bail!("a chunk at {}, but the sequence has {} tokens", chunk.start, self.computed);
        }
        self.waiting.extend(chunk.tokens);
        if !chunk.logits {
            return Ok(None);
        }
        let tokens = Tensor::new(self.waiting.as_slice(), &self.device)?.unsqueeze(0)?;
        let logits = self.current.forward(&tokens, self.computed)?;
        self.computed += self.waiting.len();
        self.waiting.clear();
        logits.flatten_all()?.to_dtype(DType::F32)?.to_vec1().map(Some)
    }

    /// Forgets the sequence.
    pub(crate) fn reset(&mut self) {
        self.current = self.fresh.clone();
        self.waiting.clear();
        self.computed = 0;
    }
}
