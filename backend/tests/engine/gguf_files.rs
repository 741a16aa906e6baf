//! GGUF files beside their weights: the tokenizer and the chat template of the metadata, and what is refused.

use std::path::Path;

use proptest::prelude::*;
use serde_json::{Value, json};
use tidegate_backend::model::{LoadedModel, ModelSource};
use tokenizers::Tokenizer;

use crate::support::{copy_of_folder, gguf, load_as};

fn load(path: &Path) -> LoadedModel {
    load_as(&ModelSource::Gguf(path.to_owned()), None).unwrap()
}

fn ids(tokenizer: &Tokenizer, text: &str) -> Vec<u32> {
    tokenizer.encode(text, true).unwrap().get_ids().to_vec()
}

/// A second opinion: the same tokenizer as Hugging Face saves it.
fn assert_same_tokens(ours: &Tokenizer, theirs: &Tokenizer, text: &str) {
    let tokens = ids(theirs, text);
    assert_eq!(ids(ours, text), tokens, "{text:?}");
    for skip_special in [false, true] {
        let decoded = theirs.decode(&tokens, skip_special).unwrap();
        assert_eq!(ours.decode(&tokens, skip_special).unwrap(), decoded, "{text:?}");
    }
}

#[test]
fn the_tokenizer_of_the_metadata_is_that_of_the_model() {
    let folder = gguf("qwen2_q8_0");
    let ours = load(&folder.join("model.gguf")).tokenizer;
    let theirs = Tokenizer::from_file(folder.join("tokenizer.expected.json")).unwrap();
    let texts = [
        "def build(settings, seed):\n    return None",
        "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n<think>\n\n",
        "We'LL see 12345  numbers,\r\n\r\n tabs\tand nai\u{308}ve \u{1F30A}\u{FE0F} 水",
        "",
    ];
    for text in texts {
        assert_same_tokens(&ours, &theirs, text);
    }
    proptest!(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) }, |(text in any::<String>())| {
        assert_same_tokens(&ours, &theirs, &text);
    });
}

/// A second opinion: SentencePiece itself.
#[test]
fn sentence_pieces_are_cut_as_sentencepiece_cuts_them() {
    let folder = gguf("llama_q8_0");
    let tokenizer = load(&folder.join("model.gguf")).tokenizer;
    let cases = std::fs::read_to_string(folder.join("encodings.jsonl")).unwrap();
    assert!(cases.lines().count() > 150);
    for case in cases.lines() {
        let case: Value = serde_json::from_str(case).unwrap();
        let tokens = ids(&tokenizer, case["text"].as_str().unwrap());
        assert_eq!(json!(tokens), case["tokens"], "{case}");
        assert_eq!(json!(tokenizer.decode(&tokens, true).unwrap()), case["decoded"], "{case}");
    }
    let thought = ids(&tokenizer, "<s>a<think>b");
    assert_eq!(
        tokenizer.decode(&thought, true).unwrap(),
        "a<think> b",
        "added text stays, control tokens go"
    );
}

#[test]
fn the_chat_template_of_the_metadata_is_used_unless_one_lies_beside_the_file() {
    let messages = [json!({"role": "user", "content": "hi"})];
    let rendered = |path: &Path| load(path).chat_template.unwrap().render(&messages, true).unwrap();
    let copy = copy_of_folder(&gguf("qwen2_q8_0"));
    let path = copy.path().join("model.gguf");
    assert_eq!(rendered(&path), "<|im_start|>user\nhi<|im_end|>\n");
    std::fs::write(copy.path().join("chat_template.jinja"), "{{ messages[0].content }}!").unwrap();
    assert_eq!(rendered(&path), "hi!");
}

/// The refusal of a copy of a fixture after its bytes were changed.
fn refusal(name: &str, change: impl FnOnce(&mut Vec<u8>)) -> String {
    let copy = copy_of_folder(&gguf(name));
    let path = copy.path().join("model.gguf");
    let mut bytes = std::fs::read(&path).unwrap();
    change(&mut bytes);
    std::fs::write(&path, bytes).unwrap();
    load_as(&ModelSource::Gguf(path), None).map(|_| ()).unwrap_err().to_string()
}

/// Replaces the first `from` by `to`, which is as long.
fn replace(bytes: &mut [u8], from: &str, to: &str) {
    assert_eq!(from.len(), to.len());
    let at = bytes.windows(from.len()).position(|window| window == from.as_bytes()).unwrap();
    bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
}

#[track_caller]
fn assert_names(message: &str, parts: &[&str]) {
    for part in parts {
        assert!(message.contains(part), "{message:?} does not name {part:?}");
    }
}

#[test]
fn files_that_cannot_be_used_are_refused_by_name() {
    let swapped = |from: &'static str, to: &'static str| {
        refusal("llama_q8_0", |bytes: &mut Vec<u8>| replace(bytes, from, to))
    };
    assert_names(&swapped("llama", "mamba"), &["model.gguf", "general.architecture", "mamba", "qwen3"]);
    assert_names(&swapped("llama.block_count", "llama.block_xount"), &["llama.block_count"]);
    assert_names(
        &swapped("blk.1.attn_q.weight", "blk.1.attn_x.weight"),
        &["blk.1.attn_x.weight", "not supported"],
    );
    assert_names(&swapped("blk.1.attn_q.weight", "blk.7.attn_q.weight"), &["blk.1.attn_q.weight", "missing"]);
    let cut = refusal("llama_q8_0", |bytes| bytes.truncate(bytes.len() - 100));
    assert_names(&cut, &["model.gguf", "cut short", "tensor"]);
    let header = refusal("llama_q8_0", |bytes| bytes.truncate(300));
    assert_names(&header, &["model.gguf", "not a GGUF file that can be read"]);
    assert_names(&refusal("llama_q8_0", Vec::clear), &["not a GGUF file"]);
    let no_file = load_as(&ModelSource::Gguf("/no/such/model.gguf".into()), None).map(|_| ()).unwrap_err();
    assert_names(&no_file.to_string(), &["/no/such/model.gguf"]);
}

#[test]
fn a_tokenizer_that_is_not_known_is_asked_for_beside_the_file() {
    let copy = copy_of_folder(&gguf("llama_f16"));
    std::fs::remove_file(copy.path().join("tokenizer.json")).unwrap();
    let source = ModelSource::Gguf(copy.path().join("model.gguf"));
    let message = load_as(&source, None).map(|_| ()).unwrap_err().to_string();
    assert_names(&message, &["tokenizer.ggml.model is missing", "tokenizer.json beside the file"]);
    let message =
        refusal("llama_q8_0", |bytes| replace(bytes, "tokenizer.ggml.scores", "tokenizer.ggml.scorex"));
    assert_names(&message, &["lacks tokenizer.ggml.scores"]);
    let message = refusal("qwen2_q8_0", |bytes| replace(bytes, "qwen2\u{15}", "qwen9\u{15}"));
    assert_names(&message, &["tokenizer.ggml.pre", "qwen9", "llama-bpe"]);
}
