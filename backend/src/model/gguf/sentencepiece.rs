//! SentencePiece's byte-pair encoding (`tokenizer.ggml.model` is `llama`: Llama 2, Mistral) as tokenizer.json has it.
//!
//! SentencePiece joins the neighbours whose union has the best score, so that the pairs, ordered by the score of
//! their union, are the merges of a BPE model.

use std::collections::HashSet;

use candle_core::quantized::gguf_file::Value;
use serde_json::{Map, json};
use tokenizers::Tokenizer;

use super::Gguf;
use super::tokenizer::{CONTROL, NORMAL, TOKENS, UNKNOWN, USER_DEFINED, kinds};
use crate::model::error::LoadError;

/// A token as the metadata lists it.
struct Piece<'a> {
    text: &'a str,
    score: f32,
    kind: i32,
}

/// Builds the tokenizer.
///
/// # Errors
/// When the metadata lacks tokens, scores or kinds, or they do not fit together.
pub(super) fn tokenizer(gguf: &Gguf) -> Result<Tokenizer, LoadError> {
    let pieces = pieces(gguf)?;
    let vocabulary: Map<_, _> =
        pieces.iter().enumerate().map(|(id, p)| (p.text.to_owned(), json!(id))).collect();
    let unknown = pieces.iter().find(|piece| piece.kind == UNKNOWN).map(|piece| piece.text);
    let prefixed = gguf.flag("tokenizer.ggml.add_space_prefix")?.unwrap_or(true);
    let (mut normalizers, mut decoders) = (Vec::new(), Vec::new());
    if prefixed {
        normalizers.push(json!({"type": "Prepend", "prepend": "▁"}));
    }
    normalizers.push(json!({"type": "Replace", "pattern": {"String": " "}, "content": "▁"}));
    decoders.push(json!({"type": "Replace", "pattern": {"String": "▁"}, "content": " "}));
    decoders.extend([json!({"type": "ByteFallback"}), json!({"type": "Fuse"})]);
    if prefixed {
        decoders.push(json!({"type": "Strip", "content": " ", "start": 1, "stop": 0}));
    }
    let model = json!({
        "type": "BPE", "unk_token": unknown, "fuse_unk": true, "byte_fallback": true,
        "vocab": vocabulary, "merges": merges(&pieces),
    });
    let tokenizer = json!({
        "version": "1.0", "truncation": null, "padding": null, "pre_tokenizer": null,
        "normalizer": {"type": "Sequence", "normalizers": normalizers},
        "decoder": {"type": "Sequence", "decoders": decoders},
        "added_tokens": added(&pieces), "post_processor": frame(gguf, &pieces)?, "model": model,
    });
    Tokenizer::from_bytes(tokenizer.to_string()).map_err(|error| gguf.malformed(error))
}

fn pieces(gguf: &Gguf) -> Result<Vec<Piece<'_>>, LoadError> {
    const SCORES: &str = "tokenizer.ggml.scores";
    let list = |key: &str| match gguf.content.metadata.get(key) {
        Some(Value::Array(values)) => Ok(values.as_slice()),
        _ => Err(gguf.missing(key)),
    };
    let (texts, scores, kinds) = (list(TOKENS)?, list(SCORES)?, kinds(gguf)?);
    if texts.len() != scores.len() || texts.len() != kinds.len() {
        return Err(
            gguf.malformed(format!("{TOKENS}, {SCORES} and the kinds of tokens are not equally long"))
        );
    }
    let mut pieces = Vec::with_capacity(texts.len());
    for ((text, score), kind) in texts.iter().zip(scores).zip(kinds) {
        let (Value::String(text), Value::F32(score)) = (text, score) else {
            return Err(gguf.malformed(format!("{TOKENS} are no texts, or {SCORES} no numbers")));
        };
        pieces.push(Piece { text, score: *score, kind });
    }
    Ok(pieces)
}

/// All pairs of tokens whose union is a token, the best first; of equal ones that with the longer parts.
fn merges(pieces: &[Piece<'_>]) -> Vec<[String; 2]> {
    let joins = |piece: &&Piece<'_>| piece.kind == NORMAL || piece.kind == USER_DEFINED;
    let known: HashSet<&str> = pieces.iter().filter(joins).map(|piece| piece.text).collect();
    let mut pairs = Vec::new();
    for piece in pieces.iter().filter(|piece| piece.kind == NORMAL) {
        for (at, _) in piece.text.char_indices().skip(1) {
            let (left, right) = piece.text.split_at(at);
            if known.contains(left) && known.contains(right) {
                pairs.push((piece.score, left, right));
            }
        }
    }
    pairs.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| b.1.len().cmp(&a.1.len())));
    pairs.into_iter().map(|(_, left, right)| [left.to_owned(), right.to_owned()]).collect()
}

/// Tokens that are found in the text before it is cut: special ones, and text that was added.
fn added(pieces: &[Piece<'_>]) -> Vec<serde_json::Value> {
    let kept = |piece: &Piece<'_>| matches!(piece.kind, UNKNOWN | CONTROL | USER_DEFINED);
    let token = |(id, piece): (usize, &Piece<'_>)| {
        json!({
            "id": id, "content": piece.text, "special": piece.kind != USER_DEFINED,
            "single_word": false, "lstrip": false, "rstrip": false, "normalized": false,
        })
    };
    pieces.iter().enumerate().filter(|(_, piece)| kept(piece)).map(token).collect()
}

/// The tokens that are put round every text.
fn frame(gguf: &Gguf, pieces: &[Piece<'_>]) -> Result<serde_json::Value, LoadError> {
    let special = |flag: &str, default: bool, key: &str| -> Result<Option<(usize, &str)>, LoadError> {
        if !gguf.flag(flag)?.unwrap_or(default) {
            return Ok(None);
        }
        let id = gguf.count(key)?.ok_or_else(|| gguf.missing(key))?;
        let piece =
            pieces.get(id).ok_or_else(|| gguf.malformed(format!("{key} is {id}, which is no token")))?;
        Ok(Some((id, piece.text)))
    };
    let first = special("tokenizer.ggml.add_bos_token", true, "tokenizer.ggml.bos_token_id")?;
    let last = special("tokenizer.ggml.add_eos_token", false, "tokenizer.ggml.eos_token_id")?;
    let token = |(_, text): (usize, &str)| json!({"SpecialToken": {"id": text, "type_id": 0}});
    let text = |name: &str| json!({"Sequence": {"id": name, "type_id": 0}});
    let framed = |name: &str| first.map(token).into_iter().chain([text(name)]).chain(last.map(token));
    let single: Vec<_> = framed("A").collect();
    let pair: Vec<_> = framed("A").chain(framed("B")).collect();
    let tokens: Map<_, _> = [first, last]
        .into_iter()
        .flatten()
        .map(|(id, text)| (text.to_owned(), json!({"id": text, "ids": [id], "tokens": [text]})))
        .collect();
    Ok(json!({"type": "TemplateProcessing", "single": single, "pair": pair, "special_tokens": tokens}))
}
