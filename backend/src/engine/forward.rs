//! What the step loop needs of a model: one packed forward pass.

use candle_core::{Result, Tensor};

use crate::model::cache::KvCache;
use crate::model::{Chosen, Chunk, Decoder, Draw, SerialModel};

/// A model that steps many sequences at once.
pub(super) trait Forward: Send {
    /// Computes all chunks. `draws` are of those that want logits, in their order: how a token is to be chosen, where that
    /// is all that is wanted.
    fn forward(&mut self, chunks: &[Chunk<'_>], draws: &[Option<Draw>]) -> Result<Outcome>;

    /// Whether the model chooses tokens itself where it is told how.
    fn chooses(&self) -> bool {
        false
    }

    /// Width of a row of logits.
    fn vocab_size(&self) -> usize;

    /// Makes the model usable after a step that failed half-way. Nothing that was in the cache is left.
    fn reset(&mut self) -> Result<()>;
}

/// What a step gives for the chunks that want logits.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// The rows of those for which no token was chosen, one after the other.
    pub(super) logits: Vec<f32>,
    /// For each of them the token, where one was chosen; empty where none was for any.
    pub(super) chosen: Vec<Option<Chosen>>,
}

/// One row of an outcome.
#[derive(Debug)]
pub(super) enum Row<'a> {
    /// Logits, scratch afterwards.
    Logits(&'a mut [f32]),
    /// The choice was made on the device.
    Chosen(Chosen),
}

impl Row<'_> {
    /// How many logits are still to be looked at.
    pub(super) fn logits(&self) -> usize {
        match self {
            Self::Logits(logits) => logits.len(),
            Self::Chosen(_) => 0,
        }
    }
}

impl Outcome {
    /// Logits alone.
    pub(super) fn logits(logits: Vec<f32>) -> Self {
        Self { logits, chosen: Vec::new() }
    }

    /// One for each chunk that wanted logits.
    pub(super) fn rows(&mut self, vocab_size: usize) -> Vec<Row<'_>> {
        let mut logits = self.logits.chunks_mut(vocab_size).map(Row::Logits);
        if self.chosen.is_empty() {
            return logits.collect();
        }
        let row = |chosen: &Option<Chosen>| chosen.map(Row::Chosen).or_else(|| logits.next());
        self.chosen.iter().filter_map(row).collect()
    }
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
        let cache = Some(decoder.new_cache(blocks)?);
        // It goes to another thread now, whose work on the device does not wait for this one's.
        decoder.device().synchronize()?;
        Ok(Self { cache, decoder, blocks })
    }
}

impl Forward for CachedDecoder {
    fn forward(&mut self, chunks: &[Chunk<'_>], draws: &[Option<Draw>]) -> Result<Outcome> {
        let Some(cache) = &self.cache else { candle_core::bail!("there is no key/value cache") };
        let Some(logits) = self.decoder.forward(cache, chunks)? else { return Ok(Outcome::default()) };
        if draws.iter().any(Option::is_some) {
            return choose(&self.decoder, &logits, draws);
        }
        Ok(Outcome::logits(logits.flatten_all()?.to_vec1()?))
    }

    fn chooses(&self) -> bool {
        self.decoder.has_kernels()
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

/// Chooses on the device where a draw says how, and brings the other rows to the host.
fn choose(decoder: &Decoder, logits: &Tensor, draws: &[Option<Draw>]) -> Result<Outcome> {
    // A row whose logits are wanted is looked at all the same: that costs less than to sort the rows out first.
    let all: Vec<Draw> = draws.iter().map(|draw| draw.unwrap_or(Draw::Likeliest)).collect();
    let chosen = decoder.choose(logits, &all)?;
    let chosen = chosen.into_iter().zip(draws).map(|(chosen, draw)| draw.map(|_| chosen)).collect();
    let whole: Vec<u32> = (0..).zip(draws).filter(|(_, draw)| draw.is_none()).map(|(row, _)| row).collect();
    if whole.is_empty() {
        return Ok(Outcome { logits: Vec::new(), chosen });
    }
    let whole = Tensor::new(whole, logits.device())?;
    Ok(Outcome { logits: logits.index_select(&whole, 0)?.flatten_all()?.to_vec1()?, chosen })
}

/// One sequence at a time: the engine runs no more than one, so that every step has one chunk.
impl Forward for SerialModel {
    fn forward(&mut self, chunks: &[Chunk<'_>], _: &[Option<Draw>]) -> Result<Outcome> {
        match chunks {
            [chunk] => Ok(Outcome::logits(Self::forward(self, chunk)?.unwrap_or_default())),
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
