//! Parameters of the API that this server knows but does not implement: refused by name, unless the value given is the
//! neutral one that leaves the answer as it is.

use super::{Invalid, fields::Fields};
use serde_json::{Value, json};

/// A parameter and the values of it that change nothing; null always is one.
struct Parameter {
    name: &'static str,
    neutral: fn(&Value) -> bool,
}

/// Chat completions: what the API reference lists and this server does not implement.
const CHAT: &[Parameter] = &[
    Parameter { name: "audio", neutral: never },
    Parameter { name: "function_call", neutral: no_tool_chosen },
    Parameter { name: "functions", neutral: empty_array },
    Parameter { name: "modalities", neutral: only_text },
    Parameter { name: "reasoning_effort", neutral: |value| value == "none" },
    Parameter { name: "verbosity", neutral: |value| value == "medium" },
    Parameter { name: "web_search_options", neutral: never },
];

/// Legacy completions.
const COMPLETION: &[Parameter] = &[Parameter { name: "suffix", neutral: |value| value == "" }];

/// Takes what chat completions do not implement.
pub(super) fn refuse_in_chat(fields: &mut Fields) -> Result<(), Invalid> {
    refuse(fields, CHAT)
}

/// Takes what legacy completions do not implement.
pub(super) fn refuse_in_completion(fields: &mut Fields) -> Result<(), Invalid> {
    refuse(fields, COMPLETION)
}

/// Takes what is accepted without an effect on the answer: who asks, what the caller notes, how it may be cached.
pub(super) fn accept_without_effect(fields: &mut Fields) -> Result<(), Invalid> {
    for name in ["user", "safety_identifier", "prompt_cache_key", "prompt_cache_retention"] {
        fields.text(name)?;
    }
    fields.any_object("metadata")?;
    fields.any_object("prediction")?;
    fields.boolean("store")?;
    Ok(())
}

fn refuse(fields: &mut Fields, parameters: &[Parameter]) -> Result<(), Invalid> {
    for parameter in parameters {
        if let Some(value) = fields.take(parameter.name)
            && !(parameter.neutral)(&value)
        {
            return Err(Invalid::unsupported(&fields.path(parameter.name)));
        }
    }
    Ok(())
}

fn never(_: &Value) -> bool {
    false
}

fn empty_array(value: &Value) -> bool {
    value.as_array().is_some_and(Vec::is_empty)
}

fn no_tool_chosen(value: &Value) -> bool {
    value == "none" || value == "auto"
}

fn only_text(value: &Value) -> bool {
    *value == json!(["text"])
}
