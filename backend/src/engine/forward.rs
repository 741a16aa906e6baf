//! What the step loop needs of a model: one packed forward pass.

use candle_core::Result;

use crate::model::cache::KvCache;
use crate::model::{Chunk, Decoder, SerialModel};

/// A model that steps many sequences at once.
pub(super) trait Forward: Send {
    /// Computes all chunks; gives the logits of those that want them, one row after the other.
    fn forward(&mut self, chunks: &[Chunk<'_>]) -> Result<Vec<f32>>;

    /// Width of a row of logits.
    fn vocab_size(&self) -> usize;

    /// Makes the model usable after a step that failed half-way. Nothing that was in the cache is left.
    fn reset(&mut self) -> Result<()>;
}

/// A decoder with its cache.
#[derive(Debug)]
pub(super) struct CachedDecoder {
    decoder: Decoder,
    /// None only where making it anew failed.
    cache: Option<KvCache>,
    blocks: usize,
}

impl CachedDecoder {
    pub(super) fn new(decoder: Decoder, blocks: usize) -> Result<Self> {
        Ok(Self { cache: Some(decoder.new_cache(blocks)?), decoder, blocks })
    }
}

impl Forward for CachedDecoder {
    fn forward(&mut self, chunks: &[Chunk<'_>]) -> Result<Vec<f32>> {
        let Some(cache) = &self.cache else { candle_core::bail!("there is no key/value cache") };
        match self.decoder.forward(cache, chunks)? {
            Some(logits) => logits.flatten_all()?.to_vec1(),
            None => Ok(Vec::new()),
        }
    }

    fn vocab_size(&self) -> usize {
        self.decoder.config().vocab_size
    }

    /// A panic inside a write leaves candle's lock on the pool poisoned, so the pools are made anew. The device has no room
    /// for the old ones beside the new.
    fn reset(&mut self) -> Result<()> {
        self.cache = None;
        self.cache = Some(self.decoder.new_cache(self.blocks)?);
        Ok(())
    }
}

/// One sequence at a time: the engine runs no more than one, so that every step has one chunk.
impl Forward for SerialModel {
    fn forward(&mut self, chunks: &[Chunk<'_>]) -> Result<Vec<f32>> {
        match chunks {
            [chunk] => Ok(Self::forward(self, chunk)?.unwrap_or_default()),
            several => candle_core::bail!("{} sequences in a step of a model that takes one", several.len()),
        }
    }

    fn vocab_size(&self) -> usize {
        Self::vocab_size(self)
    }

    fn reset(&mut self) -> Result<()> {
        Self::reset(self);
        Ok(())
    }
}
