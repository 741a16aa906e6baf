//! From tokens to pieces: whatever the tokens' borders, characters are whole and stop strings stay inside.

use super::{Choice, Piece};
use crate::{
    engine::{EngineEvent, FinishReason, TokenStream},
    model::Tokenizer,
    text::TextStream,
};
use proptest::prelude::*;
use std::{
    sync::{Arc, LazyLock},
    task::{Context, Poll, Waker},
};
use tidegate_wire::openai;

static BYTES: LazyLock<Arc<Tokenizer>> = LazyLock::new(|| {
    Arc::new(Tokenizer::from_bytes(include_bytes!("../../../../demo-model/tokenizer.json")).unwrap())
});

/// The pieces of an answer of these bytes, each a token, and why it ended.
fn run(bytes: &[u8], stops: &[String]) -> (Vec<String>, openai::FinishReason) {
    let (events, receiver) = tokio::sync::mpsc::channel(bytes.len() + 1);
    for byte in bytes {
        events.try_send(EngineEvent::Token(u32::from(*byte))).unwrap();
    }
    events.try_send(EngineEvent::Finished(FinishReason::Length)).unwrap();
    let (stream, text) = (TokenStream::new(receiver, Arc::default()), TextStream::new(Arc::clone(&BYTES)));
    let mut choice = Choice::new(0, stream, text, stops.to_vec(), None);
    let (mut pieces, mut tokens) = (Vec::new(), 0);
    loop {
        match choice.poll(&mut Context::from_waker(Waker::noop()), &mut tokens) {
            Poll::Ready(Piece::Text { said, .. }) => pieces.push(said.text),
            Poll::Ready(Piece::End { said, reason, .. }) => {
                pieces.push(said.text);
                return (pieces, reason);
            }
            other => panic!("{other:?}"),
        }
    }
}

/// The definition: the text up to the stop string that is complete first, the longest of those that end together.
fn expected(text: &str, stops: &[String]) -> (String, openai::FinishReason) {
    for end in (0..=text.len()).filter(|end| text.is_char_boundary(*end)) {
        let ended = stops.iter().filter(|stop| text[..end].ends_with(stop.as_str())).map(String::len);
        if let Some(longest) = ended.max() {
            return (text[..end - longest].to_owned(), openai::FinishReason::Stop);
        }
    }
    (text.to_owned(), openai::FinishReason::Length)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn real_text_comes_whole_up_to_its_stop_string(
        text in "[abé🌊]{0,24}", stops in prop::collection::vec("[abé🌊]{1,4}", 0..4),
    ) {
        let (pieces, reason) = run(text.as_bytes(), &stops);
        let (whole, ends) = expected(&text, &stops);
        prop_assert_eq!((pieces.concat(), reason), (whole.clone(), ends));
        let mut sent = String::new();
        for piece in pieces {
            prop_assert!(!piece.contains(char::REPLACEMENT_CHARACTER), "a character was cut: {piece:?}");
            sent.push_str(&piece);
            prop_assert!(whole.starts_with(&sent), "{sent:?} left, {whole:?} may");
        }
    }

    #[test]
    fn bytes_that_are_no_text_come_as_replacements_in_their_place(
        bytes in prop::collection::vec(prop_oneof![any::<u8>(), Just(b'a'), Just(0xC3), Just(0xA9)], 0..40),
        stops in prop::collection::vec("[aé]{1,3}", 0..3),
    ) {
        let (pieces, reason) = run(&bytes, &stops);
        prop_assert_eq!((pieces.concat(), reason), expected(&String::from_utf8_lossy(&bytes), &stops));
    }
}
