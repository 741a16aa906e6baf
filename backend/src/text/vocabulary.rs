//! The bytes that each token stands for: what log-probabilities report, and what grammars match.
//!
//! A token's text in `tokenizer.json` is not always its bytes. Byte-level vocabularies (GPT-2) write each byte as one
//! printable character; SentencePiece ones write a space as `▁` and single bytes as `<0x0A>`. The decoder of the
//! tokenizer says which it is.

use std::collections::HashSet;

use serde_json::Value;
use tokenizers::Tokenizer;

/// The bytes of all tokens.
#[derive(Debug)]
pub struct Vocabulary {
    /// All bytes, one token after the other.
    bytes: Vec<u8>,
    /// Where each token's end.
    ends: Vec<usize>,
    /// Tokens that are marks for the model and no text.
    special: HashSet<u32>,
}

impl Vocabulary {
    /// Of a tokenizer whose model has `size` rows; rows that no token belongs to have no bytes.
    #[must_use]
    pub fn new(tokenizer: &Tokenizer, size: usize) -> Self {
        let spelling = Spelling::of(tokenizer);
        let added = tokenizer.get_added_tokens_decoder();
        let special = added.iter().filter(|(_, token)| token.special).map(|(id, _)| *id).collect();
        let (mut bytes, mut ends) = (Vec::new(), Vec::with_capacity(size));
        for id in 0..size as u32 {
            match (added.get(&id), tokenizer.id_to_token(id)) {
                (Some(token), _) => bytes.extend_from_slice(token.content.as_bytes()),
                (None, Some(text)) => spelling.write(&text, &mut bytes),
                (None, None) => {}
            }
            ends.push(bytes.len());
        }
        Self { bytes, ends, special }
    }

    /// A token's bytes; none for an id without a token.
    #[must_use]
    pub fn bytes(&self, token: u32) -> &[u8] {
        let at = token as usize;
        let start = at.checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or(0);
        self.ends.get(at).and_then(|end| self.bytes.get(start..*end)).unwrap_or_default()
    }

    /// True for marks such as the end of a turn, which are left out of the text.
    #[must_use]
    pub fn is_special(&self, token: u32) -> bool {
        self.special.contains(&token)
    }

    /// Rows of the model.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// True where there is no token at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }
}

/// How the vocabulary writes bytes.
#[derive(Debug, Default)]
struct Spelling {
    /// Each byte is one character.
    byte_level: bool,
    /// `<0x0A>` is one byte.
    byte_fallback: bool,
    /// What stands for a space.
    space: Option<String>,
}

impl Spelling {
    fn of(tokenizer: &Tokenizer) -> Self {
        let mut spelling = Self::default();
        // The parts of a decoder are private, but not what it is written as.
        let decoder = tokenizer.get_decoder().and_then(|decoder| serde_json::to_value(decoder).ok());
        spelling.read(&decoder.unwrap_or_default());
        spelling
    }

    fn read(&mut self, decoder: &Value) {
        match decoder["type"].as_str() {
            Some("ByteLevel") => self.byte_level = true,
            Some("ByteFallback") => self.byte_fallback = true,
            Some("Metaspace") => self.space = decoder["replacement"].as_str().map(str::to_owned),
            Some("Replace") if decoder["content"] == " " => {
                self.space = decoder["pattern"]["String"].as_str().map(str::to_owned);
            }
            Some("Sequence") => {
                decoder["decoders"].as_array().into_iter().flatten().for_each(|part| self.read(part));
            }
            _ => {}
        }
    }

    fn write(&self, text: &str, out: &mut Vec<u8>) {
        if self.byte_level {
            for character in text.chars() {
                match byte_of(character) {
                    Some(byte) => out.push(byte),
                    None => out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
                }
            }
            return;
        }
        if self.byte_fallback
            && let Some(hex) = text.strip_prefix("<0x").and_then(|rest| rest.strip_suffix('>'))
            && let Ok(byte) = u8::from_str_radix(hex, 16)
        {
            out.push(byte);
            return;
        }
        match &self.space {
            Some(space) => out.extend_from_slice(text.replace(space.as_str(), " ").as_bytes()),
            None => out.extend_from_slice(text.as_bytes()),
        }
    }
}

/// The byte that a character of a byte-level vocabulary stands for: printable ones of Latin-1 for themselves, and from
/// U+0100 on the others in their order (`bytes_to_unicode` of GPT-2's encoder).
fn byte_of(character: char) -> Option<u8> {
    let itself = |byte: u8| matches!(byte, b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF);
    let code = u32::from(character);
    match u8::try_from(code) {
        Ok(byte) => itself(byte).then_some(byte),
        Err(_) => (0..=u8::MAX).filter(|byte| !itself(*byte)).nth(code.checked_sub(0x100)? as usize),
    }
}

#[cfg(test)]
mod tests;
