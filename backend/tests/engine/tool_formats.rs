//! How models of the fixtures' templates call tools, and that templates show them.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tidegate_backend::chat_template::{ChatTemplate, ToolFormat};

#[test]
fn templates_say_how_their_models_call() {
    let fixture: Value = serde_json::from_str(include_str!("../fixtures/chat_templates.json")).unwrap();
    let templates: BTreeMap<String, Value> = serde_json::from_value(fixture["templates"].clone()).unwrap();
    for (name, template) in templates {
        let source = template["template"].as_str().unwrap();
        let text = |name: &str| template[name].as_str().map(str::to_owned);
        let compiled =
            ChatTemplate::new(source, text("bos_token").as_deref(), text("eos_token").as_deref()).unwrap();
        assert_eq!(compiled.tool_format(), expected(&name), "{name}");
        if compiled.tool_format().is_none() {
            continue;
        }
        let messages = [json!({"role": "user", "content": "What time is it?"})];
        let parameters =
            json!({"type": "object", "properties": {"zone": {"type": "string", "description": "Where"}}});
        let tools =
            [json!({"type": "function", "function": {"name": "get_time", "description": "Tells the time",
            "parameters": parameters}})];
        let shown = compiled.render_with_tools(&messages, &tools, true).unwrap();
        assert!(shown.contains("get_time") && shown.contains("zone"), "{name}: {shown}");
        assert!(!compiled.render(&messages, true).unwrap().contains("get_time"));
    }
}

fn expected(name: &str) -> Option<ToolFormat> {
    match name {
        "qwen" => Some(ToolFormat::Hermes),
        _ => None,
    }
}

/// The lines by which the families' own templates write a call.
#[test]
fn the_families_are_told_apart_by_how_they_write_calls() {
    let format = |line: &str| {
        let source = format!("{{% if tools %}}{{{{ tools | tojson }}}}{{% endif %}}{line}");
        ChatTemplate::new(&source, None, None).unwrap().tool_format()
    };
    let hermes = r#"{{ '<tool_call>\n{"name": "' + call.name + '", "arguments": ' }}"#;
    assert_eq!(format(hermes), Some(ToolFormat::Hermes));
    assert_eq!(format("{{ '<tool_call>\\n<function=' + call.name }}"), None, "arguments as XML");
    let llama = r#"{% if role == 'ipython' %}{{ '"parameters": ' }}{% endif %}"#;
    assert_eq!(format(llama), Some(ToolFormat::Llama));
    assert_eq!(format("{{ '[TOOL_CALLS] [' }}"), Some(ToolFormat::Mistral));
    assert_eq!(format("{{ '[TOOL_CALLS]' + name + '[ARGS]' }}"), None);
    assert_eq!(format(""), None, "tools, but no calls");
}
