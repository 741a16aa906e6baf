//! The tokenizer and the chat template from a GGUF file's metadata, for files without a tokenizer.json beside them.

use std::collections::HashMap;

use candle_core::quantized::gguf_file::{Content, Value};
use candle_core::quantized::tokenizer::TokenizerFromGguf;
use tokenizers::{AddedToken, Tokenizer};

use super::{Gguf, sentencepiece};
use crate::model::error::LoadError;

const MODEL: &str = "tokenizer.ggml.model";
const SPLITTING: &str = "tokenizer.ggml.pre";
pub(super) const TOKENS: &str = "tokenizer.ggml.tokens";
const KINDS: &str = "tokenizer.ggml.token_type";
const HELP: &str = "else put the model's tokenizer.json beside the file";

/// Kinds of tokens. User-defined ones were added, but are text all the same (`<think>`).
pub(super) const NORMAL: i32 = 1;
pub(super) const UNKNOWN: i32 = 2;
pub(super) const CONTROL: i32 = 3;
pub(super) const USER_DEFINED: i32 = 4;

/// Builds the tokenizer that the metadata describes.
///
/// # Errors
/// When it is of another kind than Llama's and Qwen's, or lacks a part.
pub(crate) fn tokenizer(gguf: &Gguf) -> Result<Tokenizer, LoadError> {
    match gguf.text(MODEL)? {
        Some("llama") => sentencepiece::tokenizer(gguf),
        Some("gpt2") => byte_level(gguf),
        found => {
            let supported = format!("gpt2, llama; {HELP}");
            Err(gguf.unsupported(MODEL, found.unwrap_or("missing"), &supported))
        }
    }
}

/// Byte-level BPE as Llama 3 and Qwen split it.
fn byte_level(gguf: &Gguf) -> Result<Tokenizer, LoadError> {
    let mut metadata: HashMap<String, Value> = gguf
        .content
        .metadata
        .iter()
        .filter(|(key, _)| key.starts_with("tokenizer.ggml."))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    match gguf.text(SPLITTING)? {
        Some("qwen2") => (),
        Some("llama-bpe" | "llama3" | "llama-v3") => as_llama3(&mut metadata),
        found => {
            let supported = format!("llama-bpe, qwen2; {HELP}");
            return Err(gguf.unsupported(SPLITTING, found.unwrap_or("missing"), &supported));
        }
    }
    let added = take_user_defined(&mut metadata);
    let content = Content {
        magic: gguf.content.magic,
        metadata,
        tensor_infos: HashMap::new(),
        tensor_data_offset: gguf.content.tensor_data_offset,
    };
    let mut tokenizer = Tokenizer::from_gguf(&content).map_err(|error| gguf.malformed(error))?;
    tokenizer.add_tokens(added).map_err(|error| gguf.malformed(error))?;
    Ok(tokenizer)
}

/// Files name Llama 3's splitting otherwise than candle does, and take for granted what goes with it.
fn as_llama3(metadata: &mut HashMap<String, Value>) {
    metadata.insert(SPLITTING.to_owned(), Value::String("llama3".to_owned()));
    metadata.entry("tokenizer.ggml.ignore_merges".to_owned()).or_insert(Value::Bool(true));
    metadata.entry("tokenizer.ggml.add_bos_token".to_owned()).or_insert(Value::Bool(true));
}

/// The tokens that were added but are text: candle would take them for special ones, which answers leave out.
fn take_user_defined(metadata: &mut HashMap<String, Value>) -> Vec<AddedToken> {
    let mut added = Vec::new();
    let Some(Value::Array(mut kinds)) = metadata.remove(KINDS) else { return added };
    if let Some(Value::Array(tokens)) = metadata.get(TOKENS) {
        for (kind, token) in kinds.iter_mut().zip(tokens) {
            if let (Value::I32(kind), Value::String(token)) = (kind, token)
                && *kind == USER_DEFINED
            {
                *kind = NORMAL;
                added.push(AddedToken::from(token.clone(), false).normalized(false));
            }
        }
    }
    metadata.insert(KINDS.to_owned(), Value::Array(kinds));
    added
}

/// The kind of each token.
pub(super) fn kinds(gguf: &Gguf) -> Result<Vec<i32>, LoadError> {
    let Some(Value::Array(kinds)) = gguf.content.metadata.get(KINDS) else { return Err(gguf.missing(KINDS)) };
    let kind = |kind: &Value| match kind {
        Value::I32(kind) => Ok(*kind),
        _ => Err(gguf.malformed(format!("{KINDS} are no whole numbers"))),
    };
    kinds.iter().map(kind).collect()
}

/// The chat template of the metadata.
pub(crate) fn chat_template(gguf: &Gguf) -> Result<Option<&str>, LoadError> {
    gguf.text("tokenizer.chat_template")
}

/// The tokens that end an answer: of a text, of a turn, of a message.
pub(crate) fn eos_token_ids(gguf: &Gguf) -> Result<Vec<u32>, LoadError> {
    let mut ids = Vec::new();
    for kind in ["eos", "eot", "eom"] {
        if let Some(id) = gguf.count(&format!("tokenizer.ggml.{kind}_token_id"))? {
            ids.push(id as u32);
        }
    }
    ids.dedup();
    Ok(ids)
}
