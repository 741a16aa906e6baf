//! Each token's score goes out once, in order, with its text, and never with a stop string.

use super::{Pending, Said};
use crate::{
    engine::ScoredToken,
    text::{StopMatcher, StopOutput},
};
use proptest::prelude::*;

/// Pushes tokens of these texts through a stop matcher; what is sent, and whether a stop string ended it.
fn run(texts: &[String], stops: Vec<String>) -> (Vec<Said>, bool) {
    let (mut pending, mut stops) = (Pending::default(), StopMatcher::new(stops));
    let mut said = Vec::new();
    for (token, text) in (0..).zip(texts) {
        pending.score(Box::new(ScoredToken { token, logprob: -f32::from(token as u8), top: Vec::new() }));
        pending.decoded(text);
        match stops.push(text) {
            StopOutput::Text(text) if text.is_empty() => {}
            StopOutput::Text(text) => said.push(pending.say(text)),
            StopOutput::Stop(text) => {
                said.push(pending.say(text));
                return (said, true);
            }
        }
    }
    said.push(pending.say_rest(stops.flush()));
    (said, false)
}

#[test]
fn the_mean_is_that_of_the_tokens() {
    let (said, _) = run(&["a".into(), "b".into(), "c".into()], Vec::new());
    let whole = said.into_iter().fold(Said::default(), |mut whole, piece| {
        whole.extend(piece);
        whole
    });
    assert_eq!((whole.text.as_str(), whole.scores.len()), ("abc", 3));
    assert!((whole.mean_logprob() + 1.0).abs() < 1e-9);
    assert_eq!(Said::default().mean_logprob(), 0.0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn scores_go_with_their_text(
        texts in prop::collection::vec("[abé]{0,3}", 0..12), stops in prop::collection::vec("[abé]{1,4}", 0..3),
    ) {
        let (said, stopped) = run(&texts, stops);
        let mut sent = 0;
        let mut next = 0;
        for piece in &said {
            sent += piece.text.len();
            for score in &piece.scores {
                prop_assert_eq!(score.scored.token, next, "each once, in order");
                let before = texts[..next as usize].concat();
                prop_assert_eq!(score.offset, before.chars().count());
                // Tokens without text of their own may come at the very end.
                prop_assert!(before.len() < sent || (!stopped && before.len() == sent));
                next += 1;
            }
        }
        if stopped {
            let beyond = texts[..next as usize].concat();
            prop_assert!(beyond.len() >= sent, "all tokens of the text have a score");
        } else {
            prop_assert_eq!(next as usize, texts.len());
        }
    }
}
