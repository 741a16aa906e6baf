//! Calls in text that is cut at random, and forced calls that are read as what they were.

use super::{
    frame,
    reader::{CallReader, Part},
};
use crate::{
    chat_template::ToolFormat,
    grammar::{Grammar, Grammars},
    text::Vocabulary,
};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::sync::Arc;
use tidegate_wire::openai::Tool;
use tokenizers::Tokenizer;

fn read(format: ToolFormat, several: bool, pieces: &[&str]) -> (String, Vec<(String, Value)>) {
    let mut reader = CallReader::new(format, vec!["add".into(), "get-time".into()], several);
    let mut parts: Vec<Part> = pieces.iter().flat_map(|piece| reader.push(piece)).collect();
    parts.extend(reader.finish());
    let (mut text, mut calls) = (String::new(), Vec::new());
    for part in parts {
        match part {
            Part::Text(more) => text.push_str(&more),
            Part::Call(call) => {
                assert_eq!((call.r#type.as_str(), call.id.len()), ("function", 9));
                calls.push((call.function.name, serde_json::from_str(&call.function.arguments).unwrap()));
            }
        }
    }
    assert_eq!(reader.calls(), calls.len());
    (text, calls)
}

const ADD: &str =
    "<tool_call>\n{\"name\": \"add\", \"arguments\": {\"b\": 1, \"a\": \"</b>\"}}\n</tool_call>";

fn add() -> (String, Value) {
    ("add".to_owned(), json!({"b": 1, "a": "</b>"}))
}

#[test]
fn hermes_calls_stand_between_marks() {
    let hermes = |text: &str| read(ToolFormat::Hermes, true, &[text]);
    assert_eq!(hermes("no call"), ("no call".into(), vec![]));
    assert_eq!(hermes(&format!("Let me see.\n{ADD}")), ("Let me see.".into(), vec![add()]));
    assert_eq!(hermes(&format!("{ADD}\n{ADD}\n")), (String::new(), vec![add(), add()]));
    assert_eq!(hermes(&format!("{ADD} done")), (" done".into(), vec![add()]));
    let time = "<tool_call>{\"name\": \"get-time\"}</tool_call>";
    assert_eq!(hermes(time), (String::new(), vec![("get-time".into(), json!({}))]));
}

#[test]
fn what_only_looks_like_a_call_is_text() {
    for text in [
        "<tool_call>",
        "<tool_call>{\"name\": \"add\"",
        "<tool_call>not json</tool_call>",
        "<tool_call>{\"name\": \"unknown\", \"arguments\": {}}</tool_call>",
        "<tool_call>{\"name\": \"add\", \"arguments\": [1]}</tool_call>",
        "a <tool",
        "1 < 2 and <tool_cal",
        "<tool_call><tool_call>",
    ] {
        assert_eq!(read(ToolFormat::Hermes, true, &[text]), (text.to_owned(), vec![]));
    }
    for text in ["{\"name\": \"unknown\", \"parameters\": {}}", "{\"a\": 1}", "{", "[1]", " text {"] {
        assert_eq!(read(ToolFormat::Llama, true, &[text]), (text.to_owned(), vec![]));
    }
}

#[test]
fn llama_and_mistral_answer_with_nothing_but_json() {
    let call = (("add".to_owned(), json!({"a": 2})), "{\"name\": \"add\", \"parameters\": {\"a\": 2}}");
    assert_eq!(read(ToolFormat::Llama, true, &[call.1]), (String::new(), vec![call.0.clone()]));
    let two =
        " [{\"name\": \"add\", \"arguments\": {\"a\": 2}}, {\"name\": \"add\", \"arguments\": {\"a\": 2}}]";
    assert_eq!(
        read(ToolFormat::Mistral, true, &[two]),
        (String::new(), vec![call.0.clone(), call.0.clone()])
    );
    assert_eq!(read(ToolFormat::Mistral, false, &[two]), (String::new(), vec![call.0]), "one is asked for");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn however_the_text_is_cut(
        parts in prop::collection::vec(prop_oneof![
            Just(ADD.to_owned()), Just("\n".to_owned()), "[ab< ]{0,6}", Just("<tool_call>".to_owned()),
            Just("</tool_call>".to_owned())], 0..8),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
    ) {
        let text = parts.concat();
        let mut borders: Vec<usize> = cuts.iter().map(|cut| cut.index(text.len() + 1)).collect();
        borders.extend([0, text.len()]);
        borders.sort_unstable();
        let pieces: Vec<&str> = borders.windows(2).map(|pair| &text[pair[0]..pair[1]]).collect();
        let (said, calls) = read(ToolFormat::Hermes, true, &pieces);
        let whole = read(ToolFormat::Hermes, true, &[&text]);
        // White space round calls may be kept or not by where it was cut; nothing else may differ.
        let bare = |text: &str| text.split_whitespace().collect::<String>();
        prop_assert_eq!((bare(&said), calls), (bare(&whole.0), whole.1));
    }
}

fn tool(name: &str, strict: bool) -> Tool {
    let parameters = json!({"type": "object", "properties": {"a": {"$ref": "#/$defs/one"}}, "required": ["a"],
        "additionalProperties": false, "$defs": {"one": {"enum": [1, 2]}}});
    Tool { name: name.to_owned(), parameters, strict, definition: json!({}) }
}

fn grammars() -> Grammars {
    let tokenizer = Tokenizer::from_bytes(include_bytes!("../../../demo-model/tokenizer.json")).unwrap();
    Grammars::new(Arc::new(Vocabulary::new(&tokenizer, 262)), vec![257])
}

/// How many bytes of `text` a grammar allows.
fn allowed(grammar: &Grammar, text: &str) -> usize {
    let mut guide = grammar.guide();
    for (at, byte) in text.bytes().enumerate() {
        let mut logits = [0f32; 262];
        guide.apply(&mut logits).unwrap();
        if logits[usize::from(byte)] != 0.0 {
            return at;
        }
        guide.accept(u32::from(byte));
    }
    text.len()
}

/// The bytes of a text walk through the grammar of forced calls, and the reader finds the same calls in it.
#[test]
fn forced_calls_are_written_as_they_are_read() {
    let (grammars, add, time) = (grammars(), tool("add", true), tool("get-time", false));
    for (format, one, several) in [
        (
            ToolFormat::Hermes,
            "<tool_call>\n{\"name\": \"add\", \"arguments\": {\"a\": 2}}\n</tool_call>",
            "<tool_call>\n{\"name\": \"add\", \"arguments\": {\"a\": 2}}\n</tool_call>\n<tool_call>\n\
             {\"name\": \"get-time\", \"arguments\": {\"a\": 1}}\n</tool_call>",
        ),
        (ToolFormat::Llama, "{\"name\": \"get-time\", \"parameters\": {\"a\": 1}}", ""),
        (
            ToolFormat::Mistral,
            "[{\"name\": \"add\", \"arguments\": {\"a\": 2}}]",
            "[{\"name\": \"add\", \"arguments\": {\"a\": 2}}, {\"name\": \"get-time\", \"arguments\": {\"a\": 1}}]",
        ),
    ] {
        for (text, parallel) in [(one, false), (several, true)] {
            let grammar = grammars.lark(frame::forced(format, &[&add, &time], parallel)).unwrap();
            assert_eq!(allowed(&grammar, text), text.len(), "{format:?}: {text}");
            let (said, calls) = read(format, true, &[text]);
            assert_eq!((said.as_str(), calls.len()), ("", text.matches("\"name\"").count()), "{format:?}");
        }
    }
}

/// Text stays free, arguments of strict tools do not, and those of others are any object.
#[test]
fn a_model_that_calls_of_itself_is_held_to_strict_schemas() {
    let (grammars, strict, loose) = (grammars(), tool("add", true), tool("get-time", false));
    let passes = |format: ToolFormat, text: &str| {
        let grammar = grammars.lark(frame::free(format, &[&strict, &loose])).unwrap();
        allowed(&grammar, text) == text.len()
    };
    let call = |name: &str, key: char| format!("{{\"name\": \"{name}\", \"arguments\": {{\"{key}");
    let hermes = |name: &str, key: char| format!("Let < me see.\n<tool_call>\n{}", call(name, key));
    assert!(passes(ToolFormat::Hermes, "any { text <tool_calx"));
    assert!(passes(ToolFormat::Hermes, &hermes("add", 'a')));
    assert!(!passes(ToolFormat::Hermes, &hermes("add", 'x')));
    assert!(passes(ToolFormat::Hermes, &hermes("get-time", 'x')));
    let closed = format!("{}\": 1}}}}\n</tool_call> and so on ", hermes("add", 'a'));
    assert!(passes(ToolFormat::Hermes, &format!("{closed}{}", hermes("add", 'a'))));
    assert!(!passes(ToolFormat::Hermes, &format!("{closed}{}", hermes("add", 'x'))));
    assert!(passes(ToolFormat::Llama, "free { text"));
    assert!(!passes(ToolFormat::Llama, "{\"name\": \"add\", \"parameters\": {\"x"));
    assert!(passes(ToolFormat::Mistral, "free [ text"));
    assert!(!passes(ToolFormat::Mistral, &format!("[{}", call("add", 'x'))));
}
