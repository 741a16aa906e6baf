//! Chat templates against transformers: `fixtures/chat_templates.json` holds what `apply_chat_template` rendered
//! (`fixtures/make_fixtures.py`).

use std::collections::BTreeMap;

use minijinja::Value;
use serde::Deserialize;
use tidegate_backend::chat_template::{ChatTemplate, TemplateError};

#[derive(Deserialize)]
struct Fixture {
    templates: BTreeMap<String, Template>,
    /// In the order of the file, which `tojson` prints.
    conversations: BTreeMap<String, Vec<Value>>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Template {
    bos_token: Option<String>,
    eos_token: Option<String>,
    template: String,
}

#[derive(Deserialize)]
struct Case {
    template: String,
    conversation: String,
    add_generation_prompt: bool,
    text: Option<String>,
    error: Option<String>,
}

fn compile(template: &Template) -> Result<ChatTemplate, TemplateError> {
    ChatTemplate::new(&template.template, template.bos_token.as_deref(), template.eos_token.as_deref())
}

#[test]
fn every_case_renders_byte_for_byte_as_transformers_does() {
    let fixture: Fixture = serde_json::from_str(include_str!("../fixtures/chat_templates.json")).unwrap();
    let mut failures = Vec::new();
    for case in &fixture.cases {
        let template = compile(&fixture.templates[&case.template]).unwrap();
        let rendered =
            template.render(&fixture.conversations[&case.conversation], case.add_generation_prompt);
        let agrees = match (&rendered, &case.text, &case.error) {
            (Ok(text), Some(expected), None) => text == expected,
            (Err(TemplateError::Raised(message)), None, Some(expected)) => message == expected,
            _ => false,
        };
        if !agrees {
            let expected = case.text.as_ref().or(case.error.as_ref());
            failures
                .push(format!("{} / {}:\n  {rendered:?}\n  {expected:?}", case.template, case.conversation));
        }
    }
    assert!(fixture.cases.len() > 200, "the fixture has shrunk to {} cases", fixture.cases.len());
    assert!(
        failures.is_empty(),
        "{} of {} differ:\n{}",
        failures.len(),
        fixture.cases.len(),
        failures.join("\n")
    );
}

#[test]
fn a_template_that_does_not_compile_says_where() {
    let error = ChatTemplate::new("line one\n{% if %}", None, None).unwrap_err();
    assert!(matches!(&error, TemplateError::Syntax(text) if text.contains("line 2")), "{error}");
}

#[test]
fn a_template_that_fails_on_the_messages_is_a_clients_error() {
    let template = ChatTemplate::new("{{ messages[0].content + 1 }}", None, None).unwrap();
    let error = template.render(&[serde_json::json!({"role": "user", "content": "x"})], true).unwrap_err();
    assert!(matches!(error, TemplateError::Render(_)), "{error}");
}

#[test]
fn a_template_may_ask_for_the_date() {
    let template = ChatTemplate::new("{{ strftime_now('%d %b %Y') }}", None, None).unwrap();
    let messages: [serde_json::Value; 0] = [];
    let date = template.render(&messages, true).unwrap();
    assert_eq!(date.len(), "23 Nov 2026".len(), "{date}");
}
