//! Stop strings in text that is cut at random.

use proptest::prelude::*;

use super::{StopMatcher, StopOutput};

/// Pushes the pieces; what came out, piece by piece, and whether a stop string ended it.
fn run(stops: &[String], pieces: &[&str]) -> (Vec<String>, bool) {
    let mut matcher = StopMatcher::new(stops.to_vec());
    let mut out = Vec::new();
    for piece in pieces {
        match matcher.push(piece) {
            StopOutput::Text(text) => out.push(text),
            StopOutput::Stop(text) => {
                out.push(text);
                return (out, true);
            }
        }
    }
    out.push(matcher.flush());
    (out, false)
}

fn stops(stops: &[&str]) -> Vec<String> {
    stops.iter().map(|stop| (*stop).to_owned()).collect()
}

#[test]
fn holds_back_what_may_become_a_stop_string_and_no_more() {
    let mut matcher = StopMatcher::new(stops(&["END"]));
    assert_eq!(matcher.push("the E"), StopOutput::Text("the ".into()));
    assert_eq!(matcher.push("N"), StopOutput::Text(String::new()));
    assert_eq!(matcher.push("T"), StopOutput::Text("ENT".into()));
    assert_eq!(matcher.push(" EEN"), StopOutput::Text(" E".into()));
    assert_eq!(matcher.push("D and more"), StopOutput::Stop(String::new()));
    assert_eq!(matcher.push("even more"), StopOutput::Text(String::new()));
    assert_eq!(matcher.flush(), "");
}

#[test]
fn what_was_held_comes_at_the_end() {
    assert_eq!(
        run(&stops(&["\n\nQ:"]), &["a\n", "\nQ"]),
        (vec!["a".into(), String::new(), "\n\nQ".into()], false)
    );
}

#[test]
fn the_stop_string_that_is_complete_first_wins() {
    let both = stops(&["abcd", "bc"]);
    assert_eq!(run(&both, &["xabcd"]), (vec!["xa".into()], true));
    assert_eq!(run(&both, &["x", "a", "b", "c", "d"]).0.concat(), "xa");
    assert_eq!(
        run(&stops(&["c", "bc"]), &["abc"]),
        (vec!["a".into()], true),
        "the longest of those that end together"
    );
}

#[test]
fn empty_stop_strings_stop_nothing() {
    assert_eq!(run(&stops(&[""]), &["text"]).0.concat(), "text");
}

/// The definition, character by character.
fn expected(stops: &[String], text: &str) -> (String, bool) {
    for end in (0..=text.len()).filter(|end| text.is_char_boundary(*end)) {
        let ended = stops.iter().filter(|stop| !stop.is_empty() && text[..end].ends_with(stop.as_str()));
        if let Some(longest) = ended.map(String::len).max() {
            return (text[..end - longest].to_owned(), true);
        }
    }
    (text.to_owned(), false)
}

fn cut<'a>(text: &'a str, cuts: &[usize]) -> Vec<&'a str> {
    let mut borders: Vec<usize> = cuts.iter().map(|cut| cut % (text.len() + 1)).collect();
    borders.extend([0, text.len()]);
    borders.retain(|border| text.is_char_boundary(*border));
    borders.sort_unstable();
    borders.windows(2).map(|pair| &text[pair[0]..pair[1]]).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// Few letters, so that stop strings and their beginnings abound.
    #[test]
    fn however_the_text_is_cut(
        text in "[abé]{0,24}",
        stops in prop::collection::vec("[abé]{0,4}", 0..4),
        cuts in prop::collection::vec(any::<usize>(), 0..12),
    ) {
        let (pieces, stopped) = run(&stops, &cut(&text, &cuts));
        prop_assert_eq!((pieces.concat(), stopped), expected(&stops, &text));
    }

    /// At no moment has anything left that belongs to the stop string which ends the text.
    #[test]
    fn no_part_of_a_stop_string_leaves(
        before in "[ab]{0,10}",
        stop in "[ab]{1,5}",
        cuts in prop::collection::vec(any::<usize>(), 0..12),
    ) {
        let text = format!("{before}{stop}");
        let stops = vec![stop];
        let (kept, _) = expected(&stops, &text);
        let mut matcher = StopMatcher::new(stops);
        let mut sent = String::new();
        for piece in cut(&text, &cuts) {
            match matcher.push(piece) {
                StopOutput::Text(text) | StopOutput::Stop(text) => sent.push_str(&text),
            }
            prop_assert!(kept.starts_with(&sent), "{sent:?} left, {kept:?} may");
        }
    }
}
