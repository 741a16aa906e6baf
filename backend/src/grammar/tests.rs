//! Grammars over the demo model's vocabulary, in which a token is a byte.

use std::sync::Arc;

use serde_json::{Value, json};
use tokenizers::Tokenizer;

use super::{Grammar, Grammars};
use crate::text::Vocabulary;

const END: u32 = 257;

fn grammars() -> Grammars {
    let tokenizer = Tokenizer::from_bytes(include_bytes!("../../demo-model/tokenizer.json")).unwrap();
    Grammars::new(Arc::new(Vocabulary::new(&tokenizer, 262)), vec![END])
}

/// What may come after `text`; none where the text is not allowed.
fn next(grammar: &Grammar, text: &str) -> Option<Vec<u32>> {
    let mut guide = grammar.guide();
    let allowed = |guide: &mut super::Guide| {
        let mut logits = [0f32; 262];
        guide.apply(&mut logits).unwrap();
        (0..262).filter(|token| logits[*token as usize] == 0.0).collect::<Vec<u32>>()
    };
    for byte in text.bytes().map(u32::from) {
        if !allowed(&mut guide).contains(&byte) {
            return None;
        }
        if guide.accept(byte) {
            return Some(Vec::new());
        }
    }
    Some(allowed(&mut guide))
}

#[test]
fn only_what_the_schema_allows_may_come() {
    let schema = json!({"type": "object", "properties": {"a": {"type": "boolean"}}, "required": ["a"],
        "additionalProperties": false});
    let grammar = grammars().json_schema(&schema).unwrap();
    assert_eq!(next(&grammar, "").unwrap(), [u32::from(b'{')]);
    assert!(next(&grammar, "{\"a\": t").unwrap() == [u32::from(b'r')]);
    assert_eq!(next(&grammar, "{\"a\": true}"), Some(vec![]), "the end is known at once");
    assert_eq!(next(&grammar, "{\"b\""), None);
    assert_eq!(next(&grammar, &format!("{{{}\"", " ".repeat(40))).map(|next| next.is_empty()), Some(false));
    assert_eq!(next(&grammar, &format!("{{{}", " ".repeat(41))), None, "white space has an end");
}

#[test]
fn what_may_end_or_go_on_allows_both() {
    let grammar = grammars().json_schema(&json!({"type": "integer"})).unwrap();
    let next = next(&grammar, "12").unwrap();
    assert!(
        next.contains(&END) && next.contains(&u32::from(b'3')) && !next.contains(&u32::from(b'x')),
        "{next:?}"
    );
    assert!(!next.contains(&256) && !next.contains(&258), "other special tokens are no text: {next:?}");
}

#[test]
fn properties_come_in_the_order_of_the_schema() {
    let schema = r#"{"type": "object", "properties": {"zebra": {"type": "null"}, "ant": {"type": "null"}},
        "required": ["zebra", "ant"], "additionalProperties": false}"#;
    let grammar = grammars().json_schema(&serde_json::from_str::<Value>(schema).unwrap()).unwrap();
    assert_eq!(next(&grammar, r#"{"zebra": null, "ant": null}"#), Some(vec![]));
    assert_eq!(next(&grammar, r#"{"a"#), None);
}

#[test]
fn each_sequence_goes_its_own_way() {
    let grammar = grammars().json_schema(&json!({"enum": ["ab", "cd"]})).unwrap();
    let copy = grammar.clone();
    assert_eq!(grammar, copy);
    assert_eq!(next(&grammar, "\"a").unwrap(), [u32::from(b'b')]);
    assert_eq!(next(&copy, "\"c").unwrap(), [u32::from(b'd')]);
}

#[test]
fn schemas_that_cannot_be_used_say_why() {
    let grammars = grammars();
    for (schema, word) in [
        (json!({"type": "strange"}), "strange"),
        (json!({"type": "integer", "minimum": 5, "maximum": 1}), ""),
        (json!({"$ref": "#/$defs/none"}), "none"),
        (json!({"$ref": "https://example.com/schema"}), "example"),
        (json!({"type": "string", "pattern": "("}), ""),
        (json!({"not": {}}), "not"),
    ] {
        let error = grammars.json_schema(&schema).map(drop).unwrap_err().to_string();
        assert!(!error.is_empty() && error.contains(word) && error.len() < 1_300, "{schema}: {error}");
    }
    grammars.json_schema(&json!({"type": "null"})).unwrap();
}
