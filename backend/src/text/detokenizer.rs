//! Tokens to text, one at a time, without ever cutting a character.

use std::sync::Arc;

use tokenizers::Tokenizer;

/// The tokenizer cannot turn a token into text.
#[derive(Debug, thiserror::Error)]
#[error("cannot decode: {0}")]
pub struct TextError(#[source] tokenizers::Error);

/// What a decoder writes for bytes that are no character, or not yet.
const REPLACEMENT: char = char::REPLACEMENT_CHARACTER;

/// Tokens at a prompt's end that are enough to tell how the next one reads: the longest character takes four.
const PROMPT_CONTEXT: usize = 6;

/// Incremental detokenizer of one answer.
///
/// A token's text depends on its neighbours (a space before a word, the bytes of one character), so a window of
/// tokens is decoded anew each time and what is new in it is sent. The window begins at tokens whose text is
/// complete, and keeps them until the next ones are complete too, because decoders treat the first token of what
/// they decode in a special way.
#[derive(Debug)]
pub struct TextStream {
    tokenizer: Arc<Tokenizer>,
    window: Vec<u32>,
    /// Tokens at the window's beginning that only give context.
    context: usize,
    /// Bytes of the window's text that were sent.
    sent: usize,
}

impl TextStream {
    /// A stream that leaves special tokens out of the text.
    #[must_use]
    pub fn new(tokenizer: Arc<Tokenizer>) -> Self {
        Self { tokenizer, window: Vec::new(), context: 0, sent: 0 }
    }

    /// The same for text that continues a prompt, so that both read as one: a first word keeps the space before it.
    ///
    /// # Errors
    /// When the tokenizer's decoder fails.
    pub fn after(tokenizer: Arc<Tokenizer>, prompt: &[u32]) -> Result<Self, TextError> {
        let mut stream = Self::new(tokenizer);
        let mut size = PROMPT_CONTEXT;
        let text = loop {
            let context = &prompt[prompt.len().saturating_sub(size)..];
            let text = stream.decode(context)?;
            // It must not begin within a character: a decoder may give up all bytes that follow.
            if size >= prompt.len() || !text.starts_with(REPLACEMENT) {
                stream.window = context.to_vec();
                break text;
            }
            size *= 2;
        };
        stream.context = stream.window.len();
        stream.sent = text.trim_end_matches(REPLACEMENT).len();
        Ok(stream)
    }

    /// Takes the next token and gives the text that is certain now; empty while a character is incomplete.
    ///
    /// # Errors
    /// When the tokenizer's decoder fails.
    pub fn push(&mut self, token: u32) -> Result<String, TextError> {
        self.window.push(token);
        let text = self.decode(&self.window)?;
        let certain = text.trim_end_matches(REPLACEMENT);
        let new = certain.get(self.sent..).unwrap_or_default().to_owned();
        self.sent = self.sent.max(certain.len());
        if certain.len() == text.len() && !new.is_empty() {
            self.slide()?;
        }
        Ok(new)
    }

    /// The end of the answer: what was held back, with U+FFFD for a character that never became complete.
    ///
    /// # Errors
    /// When the tokenizer's decoder fails.
    pub fn flush(&mut self) -> Result<String, TextError> {
        let text = self.decode(&self.window)?;
        let rest = text.get(self.sent..).unwrap_or_default().to_owned();
        self.sent = text.len();
        Ok(rest)
    }

    /// All of the window is sent: what was new becomes context, what was context is dropped.
    fn slide(&mut self) -> Result<(), TextError> {
        self.window.drain(..self.context);
        self.context = self.window.len();
        self.sent = self.decode(&self.window)?.len();
        Ok(())
    }

    fn decode(&self, tokens: &[u32]) -> Result<String, TextError> {
        self.tokenizer.decode(tokens, true).map_err(TextError)
    }
}

#[cfg(test)]
mod tests;
