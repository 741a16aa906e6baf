//! A token's bytes are what the tokenizer makes of it beside others.

use tokenizers::Tokenizer;

use super::{Vocabulary, byte_of};

#[test]
fn every_byte_has_one_character() {
    let mut bytes: Vec<u8> = (0..0x200).filter_map(char::from_u32).filter_map(byte_of).collect();
    bytes.sort_unstable();
    assert_eq!(bytes, (0..=255).collect::<Vec<u8>>());
    assert_eq!((byte_of('a'), byte_of('Ġ'), byte_of('Ċ')), (Some(b'a'), Some(b' '), Some(b'\n')));
}

#[test]
fn of_a_byte_level_tokenizer_with_special_tokens() {
    let tokenizer = Tokenizer::from_bytes(include_bytes!("../../../demo-model/tokenizer.json")).unwrap();
    let vocabulary = Vocabulary::new(&tokenizer, 300);
    for byte in 0..=255u8 {
        assert_eq!(vocabulary.bytes(u32::from(byte)), [byte], "the demo model's tokens are the bytes");
        assert!(!vocabulary.is_special(u32::from(byte)));
    }
    assert_eq!(vocabulary.bytes(257), b"<|end|>");
    assert!(vocabulary.is_special(257));
    assert_eq!((vocabulary.bytes(299), vocabulary.bytes(1_000)), (&b""[..], &b""[..]));
    assert_eq!(vocabulary.len(), 300);
}

#[test]
fn of_a_sentence_piece_tokenizer() {
    let definition = serde_json::json!({
        "version": "1.0",
        "added_tokens": [],
        "decoder": {"type": "Sequence", "decoders": [
            {"type": "Replace", "pattern": {"String": "\u{2581}"}, "content": " "},
            {"type": "ByteFallback"}, {"type": "Fuse"},
            {"type": "Strip", "content": " ", "start": 1, "stop": 0}]},
        "model": {"type": "BPE", "vocab": {"<unk>": 0, "<0xF0>": 1, "\u{2581}the": 2, "é": 3}, "merges": [],
            "unk_token": "<unk>", "byte_fallback": true},
    });
    let tokenizer = Tokenizer::from_bytes(definition.to_string()).unwrap();
    let vocabulary = Vocabulary::new(&tokenizer, 4);
    let found: Vec<&[u8]> = (0..4).map(|token| vocabulary.bytes(token)).collect();
    assert_eq!(found, [&b"<unk>"[..], b"\xF0", b" the", "é".as_bytes()]);
}
