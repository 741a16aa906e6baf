//! What is sent piece by piece is what the tokenizer makes of the whole.

use std::sync::Arc;

use proptest::prelude::*;
use tokenizers::Tokenizer;

use super::TextStream;

/// Every byte is a token, as in the fallback of byte-level vocabularies; further tokens are special.
fn byte_level() -> Arc<Tokenizer> {
    Arc::new(Tokenizer::from_bytes(include_bytes!("../../../demo-model/tokenizer.json")).unwrap())
}

/// As Llama 2 and Mistral have it: words that begin with a mark for the space, single bytes for the rest, and a
/// decoder that takes the first space of a text away.
fn sentence_piece() -> Arc<Tokenizer> {
    let mut vocabulary = serde_json::Map::new();
    vocabulary.insert("<unk>".into(), 0.into());
    for byte in 0..=255u32 {
        vocabulary.insert(format!("<0x{byte:02X}>"), (byte + 1).into());
    }
    for (index, word) in
        ["\u{2581}", "\u{2581}the", "\u{2581}gate", "s", "open", "\u{2581}\u{2581}", "é", "."]
            .iter()
            .enumerate()
    {
        vocabulary.insert((*word).into(), (257 + index).into());
    }
    let definition = serde_json::json!({
        "version": "1.0",
        "added_tokens": [],
        "decoder": {"type": "Sequence", "decoders": [
            {"type": "Replace", "pattern": {"String": "\u{2581}"}, "content": " "},
            {"type": "ByteFallback"}, {"type": "Fuse"},
            {"type": "Strip", "content": " ", "start": 1, "stop": 0}]},
        "model": {"type": "BPE", "vocab": vocabulary, "merges": [], "unk_token": "<unk>", "byte_fallback": true},
    });
    Arc::new(Tokenizer::from_bytes(definition.to_string()).unwrap())
}

fn streamed(tokenizer: &Arc<Tokenizer>, tokens: &[u32]) -> Vec<String> {
    let mut stream = TextStream::new(Arc::clone(tokenizer));
    let mut pieces: Vec<_> = tokens.iter().map(|token| stream.push(*token).unwrap()).collect();
    pieces.push(stream.flush().unwrap());
    pieces
}

#[test]
fn a_character_of_several_tokens_comes_whole() {
    let tokens: Vec<u32> = "a🌊b".bytes().map(u32::from).collect();
    assert_eq!(streamed(&byte_level(), &tokens), ["a", "", "", "", "🌊", "b", ""]);
}

#[test]
fn text_before_an_incomplete_character_is_not_held_back() {
    let tokenizer = byte_level();
    let mut stream = TextStream::new(tokenizer);
    assert_eq!(stream.push(u32::from(b'x')).unwrap(), "x");
    assert_eq!(stream.push(0xC3).unwrap(), "");
    assert_eq!(stream.flush().unwrap(), "\u{FFFD}", "the end of the answer cuts a character");
}

#[test]
fn special_tokens_give_no_text() {
    assert_eq!(streamed(&byte_level(), &[u32::from(b'a'), 256, u32::from(b'b')]).concat(), "ab");
}

#[test]
fn the_space_of_a_first_word_goes_and_those_of_later_words_stay() {
    // "▁the" "▁gate" "s" "▁open" written as "▁" and "open".
    assert_eq!(
        streamed(&sentence_piece(), &[258, 259, 260, 257, 261]),
        ["the", " gate", "s", " ", "open", ""]
    );
}

#[test]
fn what_continues_a_prompt_keeps_its_first_space() {
    let mut stream = TextStream::after(sentence_piece(), &[258]).unwrap();
    assert_eq!(stream.push(259).unwrap(), " gate", "after the prompt \u{2581}the");
    let mut alone = TextStream::after(sentence_piece(), &[]).unwrap();
    assert_eq!(alone.push(259).unwrap(), "gate");
}

proptest! {
    /// A prompt and what continues it are one text, however long the prompt is.
    #[test]
    fn a_prompt_and_its_continuation_make_the_whole(
        parts in prop::collection::vec(prop_oneof![(257u32..265).prop_map(|t| vec![t]),
            any::<char>().prop_filter("it reads as an incomplete one", |c| *c != '\u{FFFD}').prop_map(|c| c.to_string().bytes().map(|b| u32::from(b) + 1).collect())], 1..25),
        cut in any::<prop::sample::Index>(),
    ) {
        let tokenizer = sentence_piece();
        let (prompt, answer) = parts.split_at(cut.index(parts.len()) + 1);
        let (prompt, answer) = (prompt.concat(), answer.concat());
        let mut stream = TextStream::after(Arc::clone(&tokenizer), &prompt).unwrap();
        let mut text = tokenizer.decode(&prompt, true).unwrap();
        for token in &answer {
            text.push_str(&stream.push(*token).unwrap());
        }
        text.push_str(&stream.flush().unwrap());
        prop_assert_eq!(text, tokenizer.decode(&[prompt, answer].concat(), true).unwrap());
    }

    /// Any bytes, characters or not.
    #[test]
    fn byte_level_pieces_make_the_whole(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
        let tokens: Vec<u32> = bytes.iter().copied().map(u32::from).collect();
        prop_assert_eq!(streamed(&byte_level(), &tokens).concat(), String::from_utf8_lossy(&bytes));
    }

    /// Real text is never held longer than its last character takes, and never cut.
    #[test]
    fn real_text_flows(text in "\\PC{0,40}") {
        let tokens: Vec<u32> = text.bytes().map(u32::from).collect();
        let pieces = streamed(&byte_level(), &tokens);
        let mut bytes = 0;
        let mut sent = 0;
        for piece in &pieces[..tokens.len()] {
            bytes += 1;
            sent += piece.len();
            let complete = (0..=bytes).rev().find(|at| text.is_char_boundary(*at)).unwrap();
            // A real U+FFFD cannot be told from an incomplete character until the next one.
            let unclear = |held: &str| held.chars().all(|c| c == char::REPLACEMENT_CHARACTER);
            prop_assert!(sent == complete || unclear(&text[sent..complete]));
        }
        prop_assert_eq!(pieces.concat(), text);
    }

    /// Words with their spaces, and characters from single bytes.
    #[test]
    fn sentence_piece_pieces_make_the_whole(
        parts in prop::collection::vec(prop_oneof![(257u32..265).prop_map(|t| vec![t]),
            any::<char>().prop_map(|c| c.to_string().bytes().map(|b| u32::from(b) + 1).collect())], 0..25),
    ) {
        let tokenizer = sentence_piece();
        let tokens = parts.concat();
        prop_assert_eq!(streamed(&tokenizer, &tokens).concat(), tokenizer.decode(&tokens, true).unwrap());
    }
}
