//! Tokens to text, one at a time, without ever cutting a character.

use std::sync::Arc;

use tokenizers::Tokenizer;

/// The tokenizer cannot turn a token into text.
#[derive(Debug, thiserror::Error)]
#[error("cannot decode: {0}")]
pub struct TextError(pub(crate) tokenizers::Error);

/// Incremental detokenizer of one answer.
#[derive(Debug)]
pub struct TextStream {
    _tokenizer: Arc<Tokenizer>,
}

impl TextStream {
    /// A stream that leaves special tokens out of the text.
    #[must_use]
    pub fn new(tokenizer: Arc<Tokenizer>) -> Self {
        Self { _tokenizer: tokenizer }
    }

    /// Takes the next token and gives the text that is certain now; empty while a character is incomplete.
    ///
    /// # Errors
    /// When the tokenizer's decoder fails.
    pub fn push(&mut self, token: u32) -> Result<String, TextError> {
        let _ = token;
        Ok(String::new())
    }

    /// The end of the answer: what was held back, with U+FFFD for a character that never became complete.
    ///
    /// # Errors
    /// When the tokenizer's decoder fails.
    pub fn flush(&mut self) -> Result<String, TextError> {
        Ok(String::new())
    }
}
