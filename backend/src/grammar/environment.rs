//! The vocabulary as llguidance sees it: bytes in a trie, and which tokens end a text.

use std::sync::Arc;

use llguidance::earley::SlicedBiasComputer;
use llguidance::toktrie::{InferenceCapabilities, TokEnv, TokRxInfo, TokTrie, TokenizerEnv};
use llguidance::{ParserFactory, panic_utils};

use super::{GrammarError, reason};
use crate::text::Vocabulary;

/// Bytes of the longest token that takes part; longer ones (runs of spaces, mostly) are never needed.
const MAX_TOKEN_BYTES: usize = 255;

struct Environment(TokTrie);

impl TokenizerEnv for Environment {
    fn tok_trie(&self) -> &TokTrie {
        &self.0
    }

    fn tokenize_bytes(&self, bytes: &[u8]) -> Vec<u32> {
        self.0.greedy_tokenize(bytes)
    }

    /// The model chooses how it writes what is forced.
    fn tokenize_is_canonical(&self) -> bool {
        false
    }
}

/// What grammars for this vocabulary are compiled by.
pub(super) fn factory(vocabulary: &Vocabulary, eos: &[u32]) -> Result<ParserFactory, GrammarError> {
    let made = panic_utils::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let environment: TokEnv = Arc::new(Environment(trie(vocabulary, eos)));
        let slices = SlicedBiasComputer::json_slices();
        let mut factory = ParserFactory::new(&environment, InferenceCapabilities::default(), &slices)?;
        factory.quiet();
        factory.limits_mut().verbose_errors = false;
        Ok(factory)
    }));
    made.map_err(|error| reason(&error))
}

fn trie(vocabulary: &Vocabulary, eos: &[u32]) -> TokTrie {
    let words: Vec<Vec<u8>> = (0..vocabulary.len() as u32).map(|token| word(vocabulary, token)).collect();
    let ending = eos.first().copied().unwrap_or_default();
    let trie = TokTrie::from(&TokRxInfo::new(vocabulary.len() as u32, ending), &words);
    if eos.len() > 1 { trie.with_eos_tokens(eos) } else { trie }
}

/// Special tokens are told from text by a mark in front.
fn word(vocabulary: &Vocabulary, token: u32) -> Vec<u8> {
    let bytes = vocabulary.bytes(token);
    if bytes.len() >= MAX_TOKEN_BYTES {
        return Vec::new();
    }
    let mark = vocabulary.is_special(token).then_some(TokTrie::SPECIAL_TOKEN_MARKER);
    mark.into_iter().chain(bytes.iter().copied()).collect()
}
